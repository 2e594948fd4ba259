"""Whole clouds of a batch: which of their points are taken, and the spheres in which they lie."""

from __future__ import annotations

import torch
from torch import Tensor


def drawn_rows(offsets: Tensor, points: int | None, *, random: bool) -> tuple[Tensor, Tensor]:
    """Which points of each cloud are taken, each at most once, in the order of the batch.

    Args:
        offsets: (B + 1,) int64 of the clouds.
        points: P, how many of each cloud at most; None: all.
        random: drawn anew with torch's generator, else always the same of clouds of one size.

    Returns:
        Rows (ΣP,) int64 of the batch's points, and the offsets (B + 1,) int64 of the clouds that they form.
    """
    rows = []
    for first, last in zip(offsets.tolist(), offsets.tolist()[1:], strict=False):
        count = last - first
        if points is None or count <= points:
            rows.append(torch.arange(first, last))
        else:
            generator = None if random else torch.Generator().manual_seed(0)
            rows.append(first + torch.randperm(count, generator=generator)[:points].sort().values)
    counts = torch.tensor([0, *(len(part) for part in rows)])
    found = torch.cat(rows) if rows else torch.zeros(0, dtype=torch.int64)
    return found.to(offsets.device), counts.cumsum(0).to(offsets.device)


def unit_spheres(points: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Means (B, 3) of clouds and their points' largest distances (B,) from them, 1 where all coincide; float64."""
    counts = offsets.diff()
    clouds = torch.repeat_interleave(torch.arange(len(counts), device=points.device), counts)
    sums = points.new_zeros(len(counts), 3, dtype=torch.float64).index_add_(0, clouds, points.double())
    centres = sums / counts.clamp(min=1)[:, None]
    squared = (points.double() - centres[clouds]).square().sum(1)
    radii = squared.new_zeros(len(counts)).scatter_reduce_(0, clouds, squared, "amax").sqrt()
    return centres, torch.where(radii > 0, radii, 1.0)
