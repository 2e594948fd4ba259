"""Concept extraction of concept distillation (arXiv 2212.08974): learned queries that look at every layer's patches.

The paper's text fixes the number and width of the queries, that one block's weights are shared by all layers, and a
two-layer MLP with the mean squared error behind it. That block i reads F_i, and what the MLP's two layers are, is a
reconstruction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from pointlift.students.base import Undecayed

HeadKind = Literal["token_mix", "flatten", "pooled"]


class CrossAttention(nn.Module):
    """Concat(h_1 … h_H) W^O with h_j = softmax(Q_j K_jᵀ / √(C/H)) V_j; queries of one set, keys and values of another.

    Queries, keys and values have no bias, as in the blocks of the student.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim, bias=False)
        self.key_value = nn.Linear(dim, 2 * dim, bias=False)
        self.projection = nn.Linear(dim, dim)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(B, M, C) queries and (B, V, C) context to (B, M, C)."""
        query, key, value = self._heads(x, context)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.projection(mixed.transpose(1, 2).flatten(2))

    def weights(self, x: Tensor, context: Tensor) -> Tensor:
        """(B, H, M, V): how much each query takes of each row of the context; sums to one over V."""
        query, key, _ = self._heads(x, context)
        return (query @ key.transpose(2, 3) / math.sqrt(query.shape[3])).softmax(dim=3)

    def _heads(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query = self.query(x).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, H, M, C/H)
        key, value = self.key_value(context).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return query, key, value


class CrossAttentionBlock(nn.Module):
    """Q ← Q + Attention(LN(Q); LN(F)); Q ← Q + MLP(LN(Q)), with a GELU in the MLP; queries never see each other."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float = 4.0) -> None:
        super().__init__()
        hidden = round(dim * mlp_ratio)
        self.norm1 = nn.LayerNorm(dim)
        self.norm_context = nn.LayerNorm(dim)
        self.attention = CrossAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(B, M, C) queries and (B, V, C) context to (B, M, C)."""
        x = x + self.attention(self.norm1(x), self.norm_context(context))
        return x + self.mlp(self.norm2(x))


class ConceptExtraction(nn.Module):
    """Q_i = CrossAttentionBlock(Q_{i−1}; F_i) for i = 1 … N with one set of weights; Z = Q_N.

    Args:
        dim: C, of queries and patches.
        heads: of the cross-attention.
        concepts: M, how many queries Q_0 are learned.
    """

    def __init__(self, dim: int, heads: int, concepts: int) -> None:
        super().__init__()
        # As wide as VCT draws them: narrow ones are lost in what they take from the patches, which at first is the same
        # for all, so that all concepts start as one. For the same reason linear layers keep torch's own, wider weights.
        self.queries = Undecayed(torch.randn(1, concepts, dim))
        self.block = CrossAttentionBlock(dim, heads)

    def forward(self, layers: Sequence[Tensor]) -> Tensor:
        """Concepts (B, M, C) of the patches (B, V, C) of every layer."""
        x = self.queries.expand(len(layers[0]), -1, -1)
        for layer in layers:
            x = self.block(x, layer)
        return x

    def attention(self, layers: Sequence[Tensor]) -> Tensor:
        """(B, N, H, M, V): which patches each concept looks at, in each of N layers and each of H heads."""
        x = self.queries.expand(len(layers[0]), -1, -1)
        found = []
        for layer in layers:
            block = self.block
            found.append(block.attention.weights(block.norm1(x), block.norm_context(layer)))
            x = block(x, layer)
        return torch.stack(found, dim=1)


class TokenMix(nn.Module):
    """Two layers, one over the tokens and one over the channels: Y = GELU(A X + a) W + b."""

    def __init__(self, tokens: int, dim: int, shape: tuple[int, int]) -> None:
        super().__init__()
        self.mix = nn.Linear(tokens, shape[0])
        self.channels = nn.Linear(dim, shape[1])

    def forward(self, x: Tensor) -> Tensor:
        """(B, M, C) to (B, T, D)."""
        mixed = functional.gelu(self.mix(x.transpose(1, 2)))  # (B, C, T)
        return self.channels(mixed.transpose(1, 2))


class Flatten(nn.Module):
    """Two layers over all values at once: Y = GELU(vec(X) W₁ + b₁) W₂ + b₂."""

    def __init__(self, tokens: int, dim: int, shape: tuple[int, int], hidden: int) -> None:
        super().__init__()
        self.shape = shape
        self.mlp = nn.Sequential(nn.Linear(tokens * dim, hidden), nn.GELU(), nn.Linear(hidden, shape[0] * shape[1]))

    def forward(self, x: Tensor) -> Tensor:
        """(B, M, C) to (B, T, D)."""
        return self.mlp(x.flatten(1)).unflatten(1, self.shape)


class Pooled(nn.Module):
    """A two-layer MLP of every token, then T learned averages: Y = softmax(A) (GELU(X W₁ + b₁) W₂ + b₂) + O."""

    def __init__(self, tokens: int, dim: int, shape: tuple[int, int], hidden: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, shape[1]))
        # wide, and with an offset for each token: of equal averages of equal concepts none could be told from another
        self.pooling = nn.Parameter(torch.randn(shape[0], tokens))
        self.offset = Undecayed(torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        """(B, M, C) to (B, T, D)."""
        return self.pooling.softmax(dim=1) @ self.mlp(x) + self.offset


def build_head(kind: HeadKind, tokens: int, dim: int, shape: tuple[int, int], hidden: int = 512) -> nn.Module:
    """The two layers from ``tokens`` × ``dim`` to T × D; ``hidden`` is the width within ``flatten`` and ``pooled``."""
    if kind == "token_mix":
        return TokenMix(tokens, dim, shape)
    return (Flatten if kind == "flatten" else Pooled)(tokens, dim, shape, hidden)
