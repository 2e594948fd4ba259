"""Blocks of the towers of CLIP and SigLIP, whose parts transformers names alike, in plain tensor operations.

Written out here because the last block of a dense teacher is not run as a whole, and because what a block of
transformers takes and returns differs between its versions.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F


def block(layer: Any, tokens: Tensor, heads: int) -> Tensor:
    """Output (B, T, D) of one pre-norm block: ``y = x + attention(norm(x))``, then ``y + mlp(norm(y))``."""
    tokens = tokens + self_attention(layer.self_attn, layer.layer_norm1(tokens), heads)
    return tokens + layer.mlp(layer.layer_norm2(tokens))


def self_attention(attention: Any, tokens: Tensor, heads: int) -> Tensor:
    """Multi-head self-attention of tokens (B, T, D), with its output projection."""
    query, key, value = (
        projection(tokens).unflatten(2, (heads, -1)).transpose(1, 2)
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    mixed = F.scaled_dot_product_attention(query, key, value)  # (B, heads, T, D / heads)
    return attention.out_proj(mixed.transpose(1, 2).flatten(2))


def value_path(attention: Any, tokens: Tensor) -> Tensor:
    """What self-attention gives if every token attends to itself alone: value projection, output projection."""
    return attention.out_proj(attention.v_proj(tokens))


def as_map(tokens: Tensor, height: int, width: int) -> Tensor:
    """Tokens (B, height width, D) of patches, row by row, as a map (B, D, height, width)."""
    return tokens.transpose(1, 2).unflatten(2, (height, width))
