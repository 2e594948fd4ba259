"""Sparse convolution as gather, matrix product and segment sum, with a hand-written gradient."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pointlift.students.sparse.kernel_map import KernelMap


def sparse_convolution(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
    """Convolve voxel features: out[o] = Σ over pairs (i, o) at offset k of features[i] @ weight[k].

    Under autocast the products use its dtype; sums over the kernel are accumulated in float32 and rounded once.

    Args:
        features: (N_in, C_in).
        weight: (K, C_in, C_out), offsets in lexicographic order of (x, y, z).
        kernel_map: the pairs, from `VoxelGrid`.

    Returns:
        (N_out, C_out).
    """
    device = features.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        features, weight = features.to(dtype), weight.to(dtype)
    with torch.autocast(device, enabled=False):
        return _Convolution.apply(features, weight, kernel_map)  # type: ignore[no-untyped-call]


class _Convolution(torch.autograd.Function):
    """Only the input and the weight are kept for the backward pass; gathers are repeated there."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.kernel_map = kernel_map
        products = features.new_empty(kernel_map.starts[-1], weight.shape[2])
        kernel = weight.unbind(0)
        for k, start, stop in _offsets(kernel_map):
            torch.mm(_gather(features, kernel_map, kernel_map.inputs, k), kernel[k], out=products[start:stop])
        return kernel_map.by_output.sum(products)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, weight = ctx.saved_tensors
        forward_map: KernelMap = ctx.kernel_map
        adjoint = forward_map if forward_map.symmetric else forward_map.transposed()
        # the adjoint of a submanifold map is the map itself with opposite offsets
        opposite = len(weight) - 1 if forward_map.symmetric else 0
        wants_features, wants_weight, _ = ctx.needs_input_grad
        gradient = gradient.contiguous()
        products = gradient.new_empty(adjoint.starts[-1] if wants_features else 0, weight.shape[1])
        weight_gradient = torch.zeros_like(weight) if wants_weight else None
        kernel = weight.transpose(1, 2).unbind(0)
        for k, start, stop in _offsets(adjoint):
            gathered = _gather(gradient, adjoint, adjoint.inputs, k)
            if wants_features:
                torch.mm(gathered, kernel[abs(opposite - k)], out=products[start:stop])
            if weight_gradient is not None:
                inputs = _gather(features, adjoint, adjoint.outputs, k)
                torch.mm(inputs.t(), gathered, out=weight_gradient[abs(opposite - k)])
        return (adjoint.by_output.sum(products) if wants_features else None), weight_gradient, None


def _offsets(kernel_map: KernelMap) -> list[tuple[int, int, int]]:
    """(k, start, stop) of the kernel offsets that have pairs."""
    spans = itertools.pairwise(kernel_map.starts)
    return [(k, start, stop) for k, (start, stop) in enumerate(spans) if stop > start]


def _gather(rows: Tensor, kernel_map: KernelMap, index: Tensor, k: int) -> Tensor:
    """The rows that offset k reads; its centre offset reads every row in order, so nothing needs copying."""
    start, stop = kernel_map.starts[k : k + 2]
    if kernel_map.symmetric and 2 * k == len(kernel_map.starts) - 2:
        return rows
    return rows.index_select(0, index[start:stop])
