"""A loss of somebody's own: the Huber loss of unit features."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from pointlift.losses.row_blocks import prepare, row_range
from pointlift.registry import LOSSES


@LOSSES.register("huber", scope="rows")
def huber(
    student: Tensor,
    teacher: Tensor,
    normalize: bool = True,
    rows: slice | None = None,
    *,
    delta: Annotated[float, Field(gt=0)] = 1.0,
) -> Tensor:
    """Mean Huber loss of the pairs: quadratic up to ``delta``, linear beyond."""
    student, teacher = prepare(student, teacher, normalize)
    start, stop = row_range(rows, len(student))
    terms = functional.huber_loss(student[start:stop], teacher[start:stop], reduction="sum", delta=delta)
    return terms / max(1, (stop - start) * student.shape[1])
