"""Token sets: what a teacher says of an image as a whole, computed once; the target of concept distillation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from pointlift.data.crops import Crop, crop_view
from pointlift.data.dataset import as_dataset
from pointlift.errors import DataError
from pointlift.teachers.base import Teacher
from pointlift.teachers.cache import ImageKeys, cannot_compute
from pointlift.teachers.images import view_to_tensor
from pointlift.teachers.store import Entry, Store

if TYPE_CHECKING:
    from pointlift.data.scene import Scene, View
    from pointlift.teachers.pixels import PixelFeatures

_MEMORY_BYTES = 256 * 2**20
_BATCH = 8

Shown = tuple["View", Crop | None]
"""What a teacher is shown: a view's image, or a crop of it."""


class TokenSets:
    """The (T, D) float32 token set of each image or crop, computed once; it may be sent to data-loading processes.

    Entries lie beside the feature maps of the same teacher, under the same key (the image's bytes, the teacher's
    fingerprint, the size at which it sees the image) and the teacher's ``token_settings``. Without a cache they are
    kept in memory. Sets that a teacher reads from files are read each time.

    Args:
        pixel_features: the teacher behind its cache.
    """

    def __init__(self, pixel_features: PixelFeatures) -> None:
        self.teacher: Teacher = pixel_features.teacher
        cache = pixel_features.cache
        own = ImageKeys(self.teacher, pixel_features.image_size, pixel_features.scale)
        self.keys = own if cache is None else cache.keys
        self.store = Store(None if cache is None else cache.folder, "tokens", _MEMORY_BYTES)

    @property
    def shape(self) -> tuple[int, int]:
        """T and D; a `PointliftError` if the teacher has no token sets."""
        return self.teacher.token_shape or self.teacher.lacks("token sets")

    def __call__(self, view: View, crop: Crop | None = None) -> Tensor:
        """The (T, D) float32 token set of a view's image, or of a crop of it, on the CPU."""
        if self.teacher.reads_files:
            return self._computed([(view, crop)])[0]
        entry = self._entry(self.keys.entry(view), crop)
        found = self.store.find(entry)
        if found is None:
            found = self._computed([(view, crop)])[0]
            self.store.keep(entry, found)
        return found

    def precompute(
        self,
        scenes: Sequence[Scene],
        progress: Callable[[int, int], None] | None = None,
        crops: Callable[[View], Sequence[Crop]] = lambda view: (),
    ) -> None:
        """Compute and keep the sets of all views of scenes and of their crops; what is there already is kept."""
        scenes = as_dataset(scenes)
        if self.teacher.reads_files:
            self.teacher.require_files(view for index in range(len(scenes)) for view in scenes.views(index))
            return
        self.store.remove_stale()
        waiting: dict[str, tuple[Entry, Shown]] = {}
        for index in range(len(scenes)):
            for view in scenes.views(index):
                image = self.keys.entry(view)
                for crop in (None, *crops(view)):
                    entry = self._entry(image, crop)
                    if self.store.find(entry) is None:
                        waiting[entry.key] = (entry, (view, crop))
            if len(waiting) >= _BATCH or index == len(scenes) - 1:
                shown = [one for _, one in waiting.values()]
                for (entry, _), tokens in zip(waiting.values(), self._computed(shown), strict=True):
                    self.store.keep(entry, tokens)
                waiting = {}
            if progress is not None:
                progress(index + 1, len(scenes))

    def statistics(self, scenes: Sequence[Scene]) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (T, D) float32 of every element over all views of scenes.

        Elements that never change have a deviation of 1, so that dividing by it leaves them alone.
        """
        count, total, squares = 0, torch.zeros(()), torch.zeros(())
        shift: Tensor | None = None
        scenes = as_dataset(scenes)
        for index in range(len(scenes)):
            for view in scenes.views(index):
                tokens = self(view).double()
                shift = tokens if shift is None else shift  # sums of small differences, not of large values
                count, total, squares = count + 1, total + (tokens - shift), squares + (tokens - shift).square()
        if shift is None:
            raise DataError("no scene has an image, and the statistics of token sets need one")
        mean = total / count
        deviation = (squares / count - mean.square()).clamp(min=0).sqrt()
        mean = mean + shift
        still = deviation <= 1e-6 * mean.abs().clamp(min=1e-6)
        return mean.float(), torch.where(still, 1.0, deviation).float()

    def _computed(self, shown: list[Shown]) -> list[Tensor]:
        if shown and cannot_compute(self.teacher):
            raise DataError(
                f"view '{shown[0][0].name}': its token set is not at hand, and a data-loading process cannot compute "
                "it; prepare the method first"
            )
        views = {view: view for view, _ in shown}
        if not self.teacher.reads_files:
            views = {view: replace(view, source=view.image) for view in views}  # each is decoded once
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for index, (view, crop) in enumerate(shown):
            groups[self.keys.size(views[view].size if crop is None else crop.size)].append(index)
        found: dict[int, Tensor] = {}
        for size, members in groups.items():
            for start in range(0, len(members), _BATCH):
                batch = members[start : start + _BATCH]
                looked_at = [(views[view], crop) for view, crop in (shown[index] for index in batch)]
                for index, tokens in zip(batch, self._run(looked_at, size), strict=True):
                    if not bool(torch.isfinite(tokens).all()):
                        view = shown[index][0]
                        raise DataError(f"view '{view.name}' ({view.path}): the teacher's tokens are not finite")
                    found[index] = tokens.clone()  # of its own memory, not a part of the batch's
        return [found[index] for index in range(len(shown))]

    def _run(self, shown: list[Shown], size: tuple[int, int]) -> Tensor:
        views = [view if crop is None else crop_view(view, crop) for view, crop in shown]
        if self.teacher.reads_files:
            images = torch.zeros(()).expand(len(views), 3, *size)
        else:
            images = torch.stack([view_to_tensor(view, size) for view in views])
        return self.teacher.tokens(images, views).float().cpu()

    def key(self, view: View, crop: Crop | None = None) -> str:
        """Name of an entry: the image, its crop, and the sizes and settings with which the teacher sees them."""
        return self._entry(self.keys.entry(view), crop).key

    def _entry(self, image: Entry, crop: Crop | None) -> Entry:
        """The entry of an image, or of a crop of it, from that of the image's dense features."""
        part = ""
        if crop is not None:
            height, width = self.keys.size(crop.size)
            part = f"-crop{'-'.join(str(int(value)) for value in crop)}-{height}x{width}"
        return Entry(f"{image.key}{part}-tokens{self.teacher.token_settings}", image.origin)


def grid_tokens(feature_map: Tensor, grid: int) -> Tensor:
    """Means (B, grid², D) of a map (B, D, h, w) over the cells of a grid, row by row; ``grid`` 0 gives none."""
    if grid == 0:
        return feature_map.new_empty(len(feature_map), 0, feature_map.shape[1])
    return functional.adaptive_avg_pool2d(feature_map, grid).flatten(2).transpose(1, 2)
