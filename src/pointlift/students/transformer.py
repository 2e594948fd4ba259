"""Pre-norm transformer blocks (Vaswani et al. 2017; Dosovitskiy et al. 2021) with stochastic depth."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class DropPath(nn.Module):
    """Stochastic depth: in training, a residual branch is left out for a random share of the samples.

    What is kept is divided by the share that is kept (Huang et al. 2016, arXiv 1603.09382).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """(B, …) to (B, …)."""
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device) >= self.rate
        return x * (kept.to(x.dtype) / (1 - self.rate))


class SelfAttention(nn.Module):
    """Concat(h_1 … h_H) W^O with h_j = softmax(Q_j K_jᵀ / √(C/H)) V_j; queries, keys and values without bias."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.projection = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        query, key, value = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, H, T, C/H)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.projection(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """x ← x + Attention(LN(x)); x ← x + MLP(LN(x)), with drop path on both branches and a GELU between the layers."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float = 4.0, drop_path: float = 0.0) -> None:
        super().__init__()
        hidden = round(dim * mlp_ratio)
        self.norm1 = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        x = x + self.drop_path(self.attention(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


def stack(depth: int, dim: int, heads: int, drop_path: float) -> nn.ModuleList:
    """``depth`` blocks, of which the first never drops a branch, the last at the rate ``drop_path``, linear between."""
    rates = torch.linspace(0, drop_path, depth, device="cpu").tolist()
    return nn.ModuleList(Block(dim, heads, drop_path=rate) for rate in rates)


def initialize(module: nn.Module) -> None:
    """Weights of linear layers from a normal distribution of deviation 0.02, cut at ±2; no biases (as Point-MAE)."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.trunc_normal_(part.weight, std=0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def xavier(module: nn.Module) -> None:
    """Weights of linear layers from Xavier's uniform distribution; no biases (as Point-MAE's decoder)."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
