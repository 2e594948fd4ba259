"""Losses of a labelled point cloud: cross-entropy and Lovász-Softmax, in float32 under mixed precision."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pointlift.losses.row_blocks import require_tensors


def segmentation_loss(logits: Tensor, labels: Tensor, *, lovasz_weight: float = 1.0, ignore: int = -1) -> Tensor:
    """Cross-entropy plus weighted Lovász-Softmax, the loss that SLidR and its successors fine-tune with.

    Args:
        logits: (N, C).
        labels: (N,) integer classes.
        lovasz_weight: weight of the second term; 0 leaves it out.
        ignore: label of points that do not count.

    Returns:
        Scalar; a differentiable 0 if every label is ignored.

    Raises:
        ValueError: if shapes do not fit or a label is neither a class nor ``ignore``.
    """
    loss = cross_entropy(logits, labels, ignore=ignore)
    if lovasz_weight:
        loss = loss + lovasz_weight * lovasz_softmax(logits, labels, ignore=ignore)
    return loss


def cross_entropy(logits: Tensor, labels: Tensor, ignore: int = -1) -> Tensor:
    """Mean negative log-likelihood of the points that are not ignored.

    Args:
        logits: (N, C).
        labels: (N,) integer classes.
        ignore: label of points that do not count.

    Returns:
        Scalar; a differentiable 0 if every label is ignored.

    Raises:
        ValueError: if shapes do not fit or a label is neither a class nor ``ignore``.
    """
    require_tensors(logits=logits, labels=labels)
    with torch.autocast(logits.device.type, enabled=False):
        logits, labels = _evaluated(logits, labels, ignore)
        if len(labels) == 0:
            return logits.sum() * 0.0
        return functional.cross_entropy(logits, labels)


def lovasz_softmax(logits: Tensor, labels: Tensor, ignore: int = -1) -> Tensor:
    """Convex surrogate of 1 − mean IoU over the classes that are present in the batch's labels.

    For each class the Lovász extension of the Jaccard loss ``J(M) = |M| / |foreground ∪ M|`` of the set M of mistaken
    points, at the errors ``|1[y_i = c] − softmax(logits)_ic|`` (Berman et al., CVPR 2018, eqs. 8 to 11).

    Args:
        logits: (N, C).
        labels: (N,) integer classes.
        ignore: label of points that do not count.

    Returns:
        Scalar in [0, 1]; a differentiable 0 if every label is ignored.

    Raises:
        ValueError: if shapes do not fit or a label is neither a class nor ``ignore``.
    """
    require_tensors(logits=logits, labels=labels)
    with torch.autocast(logits.device.type, enabled=False):
        logits, labels = _evaluated(logits, labels, ignore)
        if len(labels) == 0:
            return logits.sum() * 0.0
        present = labels.unique()  # (P,)
        probabilities = logits.softmax(dim=1)[:, present]  # (N, P)
        foreground = labels[:, None] == present  # (N, P)
        errors = torch.where(foreground, 1.0 - probabilities, probabilities)
        errors, order = errors.sort(dim=0, descending=True)
        return (errors * _jaccard_steps(foreground.gather(0, order)).to(errors.dtype)).sum(dim=0).mean()


def _jaccard_steps(foreground: Tensor) -> Tensor:
    """How much the Jaccard loss grows as each point in turn joins the mistaken ones; (N, P) bool -> float64.

    With I foreground points still right and U points in the union, a foreground point adds 1/U; a background point
    widens the union to U and adds I/(U−1) − I/U = I/(U(U−1)). No differences of nearly equal numbers.
    """
    mistaken = foreground.cumsum(dim=0)
    count = mistaken[-1:]
    union = (count + (~foreground).cumsum(dim=0)).to(torch.float64)
    right = (count - mistaken).to(torch.float64)
    # a background point has U ≥ count + 1 ≥ 2; the clamp only keeps the branch not taken finite
    return torch.where(foreground, 1.0 / union, right / (union * (union - 1.0).clamp(min=1.0)))


def _evaluated(logits: Tensor, labels: Tensor, ignore: int) -> tuple[Tensor, Tensor]:
    """Logits (float32, or float64 as given) and labels of the points that count."""
    require_tensors(logits=logits, labels=labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(f"logits must be (N, C) and labels (N,), not {tuple(logits.shape)} and {tuple(labels.shape)}")
    if labels.is_floating_point():
        raise ValueError(f"labels must be integers, not {labels.dtype}")
    counted = labels != ignore
    logits, labels = logits[counted], labels[counted].long()
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < logits.shape[1]:
        raise ValueError(
            f"labels must lie in 0..{logits.shape[1] - 1} or be {ignore} (ignored), "
            f"not in {int(labels.min())}..{int(labels.max())}"
        )
    return logits.to(torch.float64 if logits.dtype == torch.float64 else torch.float32), labels
