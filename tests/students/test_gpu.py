"""Sparse convolutions on a CUDA device: the CPU's numbers, and the same bits in every run."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from pointlift.students.sparse import Segments, VoxelGrid, pack, sparse_convolution, voxelize

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
KINDS = ["submanifold3", "submanifold5", "strided2", "strided3", "transposed2", "transposed3"]


def convolved(
    kind: str, device: str, share: float = 0.3, dtype: torch.dtype = torch.float32, autocast: torch.dtype | None = None
) -> list[Tensor]:
    """Output and both gradients of one convolution with the same numbers on any device, on the CPU."""
    generator = torch.Generator().manual_seed(0)
    occupied = torch.rand(2, 16, 16, 16, generator=generator) < share
    grid = VoxelGrid(torch.unique(pack(occupied.nonzero())).to(device))
    kernel = int(kind[-1])
    if kind.startswith("submanifold"):
        kernel_map, level = grid.submanifold_map(0, kernel), 0
    elif kind.startswith("strided"):
        kernel_map, level = grid.strided_map(0, kernel), 0
    else:
        kernel_map, level = grid.strided_map(0, kernel).transposed(), 1
    values = torch.randn(grid.count(level), 8, generator=generator).to(device, dtype).requires_grad_()
    weight = (torch.randn(kernel**3, 8, 12, generator=generator) / kernel**1.5).to(device, dtype).requires_grad_()
    with torch.autocast(device, autocast, enabled=autocast is not None):
        out = sparse_convolution(values, weight, kernel_map)
    upstream = torch.randn(out.shape, generator=generator).to(device, out.dtype)
    return [part.detach().cpu() for part in (out, *torch.autograd.grad(out, (values, weight), upstream))]


@pytest.mark.parametrize("kind", KINDS)
def test_convolutions_equal_the_cpu(kind: str) -> None:
    for found, expected in zip(convolved(kind, "cuda"), convolved(kind, "cpu"), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_convolutions_repeat_to_the_bit(kind: str) -> None:
    for first, second in zip(convolved(kind, "cuda"), convolved(kind, "cuda"), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_is_near_float32(kind: str, dtype: torch.dtype) -> None:
    for found, expected in zip(convolved(kind, "cuda", autocast=dtype), convolved(kind, "cuda"), strict=True):
        assert (found.float() - expected).norm() < 0.02 * expected.norm()


@pytest.mark.parametrize("kind", KINDS)
def test_no_voxels(kind: str) -> None:
    out, values, weight = convolved(kind, "cuda", share=0.0)
    assert len(out) == len(values) == 0
    assert not weight.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_segment_sums_equal_a_loop(dtype: torch.dtype) -> None:
    values = torch.randn(500, 7, generator=torch.Generator().manual_seed(0)).to(dtype)
    rows = torch.randint(0, 500, (900,), generator=torch.Generator().manual_seed(1))
    offsets = torch.tensor([0, 0, 3, 400, 401, 900, 900])  # empty groups first, and last
    found = Segments(rows.cuda(), offsets.cuda()).sum(values.cuda()).cpu()
    loop = [values[rows[i:j]].double().sum(0) for i, j in itertools.pairwise(offsets.tolist())]
    assert found.dtype == dtype
    # accumulated in float32 and rounded once
    torch.testing.assert_close(found, torch.stack(loop).to(dtype), rtol=2 * torch.finfo(dtype).eps, atol=1e-4)


def test_voxels_are_those_of_the_cpu() -> None:
    generator = torch.Generator().manual_seed(0)
    points, cloud = torch.randn(3000, 3, generator=generator) * 5, torch.arange(3000) // 1000
    on_cpu, on_gpu = voxelize(points, cloud, 0.3), voxelize(points.cuda(), cloud.cuda(), 0.3)
    for level in (0, 1, 3):
        assert torch.equal(on_gpu.grid.coordinates(level).cpu(), on_cpu.grid.coordinates(level))
    torch.testing.assert_close(on_gpu.pool(points.cuda()).cpu(), on_cpu.pool(points), rtol=1e-5, atol=1e-5)
    assert torch.equal(
        on_gpu.unpool(on_gpu.pool(points.cuda(), "first")).cpu(), on_cpu.unpool(on_cpu.pool(points, "first"))
    )
