"""The loss of token sets: the mean squared error, paired row by row like every other loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pointlift.losses.row_blocks import prepare, require_tensors, row_range
from pointlift.registry import LOSSES


@LOSSES.register("mse", scope="rows")
def mse(student: Tensor, teacher: Tensor, normalize: bool = False, rows: slice | None = None) -> Tensor:
    """Mean squared error over all values of all rows, of features that are not normalised.

    ``1/(N·D) Σ_i ‖k_i − q_i‖²``; with the T tokens of each image as rows, the loss of concept distillation.

    Args:
        student: (N, D).
        teacher: (N, D).
        normalize: L2-normalise the rows of both.
        rows: only the terms of these rows.

    Raises:
        ValueError: if the shapes differ.
    """
    student, teacher = prepare(student, teacher, normalize)
    start, stop = row_range(rows, len(student))
    terms = functional.mse_loss(student[start:stop], teacher[start:stop], reduction="sum")
    return terms / max(1, (stop - start) * student.shape[1])


def token_rows(tokens: Tensor) -> Tensor:
    """(B, T, D) token sets as (B T, D) rows for a paired loss."""
    require_tensors(tokens=tokens)
    if tokens.ndim != 3:
        raise ValueError(f"token sets are (B, T, D), not {tuple(tokens.shape)}")
    return torch.flatten(tokens, 0, 1)
