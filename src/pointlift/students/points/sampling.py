"""Farthest-point sampling of many clouds at once."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from pointlift.students.points.buckets import Buckets


def farthest_points(
    points: Tensor, offsets: Tensor | Buckets, count: int, *, generator: torch.Generator | None = None
) -> Tensor:
    """Points of each cloud, each the farthest from those before it (greedy; Eldar et al. 1997).

    The first is the cloud's first point or, with a ``generator`` (on the CPU), a random one. Then, with S the points
    taken, the next is argmax over p not in S of min over s in S of ‖p − s‖², the lowest row among equals. Distances are
    (dx² + dy²) + dz² in float32, each operation rounded, so that the CPU and a GPU take the same points. A point is
    taken once, so of coinciding points several are taken only where no other is left.

    Args:
        points: (ΣN, 3), one cloud after the other.
        offsets: (B + 1,) int64; cloud b owns the rows ``offsets[b]:offsets[b + 1]``.
        count: points to take from each cloud.
        generator: draws the first points.

    Returns:
        (B, count) int64 rows of ``points``, in the order in which they were taken.

    Raises:
        DataError: if a cloud has fewer than ``count`` points.
    """
    clouds = offsets if isinstance(offsets, Buckets) else Buckets.of(offsets)
    clouds.require(count, "that farthest-point sampling is to take")
    starts = _first(clouds.sizes, generator).to(points.device, non_blocking=True)
    points = points.detach().float()
    if points.is_cuda and clouds.sizes and _has_kernel():
        from pointlift.students.points import kernel  # where Triton is installed

        if max(clouds.sizes) <= kernel.WIDEST:
            return kernel.farthest_points(points.contiguous(), clouds.offsets, starts, count, max(clouds.sizes))
    picks = clouds.offsets.new_empty(len(clouds.sizes), count)
    for bucket in clouds.all:
        local = _farthest(points[bucket.rows], bucket.padding, starts[bucket.clouds], count)
        picks[bucket.clouds] = bucket.rows.gather(1, local)
    return picks


@cache
def _has_kernel() -> bool:
    """Whether this machine can compile the GPU kernel and gets from it what the loop gives; tried once.

    Triton may be missing, and wants a C compiler and a GPU that it knows. Without it the loop does the same, slower.
    """
    try:
        from pointlift.students.points import kernel

        points = torch.arange(90, device="cuda").float().sin().view(30, 3)
        offsets, starts = torch.tensor([0, 30], device="cuda"), torch.tensor([2], device="cuda")
        found = kernel.farthest_points(points, offsets, starts, 10, 30)
        return torch.equal(found, _farthest(points[None], None, starts, 10))
    except Exception:  # of any kind: Triton raises its own, the compiler's and the driver's
        return False


def _first(sizes: list[int], generator: torch.Generator | None) -> Tensor:
    """(B,) the first point of each cloud, counted within the cloud, on the CPU."""
    if generator is None:
        return torch.zeros(len(sizes), dtype=torch.int64)
    fractions = torch.rand(len(sizes), generator=generator, dtype=torch.float64)
    return (fractions * torch.tensor(sizes)).long()


def _farthest(points: Tensor, padding: Tensor | None, starts: Tensor, count: int) -> Tensor:
    """(b, count) columns of ``points (b, W, 3)``; the loop never waits for the GPU."""
    axes = points.permute(2, 0, 1).contiguous()  # (3, b, W): every operation below runs over whole vectors
    nearest = torch.full_like(axes[0], torch.inf)  # squared distance to the nearest point taken; those taken: -1
    if padding is not None:
        nearest.masked_fill_(padding, -2.0)
    picks = starts.new_empty(len(points), count)
    current = starts[:, None]
    for index in range(count):
        picks[:, index] = current[:, 0]
        nearest.scatter_(1, current, -1.0)
        distance = axes - axes.gather(2, current.expand(3, -1, -1))
        distance.mul_(distance)
        torch.minimum(nearest, distance[0].add_(distance[1]).add_(distance[2]), out=nearest)
        current = nearest.argmax(1, keepdim=True)  # the first of several maxima, as torch documents
    return picks
