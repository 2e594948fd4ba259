"""Blocks of rows change neither values nor gradients, and keep memory linear in N."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from pointlift import losses
from pointlift.losses import row_blocks

BLOCKED = ["contrastive", "cross_modal", "intra_modal", "relational"]


def features(rows: int, dim: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, rows, dim, generator=generator, dtype=torch.float64)
    return student.requires_grad_(), teacher


@pytest.mark.parametrize("rows", [None, slice(2, 9)])
@pytest.mark.parametrize("size", [1, 3, 4, 12])
@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("name", BLOCKED)
def test_blocks_equal_one_block(
    name: str, p: int, size: int, rows: slice | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, teacher = features(12, 4)
    options = {} if name == "contrastive" else {"p": p}
    expected = getattr(losses, name)(student, teacher, rows=rows, **options)
    (gradient,) = torch.autograd.grad(expected, student)
    monkeypatch.setattr(row_blocks, "MIN_BLOCK_ROWS", 1)
    monkeypatch.setattr(row_blocks, "CPU_BLOCK", (size, 1 << 20))
    value = getattr(losses, name)(student, teacher, rows=rows, **options)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(torch.autograd.grad(value, student)[0], gradient, rtol=1e-10, atol=1e-13)


class LargestTensor(TorchDispatchMode):
    """The most elements that any tensor made inside has."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.elements = max(self.elements, result.numel())
        return result


@pytest.mark.parametrize("name", BLOCKED)
def test_no_matrix_of_all_pairs(name: str) -> None:
    student, teacher = torch.randn(2048, 8, requires_grad=True), torch.randn(2048, 8)
    with LargestTensor() as largest:
        getattr(losses, name)(student, teacher).backward()
    assert 256 * 2048 // 2 < largest.elements <= 256 * 2048


def test_block_rows() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert row_blocks.block_rows(0, cpu) >= 1
    assert row_blocks.block_rows(4096, cpu) == 256
    assert row_blocks.block_rows(10**6, cpu) == row_blocks.MIN_BLOCK_ROWS
    assert row_blocks.block_rows(4096, gpu) == 8192


def test_normalize_rows_equals_torch_where_there_is_a_direction() -> None:
    student, _ = features(6, 4)
    torch.testing.assert_close(row_blocks.normalize_rows(student), functional.normalize(student, dim=1))
    assert torch.autograd.gradcheck(row_blocks.normalize_rows, student)


def test_a_second_derivative_is_refused() -> None:
    student, teacher = features(6, 4)
    with pytest.raises(RuntimeError, match="only once"):
        torch.autograd.grad(losses.relational(student, teacher), student, create_graph=True)
