"""The loss of a batch that is spread over processes: N processes give the loss and gradients of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

Function = Callable[..., Tensor]


def loss_of_rows(loss: Function, student: Tensor, teacher: Tensor, extras: Mapping[str, Tensor]) -> Tensor:
    """A mean over rows of the global batch: that of the rows of all processes, each against the rows of all.

    Each process computes the terms of its own rows. The value returned is that of the global batch, the same on every
    process and ready for logging. Its gradient is scaled by the number of processes, so that after the *averaging* of
    DistributedDataParallel the parameters have the gradient that one process with the whole batch would give them. All
    processes must call this, and ``backward``, equally often; one without rows passes (0, D) features. Without
    ``torch.distributed``, or with one process, it is ``loss(student, teacher, **extras)``.

    Args:
        loss: a paired loss that takes ``rows``, such as ``functools.partial(contrastive, temperature=0.1)``.
        student: (n, D), this process's rows; n may differ between processes.
        teacher: (n, D).
        extras: (n, …) each, the same names on every process; no gradient passes.

    Raises:
        ValueError: from the loss, for example if the shapes differ.
    """
    if not _several_processes():
        return loss(student, teacher, **extras)
    everyone, targets, beside, own = _of_all(student, teacher, extras)
    part = loss(everyone, targets, rows=own, **beside) * (len(student) / max(len(everyone), 1))
    value = part.detach().clone()
    dist.all_reduce(value)
    return _ValueOfAll.apply(part, value, dist.get_world_size())


def loss_of_batch(loss: Function, student: Tensor, teacher: Tensor, extras: Mapping[str, Tensor]) -> Tensor:
    """A function of the global batch: every process computes it of the rows of all.

    As `loss_of_rows`, of a loss that takes no ``rows``: the gradients of all processes are summed for each row, so that
    their average is that of one process.
    """
    if not _several_processes():
        return loss(student, teacher, **extras)
    everyone, targets, beside, _ = _of_all(student, teacher, extras)
    return loss(everyone, targets, **beside)


def _of_all(
    student: Tensor, teacher: Tensor, extras: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor, dict[str, Tensor], slice]:
    """The student's rows of all processes, through which gradients pass, the teacher's, extras, and which are own."""
    if student.shape != teacher.shape:
        raise ValueError(
            f"student and teacher must be two (N, D) matrices of one shape, not "
            f"{tuple(student.shape)} and {tuple(teacher.shape)}"
        )
    counts, differentiable = _exchange(student)
    first = sum(counts[: dist.get_rank()])
    if differentiable and not student.requires_grad:
        # the others' backward passes wait for this process's part in the sum, so it must have one
        student = student.detach().requires_grad_()
    dtype = torch.float64 if student.dtype == torch.float64 else torch.float32
    everyone = _GatherRows.apply(student.to(dtype), counts)
    targets = _gather_rows(teacher.detach().to(student.device, dtype), counts)
    beside = {name: _gather_rows(values.detach().to(student.device), counts) for name, values in extras.items()}
    return everyone, targets, beside, slice(first, first + len(student))


def gather_rows(rows: Tensor) -> Tensor:
    """Rows (N, D) of all processes in the order of their ranks; the same rows where there is one process.

    For losses that no sum over rows makes, such as Lovász-Softmax: every process computes the loss of all rows, and the
    backward pass sums what all of them ask of this process's rows, so that averaged gradients are those of one process.
    """
    if not _several_processes():
        return rows
    return _GatherRows.apply(rows, _exchange(rows)[0])


def permuted_rows(rows: Tensor, seed: int) -> Tensor:
    """This process's share of the rows (N, D) of all processes after one permutation of them all, drawn from ``seed``.

    N processes that hold the rows of one in the same order get what one process gets; no gradient passes.
    """
    everyone = gather_rows(rows.detach())
    order = torch.randperm(len(everyone), generator=torch.Generator().manual_seed(seed)).to(rows.device)
    first = sum(_exchange(rows)[0][: dist.get_rank()]) if _several_processes() else 0
    return everyone[order[first : first + len(rows)]]


def _several_processes() -> bool:
    """Whether the batch is spread: the same answer on every process, however many rows each has."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _exchange(student: Tensor) -> tuple[list[int], bool]:
    """Number of rows of every process, and whether any of them differentiates."""
    wants_gradient = torch.is_grad_enabled() and student.requires_grad
    local = torch.tensor([len(student), int(wants_gradient)], device=student.device)
    gathered = [torch.empty_like(local) for _ in range(dist.get_world_size())]
    dist.all_gather(gathered, local)
    facts = torch.stack(gathered).tolist()
    return [count for count, _ in facts], torch.is_grad_enabled() and any(wants for _, wants in facts)


def _gather_rows(features: Tensor, counts: list[int]) -> Tensor:
    """Rows of all processes in the order of their ranks; padded on the way, for collectives want equal shapes."""
    padded = features.new_zeros(max(counts), *features.shape[1:])
    padded[: len(features)] = features
    gathered = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(gathered, padded)
    return torch.cat([part[:count] for part, count in zip(gathered, counts, strict=True)])


class _GatherRows(torch.autograd.Function):
    """`_gather_rows` whose backward sums what all processes ask of this one's rows."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        return _gather_rows(features, counts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        first = sum(ctx.counts[: dist.get_rank()])
        return gradient[first : first + ctx.counts[dist.get_rank()]], None


class _ValueOfAll(torch.autograd.Function):
    """The value of the global batch, with the gradient of this process's part times the number of processes."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, value: Tensor, processes: int) -> Tensor:
        ctx.processes = processes
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient * ctx.processes, None, None
