"""Measures of how a set of features is laid out, and how the student's layout differs from the teacher's.

All take features as torch tensors or NumPy arrays of shape (N, D), L2-normalise the rows and return a Python float.
Pairs are visited in blocks with float32 products and float64 sums, so 80,000 × 384 features need no N × N matrix;
tensors on a GPU stay there. Features that are not finite, or a row of zeros, which has no direction, raise ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

Features = Tensor | np.ndarray

BLOCK_ROWS = 512
BLOCK_COLUMNS = 4096
CHUNK_ROWS = 8192
# below this share of variance, centred unit rows are rounding errors and have no structure to compare
COLLAPSED = 1e-12


def uniformity(features: Features, t: float = 2.0) -> float:
    """How evenly the features cover the sphere: 0 if all are the same, 2.080 if uniform on S² (with t = 2).

    ``U = −log mean_{i≠j} exp(−t‖x_i − x_j‖²)``, the negated uniformity loss of Wang & Isola (ICML 2020).

    Raises:
        ValueError: if there are fewer than two rows, or ``t`` is not positive.
    """
    _check_scale(t)
    x = _unit_rows(features, "features", minimum=2)
    mean = _LogMeanExp(t)
    for (cosines,), multiplicity in _cosine_blocks(x):
        mean.add(cosines, multiplicity)
    return mean.uniformity()


def tolerance(features: Features, labels: Features) -> float:
    """Mean cosine between different points of one class, averaged over classes (after Wang & Liu, CVPR 2021).

    ``T = mean_c mean_{i≠j, y_i=y_j=c} x_i·x_j``, with the inner mean ``(‖Σx‖² − Σ‖x‖²) / (n(n−1))``. Classes with a
    single point and points with label −1 are left out.

    Args:
        features: (N, D).
        labels: (N,) integers.

    Raises:
        ValueError: if the lengths differ or no class has two points.
    """
    x = _unit_rows(features, "features", minimum=2)
    return _tolerance(x, _classes(labels, x))


def modality_gap(student: Features, teacher: Features) -> float:
    """Distance of the two centroids, ``‖mean_i k_i − mean_i q_i‖`` (Liang et al., NeurIPS 2022); between 0 and 2.

    Raises:
        ValueError: if the dimensions differ. The numbers of rows may.
    """
    k, q = _unit_rows(student, "student"), _unit_rows(teacher, "teacher")
    if k.shape[1] != q.shape[1]:
        raise ValueError(f"student and teacher have different dimensions: {tuple(k.shape)} and {tuple(q.shape)}")
    return _modality_gap(k, q)


def paired_gap(student: Features, teacher: Features) -> float:
    """Mean cosine distance of the pairs, ``1 − mean_i k_i·q_i``; between 0 and 2.

    Raises:
        ValueError: if the shapes differ.
    """
    return _paired_gap(*_paired(student, teacher, minimum=1))


def linear_cka(student: Features, teacher: Features) -> float:
    """Linear centred kernel alignment, in [0, 1]; invariant to rotations, so blind to the modality gap.

    ``‖YᵀX‖_F² / (‖XᵀX‖_F ‖YᵀY‖_F)`` of the centred unit rows (Kornblith et al., ICML 2019); 0 if either is collapsed.
    The dimensions of the two may differ.

    Raises:
        ValueError: if the numbers of rows differ or are below two.
    """
    k, q = _same_rows(student, teacher)
    return _linear_cka(k, q)


def relational_gap(student: Features, teacher: Features) -> float:
    """Mean difference of the two sets' own cosines, ``mean_{i≠j} |k_i·k_j − q_i·q_j|``; the dimensions may differ.

    Raises:
        ValueError: if the numbers of rows differ or are below two.
    """
    k, q = _same_rows(student, teacher)
    total = 0.0
    for (student_cosines, teacher_cosines), multiplicity in _cosine_blocks(k, q):
        total += multiplicity * _absolute_sum(student_cosines, teacher_cosines)
    return total / (len(k) * (len(k) - 1))


def measure(student: Features, teacher: Features, labels: Features | None = None, t: float = 2.0) -> dict[str, float]:
    """All measures of paired features at once, in one pass over the pairs.

    Args:
        student: (N, D) features.
        teacher: (N, D) features of the same points.
        labels: (N,) integer classes, −1 to ignore; without them there is no tolerance.
        t: scale of the uniformity.

    Returns:
        ``student_uniformity``, ``teacher_uniformity`` and their absolute difference ``uniformity_gap``; with labels the
        same three of ``tolerance``; ``modality_gap``, ``paired_gap``, ``linear_cka``, ``relational_gap``.

    Raises:
        ValueError: if the shapes differ, or as the single measures.
    """
    _check_scale(t)
    k, q = _paired(student, teacher, minimum=2)
    means = _LogMeanExp(t), _LogMeanExp(t)
    total = 0.0
    for (student_cosines, teacher_cosines), multiplicity in _cosine_blocks(k, q):
        total += multiplicity * _absolute_sum(student_cosines, teacher_cosines)
        means[0].add(student_cosines, multiplicity)
        means[1].add(teacher_cosines, multiplicity)
    values = _compared("uniformity", means[0].uniformity(), means[1].uniformity())
    if labels is not None:
        classes = _classes(labels, k)
        values |= _compared("tolerance", _tolerance(k, classes), _tolerance(q, classes))
    return values | {
        "modality_gap": _modality_gap(k, q),
        "paired_gap": _paired_gap(k, q),
        "linear_cka": _linear_cka(k, q),
        "relational_gap": total / (len(k) * (len(k) - 1)),
    }


def _compared(name: str, student: float, teacher: float) -> dict[str, float]:
    return {f"student_{name}": student, f"teacher_{name}": teacher, f"{name}_gap": abs(student - teacher)}


class _LogMeanExp:
    """Running ``log mean_{i≠j} exp(−t‖x_i − x_j‖²)`` from blocks of cosines, stable for any t.

    On unit rows ``‖x_i − x_j‖² = 2 − 2 x_i·x_j``; each block is scaled by its own largest term.
    """

    def __init__(self, t: float) -> None:
        self.t = t
        self.log_sum = -math.inf
        self.count = 0

    def add(self, cosines: Tensor, multiplicity: int) -> None:
        """Add a block of cosines, which is overwritten, as if it were there ``multiplicity`` times."""
        highest = cosines.max()
        terms = cosines.sub_(highest).mul_(2.0 * self.t).exp_()
        total = float(terms.sum(dim=1).to(torch.float64).sum())
        log_total = math.log(multiplicity * total) + 2.0 * self.t * (float(highest) - 1.0)
        self.log_sum = float(np.logaddexp(self.log_sum, log_total))
        self.count += multiplicity * cosines.numel()

    def uniformity(self) -> float:
        """The negated logarithm of the mean; rounding may not push it below 0."""
        return max(0.0, math.log(self.count) - self.log_sum)


def _cosine_blocks(*unit: Tensor) -> Iterator[tuple[tuple[Tensor, ...], int]]:
    """Blocks of ``x xᵀ`` for each of ``unit`` that cover all pairs i ≠ j, with how often each block counts.

    The matrix is symmetric: blocks right of the diagonal count twice, those on it once and without the diagonal.
    """
    count = len(unit[0])
    for start in range(0, count, BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, count)
        if stop - start > 1:
            yield tuple(_off_diagonal(x[start:stop] @ x[start:stop].T) for x in unit), 1
        for first in range(stop, count, BLOCK_COLUMNS):
            yield tuple(x[start:stop] @ x[first : first + BLOCK_COLUMNS].T for x in unit), 2


def _off_diagonal(square: Tensor) -> Tensor:
    """View (n−1, n) of the elements of an (n, n) matrix that are not on its diagonal."""
    size = len(square)
    # after its first element, each run of n + 1 elements ends in one of the diagonal
    return square.flatten()[1:].view(size - 1, size + 1)[:, :-1]


def _absolute_sum(first: Tensor, second: Tensor) -> float:
    return float(torch.linalg.vector_norm(first - second, ord=1, dim=1).to(torch.float64).sum())


def _tolerance(x: Tensor, classes: Tensor) -> float:
    kept = classes >= 0
    _, index, counts = classes[kept].unique(return_inverse=True, return_counts=True)
    rows = kept.nonzero()[:, 0]
    sums = torch.zeros(len(counts), x.shape[1], dtype=torch.float64, device=x.device)
    squares = torch.zeros(len(counts), dtype=torch.float64, device=x.device)
    for part, part_index in zip(rows.split(CHUNK_ROWS), index.split(CHUNK_ROWS), strict=True):
        members = x[part].to(torch.float64)
        sums.index_add_(0, part_index, members)
        squares.index_add_(0, part_index, members.square().sum(dim=1))
    several = counts >= 2
    if not bool(several.any()):
        raise ValueError("tolerance needs a class with at least two points")
    pairs = (counts * (counts - 1)).to(torch.float64)
    return float(((sums.square().sum(dim=1) - squares)[several] / pairs[several]).mean())


def _modality_gap(k: Tensor, q: Tensor) -> float:
    return float(torch.linalg.vector_norm(k.mean(dim=0, dtype=torch.float64) - q.mean(dim=0, dtype=torch.float64)))


def _paired_gap(k: Tensor, q: Tensor) -> float:
    return float(1.0 - (k * q).sum(dim=1).mean(dtype=torch.float64))


def _linear_cka(k: Tensor, q: Tensor) -> float:
    student_mean, teacher_mean = k.mean(dim=0, dtype=torch.float64), q.mean(dim=0, dtype=torch.float64)
    products: list[Any] = [0.0, 0.0, 0.0]
    for student_rows, teacher_rows in zip(k.split(CHUNK_ROWS), q.split(CHUNK_ROWS), strict=True):
        x, y = student_rows - student_mean, teacher_rows - teacher_mean  # float64
        products = [total + part for total, part in zip(products, (y.T @ x, x.T @ x, y.T @ y), strict=True)]
    cross, student_norm, teacher_norm = (float(torch.linalg.matrix_norm(product)) for product in products)
    if min(student_norm, teacher_norm) <= COLLAPSED * len(k):
        return 0.0
    return cross**2 / (student_norm * teacher_norm)


def _check_scale(t: float) -> None:
    if not t > 0:
        raise ValueError(f"t must be positive, not {t}")


def _paired(student: Features, teacher: Features, minimum: int) -> tuple[Tensor, Tensor]:
    k, q = _unit_rows(student, "student", minimum), _unit_rows(teacher, "teacher", minimum)
    if k.shape != q.shape:
        raise ValueError(f"student and teacher differ in shape: {tuple(k.shape)} and {tuple(q.shape)}")
    return k, q.to(k.device)


def _same_rows(student: Features, teacher: Features) -> tuple[Tensor, Tensor]:
    k, q = _unit_rows(student, "student", minimum=2), _unit_rows(teacher, "teacher", minimum=2)
    if len(k) != len(q):
        raise ValueError(f"student and teacher differ in rows: {tuple(k.shape)} and {tuple(q.shape)}")
    return k, q.to(k.device)


def _unit_rows(features: Features, name: str, minimum: int = 1) -> Tensor:
    """L2-normalised float32 rows, normalised in the precision in which they came."""
    if isinstance(features, np.ndarray) and not features.flags.writeable:
        features = features.copy()  # a memory-mapped file, of which torch would warn
    x = torch.as_tensor(features).detach()
    if x.ndim != 2 or not x.is_floating_point():
        raise ValueError(f"{name} must be (N, D) floating-point features, not {tuple(x.shape)} {x.dtype}")
    if len(x) < minimum:
        raise ValueError(f"{name} has {len(x)} rows; at least {minimum} are needed")
    if x.dtype != torch.float64:
        x = x.to(torch.float32)
    norms = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    if not bool(torch.isfinite(norms).all()):
        raise ValueError(f"{name} has rows that are not finite: {int((~torch.isfinite(norms)).sum())} of {len(x)}")
    if bool((norms == 0).any()):
        raise ValueError(f"{name} has rows of zeros, which have no direction: {int((norms == 0).sum())} of {len(x)}")
    return (x / norms).to(torch.float32)


def _classes(labels: Features, x: Tensor) -> Tensor:
    classes = torch.as_tensor(labels)
    if classes.shape != x.shape[:1] or classes.is_floating_point():
        raise ValueError(
            f"labels must be ({len(x)},) integers, one per feature row, not {tuple(classes.shape)} {classes.dtype}"
        )
    return classes.to(x.device, torch.int64)
