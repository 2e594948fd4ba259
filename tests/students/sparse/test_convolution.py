from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv3d, conv_transpose3d

from pointlift.students.sparse import KernelMap, VoxelGrid, pack, sparse_convolution

SIZE = 8
KINDS = ["submanifold3", "submanifold5", "strided2", "strided3", "transposed2", "transposed3"]


def small_grid(size: int = SIZE, share: float = 0.3) -> VoxelGrid:
    occupied = torch.rand(2, size, size, size, generator=torch.Generator().manual_seed(0)) < share
    return VoxelGrid(torch.unique(pack(occupied.nonzero())))


def to_dense(values: Tensor, coordinates: Tensor, size: int) -> Tensor:
    grid = values.new_zeros(2, size, size, size, values.shape[1])
    return grid.index_put(coordinates.unbind(1), values).permute(0, 4, 1, 2, 3)


def at(grid: Tensor, coordinates: Tensor) -> Tensor:
    return grid.permute(0, 2, 3, 4, 1)[coordinates.unbind(1)]


def problem(kind: str, grid: VoxelGrid) -> tuple[KernelMap, int, int]:
    """(map, level of the inputs, level of the outputs)."""
    kernel = int(kind[-1])
    if kind.startswith("submanifold"):
        return grid.submanifold_map(0, kernel), 0, 0
    if kind.startswith("strided"):
        return grid.strided_map(0, kernel), 0, 1
    return grid.strided_map(0, kernel).transposed(), 1, 0


def dense_reference(kind: str, values: Tensor, weight: Tensor, grid: VoxelGrid) -> Tensor:
    kernel = int(kind[-1])
    cube = weight.view(kernel, kernel, kernel, *weight.shape[1:]).permute(4, 3, 0, 1, 2)
    fine, coarse = grid.coordinates(0), grid.coordinates(1)
    if kind.startswith("submanifold"):
        return at(conv3d(to_dense(values, fine, SIZE), cube, padding=kernel // 2), fine)
    padding = kernel - 2
    if kind.startswith("strided"):
        return at(conv3d(to_dense(values, fine, SIZE), cube, stride=2, padding=padding), coarse)
    grown = conv_transpose3d(
        to_dense(values, coarse, SIZE // 2), cube.transpose(0, 1), stride=2, padding=padding, output_padding=padding
    )
    return at(grown, fine)


@pytest.mark.parametrize("kind", KINDS)
def test_equals_dense_convolution(kind: str) -> None:
    grid = small_grid()
    kernel_map, level, _ = problem(kind, grid)
    torch.manual_seed(1)
    values = torch.randn(grid.count(level), 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(int(kind[-1]) ** 3, 4, 3, dtype=torch.float64, requires_grad=True)
    ours = sparse_convolution(values, weight, kernel_map)
    reference = dense_reference(kind, values, weight, grid)
    torch.testing.assert_close(ours, reference)
    upstream = torch.randn_like(ours)
    gradients = torch.autograd.grad(ours, (values, weight), upstream)
    expected = torch.autograd.grad(reference, (values, weight), upstream)
    torch.testing.assert_close(gradients, expected)


def test_blocks_change_nothing() -> None:
    grid = small_grid()
    values = torch.randn(grid.count(), 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(27, 4, 3, dtype=torch.float64, requires_grad=True)

    def run(block_size: int) -> list[Tensor]:
        out = sparse_convolution(values, weight, KernelMap.submanifold(grid.neighbours(0, 3), block_size))
        return [out, *torch.autograd.grad(out.sin().sum(), (values, weight))]

    torch.testing.assert_close(run(50), run(10_000))


@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck(kind: str) -> None:
    grid = small_grid(4, 0.2)
    kernel_map, level, _ = problem(kind, grid)
    values = torch.randn(grid.count(level), 2, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(int(kind[-1]) ** 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v, w: sparse_convolution(v, w, kernel_map), (values, weight), fast_mode=True)


@pytest.mark.parametrize("frozen", ["values", "weight"])
def test_only_the_wanted_gradient(frozen: str) -> None:
    grid = small_grid(4)
    values = torch.randn(grid.count(), 2, requires_grad=frozen != "values")
    weight = torch.randn(27, 2, 3, requires_grad=frozen != "weight")
    sparse_convolution(values, weight, grid.submanifold_map(0, 3)).sum().backward()
    assert (values.grad is None) == (frozen == "values")
    assert (weight.grad is None) == (frozen == "weight")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("points", [0, 1])
def test_nothing_and_one_voxel(kind: str, points: int) -> None:
    grid = VoxelGrid(pack(torch.tensor([[0, 3, -2, 5]])[:points]))
    kernel_map, level, out_level = problem(kind, grid)
    values = torch.randn(grid.count(level), 2, requires_grad=True)
    weight = torch.randn(int(kind[-1]) ** 3, 2, 3, requires_grad=True)
    out = sparse_convolution(values, weight, kernel_map)
    assert out.shape == (grid.count(out_level), 3)
    out.sum().backward()
    assert torch.isfinite(weight.grad).all()


def test_bfloat16_autocast_is_close_and_gradients_are_float32() -> None:
    grid = small_grid()
    values = torch.randn(grid.count(), 16, requires_grad=True)
    weight = (torch.randn(27, 16, 16) / 12).requires_grad_()
    kernel_map = grid.submanifold_map(0, 3)
    exact = sparse_convolution(values, weight, kernel_map)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = sparse_convolution(values, weight, kernel_map)
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, atol=0.05, rtol=0.05)
    rounded.float().square().sum().backward()
    assert values.grad.dtype == weight.grad.dtype == torch.float32


def test_bfloat16_weight_gradients_are_summed_over_blocks_in_float32() -> None:
    """512 blocks of one voxel: bfloat16 sums would stop growing at 256, where adding 1 rounds to nothing."""
    grid = VoxelGrid(pack(torch.cartesian_prod(torch.zeros(1, dtype=torch.int64), *[torch.arange(16)[::2]] * 3)))
    ones = torch.ones(grid.count(), 1, dtype=torch.bfloat16)
    weight = torch.ones(27, 1, 1, dtype=torch.bfloat16, requires_grad=True)
    kernel_map = KernelMap.submanifold(grid.neighbours(0, 3), block_size=1)
    sparse_convolution(ones, weight, kernel_map).backward(ones)
    assert weight.grad.dtype == torch.bfloat16
    assert weight.grad[13].item() == grid.count() == 512


def test_runs_are_identical() -> None:
    grid = small_grid()

    def run() -> list[Tensor]:
        torch.manual_seed(0)
        values = torch.randn(grid.count(), 16, requires_grad=True)
        weight = torch.randn(27, 16, 16, requires_grad=True)
        out = sparse_convolution(values, weight, grid.submanifold_map(0, 3))
        return [out, *torch.autograd.grad(out.square().sum(), (values, weight))]

    assert all(torch.equal(a, b) for a, b in zip(run(), run(), strict=True))


@pytest.mark.parametrize("kind", ["submanifold3", "strided2"])
def test_equals_spconv(kind: str) -> None:
    spconv = pytest.importorskip("spconv.pytorch")
    assert torch.get_num_threads() == 1  # spconv's CPU code is wrong with more
    grid = small_grid()
    kernel_map, _, out_level = problem(kind, grid)
    values = torch.randn(grid.count(), 4)
    kernel = int(kind[-1])
    theirs = (spconv.SubMConv3d if kernel == 3 else spconv.SparseConv3d)(
        4, 5, kernel, stride=1 if kernel == 3 else 2, bias=False
    )
    weight = theirs.weight.detach().permute(1, 2, 3, 4, 0).reshape(kernel**3, 4, 5)  # theirs is (C_out, k, k, k, C_in)
    with torch.no_grad():
        out = theirs(spconv.SparseConvTensor(values, grid.coordinates().int(), [SIZE] * 3, 2))
    expected = {tuple(c): row for c, row in zip(out.indices.tolist(), out.features, strict=True)}
    ours = sparse_convolution(values, weight, kernel_map)
    assert len(expected) == len(ours)
    for coordinate, row in zip(grid.coordinates(out_level).tolist(), ours, strict=True):
        torch.testing.assert_close(row, expected[tuple(coordinate)], atol=1e-5, rtol=1e-5)
