"""Losses over all N × N pairs of rows, computed in blocks of rows, so that memory grows with N and not with N².

The gradient of a scalar loss is known up to one factor as soon as its value is, so each block adds its gradient to an
(N, D) buffer while its part of the pair matrix is still at hand: nothing of size N × N is kept and nothing is computed
twice. Written by hand, the gradient also takes fewer matrix products than automatic differentiation would.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pointlift.errors import DataError

# (rows, elements of the pair matrix) that a block may have. On a CPU it should stay near the caches, and several blocks
# let symmetric matrices be halved (benchmarks/losses.py); a GPU wants products that fill it.
CPU_BLOCK = 256, 1 << 22
GPU_BLOCK = 8192, 1 << 25
MIN_BLOCK_ROWS = 64
NORM_EPSILON = 1e-12

BlockTerms = Callable[[Tensor, Tensor, slice, "Tensor | None"], Tensor]
"""``(student (N, D), teacher (N, D), rows, gradient (N, D) or None) -> float64 scalar``: the terms of those rows;
their gradient with respect to the student is added to ``gradient`` in place."""


def require_tensors(**given: object) -> None:
    """A `DataError` that names the first argument that is no tensor, and how it becomes one."""
    for name, value in given.items():
        if not isinstance(value, Tensor):
            kind = f"{type(value).__module__}.{type(value).__name__}"
            raise DataError(f"{name} must be a torch tensor, not {kind}; torch.as_tensor({name}) makes it one")


def prepare(student: Tensor, teacher: Tensor, normalize: bool) -> tuple[Tensor, Tensor]:
    """Check, cast (float64 stays, all else becomes float32), detach the teacher and L2-normalise both.

    Raises:
        ValueError: if the two are not matrices of the same shape. DataError: if they are no tensors.
    """
    require_tensors(student=student, teacher=teacher)
    if student.ndim != 2 or student.shape != teacher.shape:
        raise ValueError(
            f"student and teacher must be two (N, D) matrices of one shape, not "
            f"{tuple(student.shape)} and {tuple(teacher.shape)}"
        )
    dtype = torch.float64 if student.dtype == torch.float64 else torch.float32
    with torch.autocast(student.device.type, enabled=False):
        student, teacher = student.to(dtype), teacher.detach().to(student.device, dtype)
        if normalize:
            student, teacher = normalize_rows(student), normalize_rows(teacher)
    return student, teacher


def normalize_rows(features: Tensor) -> Tensor:
    """L2-normalised rows; a zero row stays zero and receives no gradient.

    `torch.nn.functional.normalize` would hand a zero row its gradient divided by 1e-12.
    """
    norms = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    usable = ~(norms <= NORM_EPSILON)  # NaN included, so that it shows in the loss
    return torch.where(usable, features / torch.where(usable, norms, 1.0), 0.0)


def row_range(rows: slice | None, count: int) -> tuple[int, int]:
    """``rows`` as (start, stop) within ``count`` rows.

    Raises:
        ValueError: if the slice has a step.
    """
    if rows is None:
        return 0, count
    start, stop, step = rows.indices(count)
    if step != 1:
        raise ValueError(f"rows must be a slice without a step, not {rows}")
    return start, max(start, stop)


def block_rows(columns: int, device: torch.device) -> int:
    """How many rows of an ``N × columns`` pair matrix one block holds."""
    rows, elements = CPU_BLOCK if device.type == "cpu" else GPU_BLOCK
    return max(MIN_BLOCK_ROWS, min(rows, elements // max(columns, 1)))


def sum_over_blocks(student: Tensor, teacher: Tensor, rows: tuple[int, int], terms: BlockTerms) -> Tensor:
    """Sum of ``terms`` over blocks of ``rows``, differentiable once with respect to the student.

    Returns:
        Scalar of the student's type; a differentiable 0 if there are no rows.
    """
    if rows[0] == rows[1]:
        return student.sum() * 0.0
    with torch.autocast(student.device.type, enabled=False):
        return _SumOverBlocks.apply(student, teacher, rows, terms, torch.is_grad_enabled() and student.requires_grad)


class _SumOverBlocks(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, student: Tensor, teacher: Tensor, rows: tuple[int, int], terms: BlockTerms, differentiate: bool
    ) -> Tensor:
        gradient = torch.zeros_like(student) if differentiate else None
        total = torch.zeros((), dtype=torch.float64, device=student.device)
        size = block_rows(len(student), student.device)
        for start in range(rows[0], rows[1], size):
            total += terms(student, teacher, slice(start, min(start + size, rows[1])), gradient)
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return total.to(student.dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, None, None, None, None]:
        if torch.is_grad_enabled():  # create_graph=True; without this a second derivative would silently lack terms
            raise RuntimeError("this loss can be differentiated only once, so not with create_graph=True")
        (gradient,) = ctx.saved_tensors
        return gradient * upstream, None, None, None, None
