"""Sparse convolution in plain PyTorch: voxels, kernel maps, layers."""

from pointlift.students.sparse.convolution import sparse_convolution
from pointlift.students.sparse.coordinates import VoxelGrid, kernel_offsets, pack
from pointlift.students.sparse.kernel_map import KernelMap, Segments
from pointlift.students.sparse.layers import (
    SparseTensor,
    StridedConvolution,
    SubmanifoldConvolution,
    TransposedConvolution,
)
from pointlift.students.sparse.voxelize import Voxelization, voxelize

__all__ = [
    "KernelMap",
    "Segments",
    "SparseTensor",
    "StridedConvolution",
    "SubmanifoldConvolution",
    "TransposedConvolution",
    "VoxelGrid",
    "Voxelization",
    "kernel_offsets",
    "pack",
    "sparse_convolution",
    "voxelize",
]
