"""Farthest-point sampling in one GPU kernel; imported only where Triton is, as it is with torch for CUDA.

A loop of torch operations starts some eight kernels for every point it takes; here a cloud stays in the registers of
one program from the first point to the last.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

WIDEST = 16384  # points of a cloud; beyond, they no longer fit the registers


@triton.jit
def _farthest(  # type: ignore[no-untyped-def]
    points, offsets, starts, picks, count, width: tl.constexpr
):
    cloud = tl.program_id(0)
    start = tl.load(offsets + cloud)
    column = tl.arange(0, width)
    inside = column < tl.load(offsets + cloud + 1) - start
    own = points + start * 3
    x = tl.load(own + column * 3, mask=inside, other=0.0)
    y = tl.load(own + column * 3 + 1, mask=inside, other=0.0)
    z = tl.load(own + column * 3 + 2, mask=inside, other=0.0)
    nearest = tl.where(inside, float("inf"), -2.0)
    current = tl.load(starts + cloud).to(tl.int32)
    for index in range(count):
        tl.store(picks + cloud * count + index, start + current)
        nearest = tl.where(column == current, -1.0, nearest)
        dx = x - tl.load(own + current * 3)
        dy = y - tl.load(own + current * 3 + 1)
        dz = z - tl.load(own + current * 3 + 2)
        nearest = tl.minimum(nearest, (dx * dx + dy * dy) + dz * dz)
        current = tl.argmax(nearest, axis=0, tie_break_left=True)


def farthest_points(points: Tensor, offsets: Tensor, starts: Tensor, count: int, widest: int) -> Tensor:
    """(B, count) rows as `pointlift.students.points.farthest_points`, of clouds of at most ``widest`` points.

    ``points`` must be float32, contiguous and on the GPU, as ``offsets`` and ``starts (B,)`` are.
    """
    picks = offsets.new_empty(len(starts), count)
    width = max(16, triton.next_power_of_2(widest))
    warps = min(32, max(4, width // 512))
    with torch.cuda.device_of(points):
        # a fused multiply-add would round otherwise than the CPU, and choose otherwise among all but equal points
        _farthest[(len(starts),)](
            points, offsets, starts, picks, count, width=width, num_warps=warps, enable_fp_fusion=False
        )
    return picks
