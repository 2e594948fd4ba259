"""What a teacher says of the pixels that a scene's points fall on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pointlift.data.dataset import as_dataset
from pointlift.teachers.base import Teacher
from pointlift.teachers.cache import FeatureCache
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
        cache: where feature maps are kept (in float16); None computes them at every call (in float32). A teacher
            that reads its maps from files needs none, and one that is given is left aside.
    """

    def __init__(
        self,
        teacher: Teacher,
        *,
        image_size: tuple[int, int] | None = None,
        scale: float = 1.0,
        cache: FeatureCache | None = None,
    ) -> None:
        if teacher.reads_files:
            image_size, scale, cache = None, 1.0, None
        if cache is not None and cache.teacher.fingerprint != teacher.fingerprint:
            raise ValueError("the cache belongs to another teacher")
        if cache is not None and image_size is not None and image_size != cache.image_size:
            raise ValueError(f"image_size is {image_size}, but the cache's is {cache.image_size}")
        self.teacher = teacher
        self.image_size = image_size if cache is None else cache.image_size
        self.scale = scale if cache is None else cache.scale
        self.cache = cache

    @property
    def ready(self) -> bool:
        """Whether maps are at hand without running a network, also in data-loading processes."""
        return self.cache is not None or self.teacher.reads_files

    def __call__(self, scene: Scene, pairs: Pairs, device: torch.device | str = "cpu") -> Tensor:
        """(P, D) float32 features of the pairs' pixels, on ``device``; only views that occur in pairs are decoded.

        Sampled where the maps are: on the teacher's device unless they come from a cache.
        """
        features = torch.empty(len(pairs.view_index), self.teacher.dim, device=device)
        view_index, pixels = torch.from_numpy(pairs.view_index), torch.from_numpy(pairs.pixels)
        used = np.unique(pairs.view_index).tolist()
        views = [scene.views[index] for index in used]
        for index, view, feature_map in zip(used, views, self._maps(views), strict=True):
            members = torch.nonzero(view_index == index)[:, 0]
            samples = sample_features(
                feature_map[None], torch.zeros_like(members), pixels[members], torch.tensor([view.size])
            )
            samples = self.teacher.lift(samples).to(device)
            if len(used) == 1:
                return samples
            features[members.to(device)] = samples
        return features

    def dense(self, view: View) -> Tensor:
        """(D, h, w) float32 features of a whole view, on the CPU."""
        feature_map = next(iter(self._maps([view]))).float()
        channels, height, width = feature_map.shape
        lifted = self.teacher.lift(feature_map.permute(1, 2, 0).reshape(height * width, channels))
        return lifted.reshape(height, width, -1).permute(2, 0, 1).cpu()

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
        self.cache.store.remove_stale()
        data = as_dataset(scenes)
        computed = 0
        waiting: list[View] = []
        for done, index in enumerate(range(len(data)), start=1):
            waiting += data.views(index)
            if len(waiting) >= batch_size or done == len(data):
                computed += self.cache.fill(waiting)
                waiting = []
            if progress is not None:
                progress(done, len(data))
        return computed

    def _maps(self, views: Sequence[View]) -> Iterable[Tensor]:
        if self.cache is not None:
            return (self.cache.features(view) for view in views)
        if self.teacher.reads_files:  # one after the other: maps at the size of the images are large
            return (view_features(self.teacher, [view])[0] for view in views)
        return view_features(self.teacher, views, self.image_size, self.scale, device=None)
