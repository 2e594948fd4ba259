"""Batch: several clouds as one list of points with offsets, never padded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pointlift.errors import DataError

if TYPE_CHECKING:
    from pointlift.data.scene import Scene


@dataclass
class Batch:
    """The points of B clouds, one cloud after the other.

    Args:
        points: (ΣN, 3) float32, metres, each cloud in its own sensor frame.
        features: (ΣN, F) float32, one row per point.
        offsets: (B + 1,) int64 with ``offsets[0] == 0`` and ``offsets[-1] == ΣN``; cloud b owns the rows
            ``offsets[b]:offsets[b + 1]``. A cloud may be empty.
        scene_ids: the B ids of the scenes.
        labels: (ΣN,) int64 with -1 for ignored points, or None.

    Raises:
        DataError: if the shapes do not agree.
    """

    points: Tensor
    features: Tensor
    offsets: Tensor
    scene_ids: list[str] = field(default_factory=list)
    labels: Tensor | None = None

    def __post_init__(self) -> None:
        count = len(self.points)
        if self.points.shape != (count, 3):
            raise DataError(f"a batch needs points of shape (N, 3), but has {tuple(self.points.shape)}")
        if self.features.ndim != 2 or len(self.features) != count:
            raise DataError(f"a batch of {count} points needs features ({count}, F), not {tuple(self.features.shape)}")
        if self.labels is not None and self.labels.shape != (count,):
            raise DataError(f"a batch of {count} points needs labels ({count},), not {tuple(self.labels.shape)}")
        if self.offsets.ndim != 1 or len(self.offsets) == 0:
            raise DataError(f"offsets must have shape (B + 1,), not {tuple(self.offsets.shape)}")
        if not self.scene_ids:
            self.scene_ids = [str(index) for index in range(len(self))]
        if len(self.scene_ids) != len(self):
            raise DataError(f"a batch of {len(self)} clouds needs as many scene ids, not {len(self.scene_ids)}")

    def __len__(self) -> int:
        """Number of clouds B."""
        return len(self.offsets) - 1

    def batch_index(self) -> Tensor:
        """Which cloud each point belongs to, (ΣN,) int64."""
        clouds = torch.arange(len(self), device=self.offsets.device)
        return torch.repeat_interleave(clouds, self.offsets.diff(), output_size=len(self.points))

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same batch on another device."""
        return Batch(
            self.points.to(device, non_blocking=non_blocking),
            self.features.to(device, non_blocking=non_blocking),
            self.offsets.to(device, non_blocking=non_blocking),
            list(self.scene_ids),
            None if self.labels is None else self.labels.to(device, non_blocking=non_blocking),
        )

    @classmethod
    def from_scenes(cls, scenes: Sequence[Scene]) -> Batch:
        """Concatenate scenes; ``labels`` are kept if every scene has them.

        Raises:
            DataError: if there is no scene, or if the scenes have different numbers of features.
        """
        if not scenes:
            raise DataError("a batch needs at least one scene")
        widths = sorted({scene.features.shape[1] for scene in scenes})
        if len(widths) > 1:
            raise DataError(f"the scenes of one batch must have the same number of features, but have {widths}")
        labels = [torch.as_tensor(scene.labels, dtype=torch.int64) for scene in scenes if scene.labels is not None]
        counts = torch.tensor([0] + [len(scene.points) for scene in scenes])
        return cls(
            torch.cat([torch.as_tensor(scene.points, dtype=torch.float32) for scene in scenes]),
            torch.cat([torch.as_tensor(scene.features, dtype=torch.float32) for scene in scenes]),
            counts.cumsum(0),
            [scene.id for scene in scenes],
            torch.cat(labels) if len(labels) == len(scenes) else None,
        )
