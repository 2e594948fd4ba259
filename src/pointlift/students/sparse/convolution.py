"""Sparse convolution as gather, matrix product and segment sum, with a hand-written gradient."""

from __future__ import annotations

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
        starts = kernel_map.starts
        products = features.new_empty(starts[-1], weight.shape[2])
        for k in range(len(weight)):
            start, stop = starts[k], starts[k + 1]
            if stop > start:
                gathered = features.index_select(0, kernel_map.inputs[start:stop])
                torch.mm(gathered, weight[k], out=products[start:stop])
        return kernel_map.by_output.sum(products)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, weight = ctx.saved_tensors
        starts = ctx.kernel_map.starts
        wants_features, wants_weight, _ = ctx.needs_input_grad
        gradient = gradient.contiguous()
        products = gradient.new_empty(starts[-1] if wants_features else 0, weight.shape[1])
        weight_gradient = torch.zeros_like(weight) if wants_weight else None
        for k in range(len(weight)):
            start, stop = starts[k], starts[k + 1]
            if stop == start:
                continue
            gathered = gradient.index_select(0, ctx.kernel_map.outputs[start:stop])
            if wants_features:
                torch.mm(gathered, weight[k].t(), out=products[start:stop])
            if weight_gradient is not None:
                inputs = features.index_select(0, ctx.kernel_map.inputs[start:stop])
                torch.mm(inputs.t(), gathered, out=weight_gradient[k])
        return (ctx.kernel_map.by_input.sum(products) if wants_features else None), weight_gradient, None
