"""Sparse layers: modules that carry a weight and know which kernel map they need."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pointlift.students.sparse.convolution import sparse_convolution
from pointlift.students.sparse.coordinates import VoxelGrid


@dataclass
class SparseTensor:
    """Features (N, C) of the voxels of one level of a grid; level l has stride 2^l."""

    features: Tensor
    grid: VoxelGrid
    level: int = 0

    def with_features(self, features: Tensor) -> SparseTensor:
        """The same voxels with other features."""
        return SparseTensor(features, self.grid, self.level)


class _Convolution(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.kernel = in_channels, out_channels, kernel
        self.weight = nn.Parameter(torch.empty(kernel**3, in_channels, out_channels))
        # He et al. 2015, fan-out mode, as in the published residual U-Nets
        nn.init.normal_(self.weight, std=math.sqrt(2 / (kernel**3 * out_channels)))

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, kernel={self.kernel}"


class SubmanifoldConvolution(_Convolution):
    """Convolution that keeps the voxels: out(c) = Σ_d W_d in(c + d) (Graham et al. 2018).

    ``weight`` is (kernel³, C_in, C_out), offsets in lexicographic order of (x, y, z); kernel 1, 3 or 5. No bias: a
    normalisation follows.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3) -> None:
        super().__init__(in_channels, out_channels, kernel)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Same level, new features."""
        if self.kernel == 1:
            return x.with_features(x.features @ self.weight[0])
        kernel_map = x.grid.submanifold_map(x.level, self.kernel)
        return x.with_features(sparse_convolution(x.features, self.weight, kernel_map))


class StridedConvolution(_Convolution):
    """Convolution with stride 2: out(c) = Σ_d W_d in(2c + d); kernel 2 (d in {0,1}³) or 3 (d in {-1,0,1}³).

    Output voxels are floor(c / 2) of the input voxels.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 2) -> None:
        super().__init__(in_channels, out_channels, kernel)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """One level coarser."""
        kernel_map = x.grid.strided_map(x.level, self.kernel)
        return SparseTensor(sparse_convolution(x.features, self.weight, kernel_map), x.grid, x.level + 1)


class TransposedConvolution(_Convolution):
    """Adjoint of `StridedConvolution`: from level l + 1 back onto the voxels of level l; out(2c + d) += in(c) W_d."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 2) -> None:
        super().__init__(in_channels, out_channels, kernel)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """One level finer."""
        if x.level == 0:
            raise ValueError("a transposed convolution needs a level above 0 to come from")
        kernel_map = x.grid.strided_map(x.level - 1, self.kernel).transposed()
        return SparseTensor(sparse_convolution(x.features, self.weight, kernel_map), x.grid, x.level - 1)
