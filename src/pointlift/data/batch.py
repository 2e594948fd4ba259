"""Batch: several clouds as one list of points with offsets, never padded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pointlift.data.up import UpAxis, heights
from pointlift.errors import DataError

if TYPE_CHECKING:
    from pointlift.data.scene import Scene


@dataclass
class Batch:
    """The points of B clouds, one cloud after the other, and what is known of all of them.

    What not every cloud has is None.

    Args:
        points: (ΣN, 3) float32, metres, each cloud in its own sensor frame.
        features: (ΣN, F) float32, one row per point.
        offsets: (B + 1,) int64 with ``offsets[0] == 0`` and ``offsets[-1] == ΣN``; cloud b owns the rows
            ``offsets[b]:offsets[b + 1]``. A cloud may be empty.
        scene_ids: the B ids of the scenes.
        labels: (ΣN,) int64, classes or parts, with -1 for ignored points.
        instances: (ΣN,) int64, as numbered in each cloud: clouds share numbers.
        boxes: (ΣK, 7) float32, one box per row as in a Scene, each in the frame of its cloud.
        box_offsets: (B + 1,) int64; cloud b owns the boxes ``box_offsets[b]:box_offsets[b + 1]``. There if boxes are.
        box_labels: (ΣK,) int64, -1 for boxes of no class.
        object_classes: (B,) int64, the class of each cloud as a whole.
        up_axes: the B axes that point up, each in the frame of its cloud; z where nothing is said.

    Raises:
        DataError: if the shapes do not agree.
    """

    points: Tensor
    features: Tensor
    offsets: Tensor
    scene_ids: list[str] = field(default_factory=list)
    labels: Tensor | None = None
    instances: Tensor | None = None
    boxes: Tensor | None = None
    box_offsets: Tensor | None = None
    box_labels: Tensor | None = None
    object_classes: Tensor | None = None
    up_axes: list[UpAxis] = field(default_factory=list)

    def __post_init__(self) -> None:
        count = len(self.points)
        if self.points.shape != (count, 3):
            raise DataError(f"a batch needs points of shape (N, 3), but has {tuple(self.points.shape)}")
        if self.features.ndim != 2 or len(self.features) != count:
            raise DataError(f"a batch of {count} points needs features ({count}, F), not {tuple(self.features.shape)}")
        if self.offsets.ndim != 1 or len(self.offsets) == 0:
            raise DataError(f"offsets must have shape (B + 1,), not {tuple(self.offsets.shape)}")
        if not self.scene_ids:
            self.scene_ids = [str(index) for index in range(len(self))]
        if not self.up_axes:
            self.up_axes = ["z"] * len(self)
        if len(self.scene_ids) != len(self):
            raise DataError(f"a batch of {len(self)} clouds needs as many scene ids, not {len(self.scene_ids)}")
        if len(self.up_axes) != len(self):
            raise DataError(f"a batch of {len(self)} clouds needs as many up axes, not {len(self.up_axes)}")
        self._require("labels", self.labels, (count,), f"{count} points")
        self._require("instances", self.instances, (count,), f"{count} points")
        self._require("object_classes", self.object_classes, (len(self),), f"{len(self)} clouds")
        if (self.boxes is None) != (self.box_offsets is None):
            raise DataError("a batch needs boxes and box_offsets, or neither")
        boxes = 0 if self.boxes is None else len(self.boxes)
        self._require("boxes", self.boxes, (boxes, 7), f"{boxes} boxes")
        self._require("box_offsets", self.box_offsets, (len(self) + 1,), f"{len(self)} clouds")
        self._require("box_labels", self.box_labels, (boxes,), f"{boxes} boxes")

    @staticmethod
    def _require(name: str, values: Tensor | None, shape: tuple[int, ...], what: str) -> None:
        if values is not None and values.shape != shape:
            wanted = ", ".join(map(str, shape)) + "," * (len(shape) == 1)
            raise DataError(f"a batch of {what} needs {name} ({wanted}), not {tuple(values.shape)}")

    def __len__(self) -> int:
        """Number of clouds B."""
        return len(self.offsets) - 1

    def batch_index(self) -> Tensor:
        """Which cloud each point belongs to, (ΣN,) int64."""
        clouds = torch.arange(len(self), device=self.offsets.device)
        return torch.repeat_interleave(clouds, self.offsets.diff(), output_size=len(self.points))

    def heights(self) -> Tensor:
        """Height (ΣN,) of every point along the up axis of its cloud, metres."""
        if set(self.up_axes) == {"z"}:
            return self.points[:, 2]
        clouds = self.points.split(self.offsets.diff().tolist())
        return torch.cat([heights(points, up) for points, up in zip(clouds, self.up_axes, strict=True)])

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same batch on another device."""
        return self._mapped(lambda values: values.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory, from which it is copied to a GPU while other work goes on."""
        return self._mapped(Tensor.pin_memory)

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The batch with every tensor changed."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        changed: dict[str, Any] = {name: change(value) for name, value in values.items() if isinstance(value, Tensor)}
        return replace(self, scene_ids=list(self.scene_ids), up_axes=list(self.up_axes), **changed)

    @classmethod
    def from_scenes(cls, scenes: Sequence[Scene]) -> Batch:
        """Concatenate scenes; of what they may lack, that is kept which every scene has.

        Raises:
            DataError: if there is no scene, or if the scenes have different numbers of features.
        """
        if not scenes:
            raise DataError("a batch needs at least one scene")
        widths = sorted({scene.features.shape[1] for scene in scenes})
        if len(widths) > 1:
            raise DataError(f"the scenes of one batch must have the same number of features, but have {widths}")
        boxes = _joined([scene.boxes for scene in scenes], torch.float32)
        return cls(
            torch.cat([torch.as_tensor(scene.points, dtype=torch.float32) for scene in scenes]),
            torch.cat([torch.as_tensor(scene.features, dtype=torch.float32) for scene in scenes]),
            _offsets([len(scene.points) for scene in scenes]),
            [scene.id for scene in scenes],
            labels=_joined([scene.labels for scene in scenes]),
            instances=_joined([scene.instances for scene in scenes]),
            boxes=boxes,
            box_offsets=None if boxes is None else _offsets([len(scene.boxes) for scene in scenes]),  # type: ignore[arg-type]
            box_labels=None if boxes is None else _joined([scene.box_labels for scene in scenes]),
            object_classes=_joined(
                [None if (one := scene.object_class) is None else np.array([one]) for scene in scenes]
            ),
            up_axes=[scene.up_axis for scene in scenes],
        )


def collate(scenes: Sequence[Scene]) -> Batch:
    """A Batch of scenes, as a ``DataLoader`` asks for it in ``collate_fn``; see `Batch.from_scenes`."""
    return Batch.from_scenes(scenes)


def _joined(arrays: Sequence[np.ndarray | None], dtype: torch.dtype = torch.int64) -> Tensor | None:
    """The arrays as one tensor, or None if any of them is missing."""
    known = [torch.as_tensor(array, dtype=dtype) for array in arrays if array is not None]
    return torch.cat(known) if len(known) == len(arrays) else None


def _offsets(counts: Sequence[int]) -> Tensor:
    """(B + 1,) int64: where each cloud begins, and where the last one ends."""
    return torch.tensor([0, *counts]).cumsum(0)
