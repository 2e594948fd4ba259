"""Batch normalisation over the rows of all processes."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class _AllReduceSum(torch.autograd.Function):
    """Sum over processes; the gradient of the sum of all processes' losses is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


def _world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation of rows (N, C) whose training statistics are those of all processes together.

    In one process it is `torch.nn.BatchNorm1d`. With torch.distributed initialised, mean and variance are taken over
    the rows of every process (the processes may hold different numbers of rows, also none), and gradients flow through
    them, so that N processes give the outputs, gradients and running statistics of one. The mean is reduced first and
    then the centred squares, which keeps the variance precise. Every process must call it equally often.

    No rows and a single row are no error: without rows nothing is updated; a single row normalises to the bias.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C) to (N, C), in the dtype of ``x``."""
        synchronised = self.training and _world_size() > 1
        if not synchronised and (len(x) > 1 or not self._uses_batch_statistics()):
            return super().forward(x)
        if len(x) == 0 and not synchronised:
            return (x * self.weight + self.bias).to(x.dtype) if self.affine else x
        return self._normalize(x, synchronised)

    def _uses_batch_statistics(self) -> bool:
        return self.training or self.running_mean is None

    def _normalize(self, x: Tensor, synchronised: bool) -> Tensor:
        rows = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        count = rows.new_tensor([float(len(rows))])
        total = torch.cat([rows.sum(0), count])
        total = _AllReduceSum.apply(total) if synchronised else total  # type: ignore[no-untyped-call]
        count = total[-1].detach().clamp(min=1)
        mean = total[:-1] / count
        centred = rows - mean
        squares = centred.square().sum(0)
        squares = _AllReduceSum.apply(squares) if synchronised else squares  # type: ignore[no-untyped-call]
        variance = squares / count
        self._update(mean.detach(), variance.detach(), count)
        normalized = centred * torch.rsqrt(variance + self.eps)
        if self.affine:
            normalized = normalized * self.weight + self.bias
        return normalized.to(x.dtype)

    @torch.no_grad()
    def _update(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        if not (self.training and self.track_running_stats):
            return
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        factor = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        unbiased = variance * (count / (count - 1).clamp(min=1))
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), factor)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), factor)
