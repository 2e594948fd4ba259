"""Points to voxels and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pointlift.errors import DataError
from pointlift.students.sparse.coordinates import VoxelGrid, pack
from pointlift.students.sparse.kernel_map import Segments


@dataclass
class Voxelization:
    """The voxels of a batch of clouds, and which point lies in which voxel.

    ``grid`` holds V voxels; ``voxel_of_point (N,)`` int64; ``points_of_voxel`` lists the points of each voxel.
    """

    grid: VoxelGrid
    voxel_of_point: Tensor
    points_of_voxel: Segments

    def pool(self, values: Tensor, reduce: Literal["mean", "first"] = "mean") -> Tensor:
        """(V, C) values of the voxels from ``values (N, C)`` of the points.

        ``"mean"`` averages the points of a voxel; ``"first"`` keeps the one that comes first in the batch.
        """
        rows, offsets = self.points_of_voxel.rows, self.points_of_voxel.offsets
        if reduce == "first" or len(values) == 0:
            return values.index_select(0, rows.index_select(0, offsets[:-1]))
        return torch.nn.functional.embedding_bag(rows, values, offsets, mode="mean", include_last_offset=True)

    def unpool(self, values: Tensor, rows: Tensor | None = None) -> Tensor:
        """(N, C) values of the points, each that of its voxel in ``values (V, C)``; with ``rows (P,)``, (P, C).

        The gradient is an ordered segment sum, so it is exact and the same in every run.
        """
        if rows is None:
            return _LookUp.apply(values, self.voxel_of_point, self.points_of_voxel)  # type: ignore[no-untyped-call]
        voxel = self.voxel_of_point.index_select(0, rows)
        offsets = torch.cat([voxel.new_zeros(1), torch.bincount(voxel, minlength=len(values)).cumsum(0)])
        segments = Segments(torch.argsort(voxel, stable=True), offsets)
        return _LookUp.apply(values, voxel, segments)  # type: ignore[no-untyped-call]


class _LookUp(torch.autograd.Function):
    """``values[index]`` whose gradient is summed in order; ``segments`` lists where each row of ``values`` went."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor, segments: Segments) -> Tensor:
        ctx.segments = segments
        return values.index_select(0, index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return ctx.segments.sum(gradient.contiguous()), None, None


def voxelize(points: Tensor, batch_index: Tensor, voxel_size: float) -> Voxelization:
    """Group points by Cartesian voxel, floor(point / voxel_size) within each cloud.

    Args:
        points: (N, 3) float, metres.
        batch_index: (N,) int64, the cloud of each point, in [0, 511].
        voxel_size: edge of a voxel, metres.

    Raises:
        DataError: if a point is not finite, or a coordinate exceeds 131072 voxels.
    """
    if voxel_size <= 0:
        raise ValueError(f"voxel_size must be positive, not {voxel_size}")
    # float64: at float32, neighbouring points far away would fall into the wrong voxel
    scaled = torch.floor(points.detach().double() / voxel_size)
    if not bool(torch.isfinite(scaled).all()):
        raise DataError("the points of a batch must be finite, but some coordinates are NaN or infinite")
    if len(scaled) and float(scaled.abs().max()) > 2**40:
        raise DataError(f"points reach {float(points.abs().max()):g} m, which is too far for voxels of {voxel_size} m")
    keys = pack(torch.cat([batch_index[:, None], scaled.long()], dim=1))
    ordered, order = torch.sort(keys, stable=True)
    unique, inverse, counts = torch.unique_consecutive(ordered, return_inverse=True, return_counts=True)
    voxel_of_point = torch.empty_like(inverse)
    voxel_of_point[order] = inverse
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return Voxelization(VoxelGrid(unique), voxel_of_point, Segments(order, offsets))
