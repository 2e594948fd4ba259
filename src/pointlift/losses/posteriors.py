"""A loss for teachers whose features are class probabilities: label maps and segmenters without text."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from pointlift.losses.row_blocks import normalize_rows, prepare, require_tensors, row_range
from pointlift.registry import LOSSES

LEAST_SHARE = 1e-3
"""Share that a class counts as having at the least: one that never occurs must be kept down too."""


@LOSSES.register("posterior", scope="rows", of_classes=True)
def posterior(
    student: Tensor,
    teacher: Tensor,
    normalize: bool = True,
    rows: slice | None = None,
    *,
    temperature: Annotated[float, Field(gt=0)] = 0.1,
    balance: Annotated[float, Field(ge=0, le=1)] = 0.0,
) -> Tensor:
    """Cross-entropy between the teacher's class probabilities and a softmax over the student's channels.

    ``−(1/N) Σ_i Σ_c p_ic log softmax_c(k_ic / τ + β log π_c)`` with ``p_i = q_i / Σ_c q_ic`` and π the mean of the p_i,
    no entry below `LEAST_SHARE`. β = 0 is knowledge distillation (Hinton et al. 2015); β = 1 is logit adjustment (Menon
    et al., ICLR 2021), under which argmax k is the best classifier if all classes counted the same.

    Args:
        student: (N, D), one channel a class.
        teacher: (N, D), not negative: how likely each class is; each row is divided by its sum.
        normalize: L2-normalise the rows of ``student``, so that a channel is the cosine with its class.
        rows: only the terms of these rows; π is that of all.
        temperature: τ > 0.
        balance: β in [0, 1], from the classes as frequent as they are to all alike.

    Raises:
        ValueError: if the shapes differ, the temperature is not positive, or a probability is negative.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    require_tensors(student=student, teacher=teacher)
    with torch.autocast(student.device.type, enabled=False):
        student, teacher = prepare(student, teacher, normalize=False)
        if bool((teacher < 0).any()):
            raise ValueError(
                "the posterior loss needs class probabilities, and a feature of this teacher is negative; "
                "use it with labelmaps or segmenter without text_source"
            )
        start, stop = row_range(rows, len(student))
        if start == stop:
            return student.sum() * 0.0
        shares = teacher / teacher.sum(dim=1, keepdim=True).clamp_min(1e-12)
        prior = shares.mean(dim=0).clamp_min(LEAST_SHARE)
        own = student[start:stop]
        logits = (normalize_rows(own) if normalize else own) / temperature + balance * prior.log()
        return -(shares[start:stop] * logits.log_softmax(dim=1)).sum(dim=1).mean()
