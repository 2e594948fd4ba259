"""What a teacher says of the pixels that a scene's points fall on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pointlift.teachers.base import Teacher
from pointlift.teachers.cache import FeatureCache, remove_stale
from pointlift.teachers.images import view_features
from pointlift.teachers.sampling import sample_features

if TYPE_CHECKING:
    from pointlift.data.scene import Pairs, Scene, View


class PixelFeatures:
    """Teacher features at point–pixel pairs of a scene; it may be sent to data-loading processes.

    Args:
        teacher: the frozen 2D network.
        image_size: (height, width) at which it sees every image; None: the image's own, rounded to the stride. With
            a cache, the cache's.
        scale: factor on that size; with a cache, the cache's.
        cache: where feature maps are kept (in float16); None computes them at every call (in float32).
    """

    def __init__(
        self,
        teacher: Teacher,
        *,
        image_size: tuple[int, int] | None = None,
        scale: float = 1.0,
        cache: FeatureCache | None = None,
    ) -> None:
        if cache is not None and cache.teacher.fingerprint != teacher.fingerprint:
            raise ValueError("the cache belongs to another teacher")
        if cache is not None and image_size is not None and image_size != cache.image_size:
            raise ValueError(f"image_size is {image_size}, but the cache's is {cache.image_size}")
        self.teacher = teacher
        self.image_size = image_size if cache is None else cache.image_size
        self.scale = scale if cache is None else cache.scale
        self.cache = cache

    def __call__(self, scene: Scene, pairs: Pairs) -> Tensor:
        """(P, D) float32 features of the pairs' pixels, on the CPU; only views that occur in pairs are decoded."""
        features = torch.empty(len(pairs.view_index), self.teacher.dim)
        view_index, pixels = torch.from_numpy(pairs.view_index), torch.from_numpy(pairs.pixels)
        used = np.unique(pairs.view_index).tolist()
        views = [scene.views[index] for index in used]
        for index, view, feature_map in zip(used, views, self._maps(views), strict=True):
            members = torch.nonzero(view_index == index)[:, 0]
            samples = sample_features(
                feature_map[None], torch.zeros_like(members), pixels[members], torch.tensor([view.size])
            )
            if len(used) == 1:
                return samples
            features[members] = samples
        return features

    def precompute(
        self,
        scenes: Sequence[Scene],
        progress: Callable[[int, int], None] | None = None,
        *,
        batch_size: int = 8,
    ) -> int:
        """Fill the cache for all views of scenes; what is there already is kept, so a stopped run goes on.

        Args:
            scenes: read one after the other; a slice of a data set is a shard.
            progress: called with (scenes done, scenes in all).
            batch_size: views that are looked at together; those of equal size go through the teacher in one batch.

        Returns:
            How many feature maps were computed.
        """
        if self.cache is None:
            raise ValueError("there is no cache to fill")
        if self.cache.folder is not None:
            remove_stale(self.cache.folder)
        views_of = getattr(scenes, "views", lambda index: scenes[index].views)
        computed = 0
        waiting: list[View] = []
        for done, index in enumerate(range(len(scenes)), start=1):
            waiting += views_of(index)
            if len(waiting) >= batch_size or done == len(scenes):
                computed += self.cache.fill(waiting)
                waiting = []
            if progress is not None:
                progress(done, len(scenes))
        return computed

    def _maps(self, views: Sequence[View]) -> list[Tensor]:
        if self.cache is None:
            return view_features(self.teacher, views, self.image_size, self.scale)
        return [self.cache.features(view) for view in views]
