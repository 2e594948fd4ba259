"""Token sets: what a teacher says of an image as a whole, computed once; the target of concept distillation."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor
from torch.nn import functional

from pointlift.data.crops import Crop, crop_view
from pointlift.data.dataset import as_dataset
from pointlift.errors import DataError
from pointlift.files import write_atomically
from pointlift.teachers.base import Teacher
from pointlift.teachers.cache import FeatureCache, remove_stale
from pointlift.teachers.images import teacher_size, view_to_tensor

if TYPE_CHECKING:
    from pointlift.data.scene import Scene, View
    from pointlift.teachers.pixels import PixelFeatures

_log = logging.getLogger(__name__)

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
        self._keys = pixel_features.cache or FeatureCache(
            None, self.teacher, pixel_features.image_size, scale=pixel_features.scale
        )
        self._sets: dict[str, Tensor] = {}
        self._bytes = 0

    def __call__(self, view: View, crop: Crop | None = None) -> Tensor:
        """The (T, D) float32 token set of a view's image, or of a crop of it, on the CPU."""
        if self.teacher.reads_files:
            return self._computed([(view, crop)])[0]
        key = self.key(view, crop)
        found = self._find(key)
        if found is None:
            found = self._computed([(view, crop)])[0]
            self._store(key, found)
        return found

    def precompute(
        self,
        scenes: Sequence[Scene],
        progress: Callable[[int, int], None] | None = None,
        crops: Callable[[View], Sequence[Crop]] = lambda view: (),
    ) -> None:
        """Compute and keep the sets of all views of scenes and of their crops; what is there already is kept."""
        if self.teacher.reads_files:
            self.teacher.require_files(view for views in _views(scenes) for view in views)
            return
        if self._keys.folder is not None:
            remove_stale(self._keys.folder)
        waiting: dict[str, Shown] = {}
        for done, views in enumerate(_views(scenes), start=1):
            for view in views:
                image = self._keys.key(view)
                shown = {self._key(image, crop): (view, crop) for crop in (None, *crops(view))}
                waiting |= {key: one for key, one in shown.items() if not self._has(key)}
            if len(waiting) >= _BATCH or done == len(scenes):
                for key, tokens in zip(waiting, self._computed(list(waiting.values())), strict=True):
                    self._store(key, tokens)
                waiting = {}
            if progress is not None:
                progress(done, len(scenes))

    def statistics(self, scenes: Sequence[Scene]) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (T, D) float32 of every element over all views of scenes.

        Elements that never change have a deviation of 1, so that dividing by it leaves them alone.
        """
        count, total, squares = 0, torch.zeros(()), torch.zeros(())
        shift: Tensor | None = None
        for views in _views(scenes):
            for view in views:
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
        if shown and self.teacher.device.type != "cpu" and torch.utils.data.get_worker_info() is not None:
            raise DataError(
                f"view '{shown[0][0].name}': its token set is not at hand, and a data-loading process cannot compute "
                "it on an accelerator; prepare the method first"
            )
        views = {view: view for view, _ in shown}
        if not self.teacher.reads_files:
            views = {view: replace(view, source=view.image) for view in views}  # each is decoded once
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for index, (view, crop) in enumerate(shown):
            groups[self._size(views[view].size if crop is None else crop.size)].append(index)
        found: dict[int, Tensor] = {}
        for size, members in groups.items():
            for start in range(0, len(members), _BATCH):
                batch = members[start : start + _BATCH]
                looked_at = [(views[view], crop) for view, crop in (shown[index] for index in batch)]
                for index, tokens in zip(batch, self._run(looked_at, size), strict=True):
                    if not bool(torch.isfinite(tokens).all()):
                        view = shown[index][0]
                        raise DataError(f"view '{view.name}' ({view.path}): the teacher's tokens are not finite")
                    found[index] = tokens
        return [found[index] for index in range(len(shown))]

    def _run(self, shown: list[Shown], size: tuple[int, int]) -> Tensor:
        views = [view if crop is None else crop_view(view, crop) for view, crop in shown]
        if self.teacher.reads_files:
            images = torch.zeros(()).expand(len(views), 3, *size)
        else:
            images = torch.stack([view_to_tensor(view, size) for view in views])
        return self.teacher.tokens(images, views).float().cpu()

    def _size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size at which the teacher sees an image or a crop of this (height, width)."""
        if self.teacher.reads_files:
            return size
        return teacher_size(size, self.teacher.stride, self._keys.image_size, self._keys.scale)

    def key(self, view: View, crop: Crop | None = None) -> str:
        """Name of an entry: the image, its crop, and the sizes and settings with which the teacher sees them."""
        return self._key(self._keys.key(view), crop)

    def _key(self, image: str, crop: Crop | None) -> str:
        part = ""
        if crop is not None:
            height, width = self._size(crop.size)
            part = f"-crop{'-'.join(str(int(value)) for value in crop)}-{height}x{width}"
        return f"{image}{part}-tokens{getattr(self.teacher, 'token_settings', '')}"

    def _path(self, key: str) -> Path | None:
        return None if self._keys.folder is None else self._keys.folder / f"{key}.safetensors"

    def _has(self, key: str) -> bool:
        return self._find(key) is not None

    def _find(self, key: str) -> Tensor | None:
        if key in self._sets:
            return self._sets[key]
        path = self._path(key)
        if path is None or not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as entry:
                tokens, metadata = entry.get_tensor("tokens"), entry.metadata()
        except (SafetensorError, OSError, ValueError) as error:
            _log.warning("%s is damaged (%s); its tokens are computed again", path, error)
            return None
        if metadata != {"fingerprint": self.teacher.fingerprint}:
            _log.warning("%s belongs to another teacher; its tokens are computed again", path)
            return None
        self._remember(key, tokens)
        return tokens

    def _store(self, key: str, tokens: Tensor) -> None:
        path = self._path(key)
        if path is not None:
            content = serialize({"tokens": tokens.contiguous()}, {"fingerprint": self.teacher.fingerprint})
            write_atomically(path, content)
        self._remember(key, tokens)

    def _remember(self, key: str, tokens: Tensor) -> None:
        if key not in self._sets and (self._keys.folder is None or self._bytes + tokens.nbytes <= _MEMORY_BYTES):
            self._sets[key] = tokens.clone()
            self._bytes += tokens.nbytes

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the sets in memory that the disk has too, so that worker processes start quickly."""
        state = self.__dict__.copy()
        if self._keys.folder is not None:
            state.update(_sets={}, _bytes=0)
        return state


def token_shape(teacher: Teacher) -> tuple[int, int]:
    """T and D of a teacher's token sets: what it declares as ``token_shape``, else seen on a small image."""
    declared = getattr(teacher, "token_shape", None)
    if declared is not None:
        return int(declared[0]), int(declared[1])
    side = 4 * teacher.stride
    tokens = teacher.tokens(torch.zeros(1, 3, side, side))
    return int(tokens.shape[1]), int(tokens.shape[2])


def grid_tokens(feature_map: Tensor, grid: int) -> Tensor:
    """Means (B, grid², D) of a map (B, D, h, w) over the cells of a grid, row by row; ``grid`` 0 gives none."""
    if grid == 0:
        return feature_map.new_empty(len(feature_map), 0, feature_map.shape[1])
    return functional.adaptive_avg_pool2d(feature_map, grid).flatten(2).transpose(1, 2)


def _views(scenes: Sequence[Scene]) -> Iterator[list[View]]:
    """The views of scene after scene, without reading points where the data set can."""
    data = as_dataset(scenes)
    return (data.views(index) for index in range(len(data)))
