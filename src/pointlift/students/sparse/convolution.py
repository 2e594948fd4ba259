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
        kernel = weight.unbind(0)
        buffer = features.new_empty(max(block.pairs for block in kernel_map.blocks), weight.shape[2])
        sums = []
        for block in kernel_map.blocks:
            base = block.starts[0]
            for k, start, stop in block.offsets():
                gathered = features.index_select(0, kernel_map.inputs[start:stop])
                torch.mm(gathered, kernel[k], out=buffer[start - base : stop - base])
            sums.append(block.by_output.sum(buffer[: block.pairs]))
        return sums[0] if len(sums) == 1 else torch.cat(sums)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, weight = ctx.saved_tensors
        forward_map: KernelMap = ctx.kernel_map
        adjoint = forward_map.adjoint or forward_map
        # a submanifold map is its own adjoint with opposite offsets
        last = len(weight) - 1
        offset = [last - k if forward_map.symmetric else k for k in range(len(weight))]
        wants_features, wants_weight, _ = ctx.needs_input_grad
        gradient = gradient.contiguous()
        kernel = weight.transpose(1, 2).unbind(0)
        buffer = gradient.new_empty(max(block.pairs for block in adjoint.blocks), weight.shape[1])
        half = weight.dtype in (torch.bfloat16, torch.float16)
        weight_gradient = torch.zeros_like(weight, dtype=torch.float32 if half else None)
        weight_slices = weight_gradient.unbind(0)
        sums = []
        for block in adjoint.blocks:
            base = block.starts[0]
            for k, start, stop in block.offsets():
                gathered = gradient.index_select(0, adjoint.inputs[start:stop])
                if wants_features:
                    torch.mm(gathered, kernel[offset[k]], out=buffer[start - base : stop - base])
                if wants_weight:
                    inputs = features.index_select(0, adjoint.outputs[start:stop])
                    if half:  # the sum over blocks would lose what is small beside it
                        weight_slices[offset[k]].add_(inputs.t() @ gathered)
                    else:
                        weight_slices[offset[k]].addmm_(inputs.t(), gathered)
            if wants_features:
                sums.append(block.by_output.sum(buffer[: block.pairs]))
        input_gradient = torch.cat(sums) if wants_features else None
        return input_gradient, (weight_gradient.to(weight.dtype) if wants_weight else None), None
