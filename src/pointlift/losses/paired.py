"""Losses between student features K and the frozen features Q of the teacher that they are paired with, row by row.

All take ``student (N, D)`` and ``teacher (N, D)``, L2-normalise the rows unless ``normalize=False``, compute in float32
under mixed precision (float64 stays float64) and send no gradient to the teacher. ``rows`` restricts the loss to the
terms of those rows, averaged over them, against *all* N columns: the mean of such parts, weighted by their numbers of
rows, is the loss of the whole batch, which is what a batch spread over processes needs. No rows give a differentiable
0, and with N = 1 there are no off-diagonal terms. When normalised, a zero row stays zero and receives no gradient.

Options of a recipe are keyword-only; ``normalize`` and ``rows`` are for callers.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from pointlift.losses.row_blocks import prepare, require_tensors, row_range, sum_over_blocks
from pointlift.registry import LOSSES

Power = Literal[1, 2]


@LOSSES.register("contrastive", scope="rows")
def contrastive(
    student: Tensor,
    teacher: Tensor,
    normalize: bool = True,
    rows: slice | None = None,
    *,
    temperature: Annotated[float, Field(gt=0)] = 0.07,
) -> Tensor:
    """InfoNCE from student to teacher: each row's own teacher feature against those of all other rows.

    ``−(1/N) Σ_i log exp(k_i·q_i/τ) / Σ_j exp(k_i·q_j/τ)``; the point-to-pixel form of PPKT and SLidR (CVPR 2022), one
    direction only. Its minimiser is not K = Q.

    Args:
        student: (N, D).
        teacher: (N, D).
        normalize: L2-normalise the rows of both.
        rows: only the terms of these rows, against all columns.
        temperature: τ > 0.

    Raises:
        ValueError: if the shapes differ or the temperature is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    student, teacher = prepare(student, teacher, normalize)
    start, stop = row_range(rows, len(student))
    weight = 1.0 / max(stop - start, 1)

    def terms(k: Tensor, q: Tensor, block: slice, gradient: Tensor | None) -> Tensor:
        logits = (k[block] / temperature) @ q.T  # (b, N)
        own = logits.diagonal(block.start).sum(dtype=torch.float64)  # before the logits are overwritten
        highest = logits.amax(dim=1, keepdim=True)
        exponentials = logits.sub_(highest).exp_()
        sums = exponentials.sum(dim=1, keepdim=True)
        value = (sums.to(torch.float64).log() + highest).sum() - own
        if gradient is not None:
            probabilities = exponentials.div_(sums)
            probabilities.diagonal(block.start).sub_(1.0)
            gradient[block].addmm_(probabilities, q, alpha=weight / temperature)
        return value * weight

    return sum_over_blocks(student, teacher, (start, stop), terms)


@LOSSES.register("similarity", scope="rows")
def similarity(student: Tensor, teacher: Tensor, normalize: bool = True, rows: slice | None = None) -> Tensor:
    """Mean cosine distance of the pairs, without negatives.

    ``(1/N) Σ_i (1 − k_i·q_i)``, as in OpenScene (CVPR 2023).

    Args:
        student: (N, D).
        teacher: (N, D).
        normalize: L2-normalise the rows of both.
        rows: only the terms of these rows.

    Raises:
        ValueError: if the shapes differ.
    """
    require_tensors(student=student, teacher=teacher)
    with torch.autocast(student.device.type, enabled=False):
        student, teacher = prepare(student, teacher, normalize)
        start, stop = row_range(rows, len(student))
        if start == stop:
            return student.sum() * 0.0
        return (1.0 - (student[start:stop] * teacher[start:stop]).sum(dim=1)).mean()


@LOSSES.register("cross_modal", scope="rows")
def cross_modal(
    student: Tensor,
    teacher: Tensor,
    normalize: bool = True,
    rows: slice | None = None,
    *,
    diagonal_weight: float = 1.0,
    cross_weight: float = 1.0,
    p: Power = 1,
) -> Tensor:
    """Student-to-teacher similarities against teacher-to-teacher ones.

    With ``C = |K Qᵀ − Q Qᵀ|^p``: ``diagonal_weight · mean_i C_ii + cross_weight · mean_{i≠j} C_ij``
    (arXiv 2409.00845). With p = 1 and unit rows the first term is `similarity`.

    Args:
        student: (N, D).
        teacher: (N, D).
        normalize: L2-normalise the rows of both.
        rows: only the terms of these rows, against all columns.
        diagonal_weight: weight of each row with its own teacher feature.
        cross_weight: weight of each row with the teacher features of the other rows.
        p: 1 for absolute, 2 for squared differences.

    Raises:
        ValueError: if the shapes differ or p is neither 1 nor 2.
    """
    return _relational(student, teacher, normalize, rows, (diagonal_weight, cross_weight, 0.0), p)


@LOSSES.register("intra_modal", scope="rows")
def intra_modal(
    student: Tensor, teacher: Tensor, normalize: bool = True, rows: slice | None = None, *, p: Power = 1
) -> Tensor:
    """Student-to-student similarities against teacher-to-teacher ones.

    ``mean_{i≠j} |K Kᵀ − Q Qᵀ|^p`` (arXiv 2409.00845). Invariant to rotations of K, so alone it cannot align K with Q.

    Args:
        student: (N, D).
        teacher: (N, D).
        normalize: L2-normalise the rows of both.
        rows: only the terms of these rows, against all columns.
        p: 1 for absolute, 2 for squared differences.

    Raises:
        ValueError: if the shapes differ or p is neither 1 nor 2.
    """
    return _relational(student, teacher, normalize, rows, (0.0, 0.0, 1.0), p)


@LOSSES.register("relational", scope="rows")
def relational(
    student: Tensor,
    teacher: Tensor,
    normalize: bool = True,
    rows: slice | None = None,
    *,
    diagonal_weight: float = 1.0,
    cross_weight: float = 1.0,
    intra_weight: float = 1.0,
    p: Power = 1,
) -> Tensor:
    """Similarity, cross-modal and intra-modal terms together: the relational loss.

    ``diagonal_weight · mean_i C_ii + cross_weight · mean_{i≠j} C_ij + intra_weight · mean_{i≠j} I_ij`` with
    ``C = |K Qᵀ − Q Qᵀ|^p`` and ``I = |K Kᵀ − Q Qᵀ|^p`` (arXiv 2409.00845; the weights are our choice). With p = 1 and
    unit rows, weights (1, 0, 0) are `similarity`; (1, 1, 0) are `cross_modal` and (0, 0, 1) `intra_modal`.

    Args:
        student: (N, D).
        teacher: (N, D).
        normalize: L2-normalise the rows of both.
        rows: only the terms of these rows, against all columns.
        diagonal_weight: weight of each row with its own teacher feature.
        cross_weight: weight of the off-diagonal of the cross-modal term only.
        intra_weight: weight of the intra-modal term.
        p: 1 for absolute, 2 for squared differences.

    Raises:
        ValueError: if the shapes differ or p is neither 1 nor 2.
    """
    return _relational(student, teacher, normalize, rows, (diagonal_weight, cross_weight, intra_weight), p)


def _relational(
    student: Tensor,
    teacher: Tensor,
    normalize: bool,
    rows: slice | None,
    weights: tuple[float, float, float],
    p: Power,
) -> Tensor:
    if p not in (1, 2):
        raise ValueError(f"p must be 1 or 2, not {p}")
    student, teacher = prepare(student, teacher, normalize)
    start, stop = row_range(rows, len(student))
    pairs = (stop - start) * (len(student) - 1)  # off-diagonal terms
    diagonal = weights[0] / max(stop - start, 1)
    cross, intra = (weight / pairs if pairs else 0.0 for weight in weights[1:])
    every_row = stop - start == len(student)

    def terms(k: Tensor, q: Tensor, block: slice, gradient: Tensor | None) -> Tensor:
        value = torch.zeros((), dtype=torch.float64, device=k.device)
        if diagonal:
            value += _diagonal_terms(k, q, block, gradient, diagonal, p)
        if cross:
            value += _cross_terms(k, q, block, gradient, cross, p)
        if intra:
            value += (_intra_terms_symmetric if every_row else _intra_terms)(k, q, block, gradient, intra, p)
        return value

    return sum_over_blocks(student, teacher, (start, stop), terms)


def _diagonal_terms(k: Tensor, q: Tensor, block: slice, gradient: Tensor | None, weight: float, p: Power) -> Tensor:
    """``weight · Σ_i |k_i·q_i − q_i·q_i|^p`` over the rows of the block."""
    differences = ((k[block] - q[block]) * q[block]).sum(dim=1, keepdim=True)  # (b, 1)
    value, derivative = _power_(differences, p)
    if gradient is not None:
        gradient[block].addcmul_(derivative, q[block], value=weight)
    return value.sum() * weight


def _cross_terms(k: Tensor, q: Tensor, block: slice, gradient: Tensor | None, weight: float, p: Power) -> Tensor:
    """``weight · Σ_{j≠i} |k_i·q_j − q_i·q_j|^p`` over the rows i of the block."""
    differences = (k[block] - q[block]) @ q.T  # (b, N): K Qᵀ − Q Qᵀ in one product
    differences.diagonal(block.start).zero_()
    value, derivative = _power_(differences, p)
    if gradient is not None:
        gradient[block].addmm_(derivative, q, alpha=weight)
    return value.sum() * weight


def _intra_terms(k: Tensor, q: Tensor, block: slice, gradient: Tensor | None, weight: float, p: Power) -> Tensor:
    """``weight · Σ_{j≠i} |k_i·k_j − q_i·q_j|^p`` over the rows i of the block."""
    differences = (k[block] @ k.T).addmm_(q[block], q.T, alpha=-1.0)  # (b, N)
    differences.diagonal(block.start).zero_()
    value, derivative = _power_(differences, p)
    if gradient is not None:
        gradient[block].addmm_(derivative, k, alpha=weight)
        gradient.addmm_(derivative.T, k[block], alpha=weight)
    return value.sum() * weight


def _intra_terms_symmetric(
    k: Tensor, q: Tensor, block: slice, gradient: Tensor | None, weight: float, p: Power
) -> Tensor:
    """As `_intra_terms` where all rows are summed: each pair (i, j) is computed once, in the block of the smaller."""
    first, size = block.start, block.stop - block.start
    differences = (k[block] @ k[first:].T).addmm_(q[block], q[first:].T, alpha=-1.0)  # (b, N − first)
    differences.diagonal().zero_()
    within, _ = _power_(differences[:, :size].clone(), p)
    value, derivative = _power_(differences, p)
    if gradient is not None:
        gradient[block].addmm_(derivative, k[first:], alpha=2.0 * weight)
        gradient[block.stop :].addmm_(derivative[:, size:].T, k[block], alpha=2.0 * weight)
    return (2.0 * value.sum() - within.sum()) * weight


def _power_(differences: Tensor, p: Power) -> tuple[Tensor, Tensor]:
    """Row sums of ``|differences|^p`` in float64, and the derivative, which overwrites ``differences``."""
    norms = torch.linalg.vector_norm(differences, ord=p, dim=1).to(torch.float64)
    if p == 1:
        return norms, differences.sign_()
    return norms.square(), differences.mul_(2.0)
