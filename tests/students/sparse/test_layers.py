from __future__ import annotations

import pytest
import torch

from pointlift.students.sparse import (
    SparseTensor,
    StridedConvolution,
    SubmanifoldConvolution,
    TransposedConvolution,
    sparse_convolution,
    voxelize,
)


def tensor() -> SparseTensor:
    torch.manual_seed(0)
    voxels = voxelize(torch.rand(200, 3), torch.zeros(200, dtype=torch.int64), 0.2)
    return SparseTensor(torch.randn(voxels.grid.count(), 4), voxels.grid)


def test_down_and_up_end_on_the_same_voxels() -> None:
    x = tensor()
    down = StridedConvolution(4, 6)(x)
    assert (down.level, len(down.features)) == (1, x.grid.count(1))
    up = TransposedConvolution(6, 5)(down)
    assert (up.level, up.features.shape) == (0, (x.grid.count(), 5))


def test_up_is_the_adjoint_of_down() -> None:
    x = tensor()
    down, up = StridedConvolution(4, 6), TransposedConvolution(6, 4)
    up.weight.data = down.weight.data.transpose(1, 2)
    low = torch.randn(x.grid.count(1), 6)
    left = (down(x).features * low).sum()
    right = (x.features * up(SparseTensor(low, x.grid, 1)).features).sum()
    torch.testing.assert_close(left, right)


def test_kernel_one_is_a_matrix_product() -> None:
    x = tensor()
    layer = SubmanifoldConvolution(4, 3, kernel=1)
    expected = sparse_convolution(x.features, layer.weight, x.grid.submanifold_map(0, 1))
    torch.testing.assert_close(layer(x).features, expected)


def test_nothing_is_finer_than_level_zero() -> None:
    with pytest.raises(ValueError, match="level above 0"):
        TransposedConvolution(4, 4)(tensor())
