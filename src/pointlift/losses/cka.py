"""Linear centred kernel alignment as a loss: do the student's features vary together as the teacher's do."""

from __future__ import annotations

import torch
from torch import Tensor

from pointlift.losses.row_blocks import prepare, require_tensors
from pointlift.registry import LOSSES

COLLAPSED = 1e-6
"""Below this share of their norm, centred features are rounding errors and vary with nothing."""


@LOSSES.register("cka", scope="batch")
def cka(student: Tensor, teacher: Tensor, normalize: bool = True) -> Tensor:
    """Distance of linear centred kernel alignment, in [0, 1]; blind to rotations, to scale and to the modality gap.

    ``1 − ‖KᵀQ‖_F² / (‖KᵀK‖_F ‖QᵀQ‖_F)`` of the features with centred columns (Kornblith et al., ICML 2019, "Similarity
    of neural network representations revisited"), with products of D × D instead of N × N. Collapsed features, all rows
    the same, have the distance 1 and no gradient; no rows give a differentiable 0.

    Args:
        student: (N, D).
        teacher: (N, D).
        normalize: L2-normalise the rows of both before they are centred, as `pointlift.structure.linear_cka` does.

    Raises:
        ValueError: if the shapes differ.
    """
    require_tensors(student=student, teacher=teacher)
    with torch.autocast(student.device.type, enabled=False):
        student, teacher = prepare(student, teacher, normalize)
        if len(student) == 0:
            return student.sum() * 0.0
        k, q = _centred(student), _centred(teacher)
        own = torch.linalg.matrix_norm(k.T @ k) * torch.linalg.matrix_norm(q.T @ q)
        return 1.0 - (k.T @ q).square().sum() / own.clamp_min(torch.finfo(k.dtype).tiny)


def _centred(features: Tensor) -> Tensor:
    """Rows with centred columns, of norm 1 together, so that squares of squares neither vanish nor overflow."""
    centred = features - features.mean(dim=0)
    norm = torch.linalg.matrix_norm(centred.detach())  # the ratio is the same for any scale, and so is its gradient
    varies = ~(norm <= COLLAPSED * torch.linalg.matrix_norm(features.detach()))  # NaN included, so that it shows
    return torch.where(varies, centred, 0.0) / torch.where(varies, norm, 1.0)
