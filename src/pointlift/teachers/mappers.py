"""ClipCap's two mappers from a CLIP image embedding to a prefix of a language model (Mokady et al. 2021, 2111.09734).

Names of the tensors and sizes are those of the published checkpoints, so that these load as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from pointlift.errors import CheckpointError

MapperKind = Literal["mlp", "transformer"]
PROJECT = "clip_project."
WIDTH = 768
"""Of GPT-2's embeddings."""
HEADS = 8
"""Of the transformer mapper; no tensor's shape says it."""


class MLPMapper(nn.Module):
    """Two layers with a tanh between them: D → P·W/2 → P·W, cut into P tokens of W values."""

    def __init__(self, clip_dim: int, prefix: int, width: int = WIDTH, hidden: int | None = None) -> None:
        super().__init__()
        hidden = prefix * width // 2 if hidden is None else hidden
        self.clip_dim, self.shape = clip_dim, (prefix, width)
        self.model = nn.Sequential(nn.Linear(clip_dim, hidden), nn.Tanh(), nn.Linear(hidden, prefix * width))

    def forward(self, embedding: Tensor) -> Tensor:
        """(B, D) to (B, P, W)."""
        return self.model(embedding).unflatten(1, self.shape)


class _Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_queries = nn.Linear(width, width, bias=False)
        self.to_keys_values = nn.Linear(width, 2 * width, bias=False)
        self.project = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        query = self.to_queries(x).unflatten(2, (HEADS, -1)).transpose(1, 2)
        key, value = self.to_keys_values(x).unflatten(2, (2, HEADS, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.project(mixed.transpose(1, 2).flatten(2))


class _MLP(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.relu(self.fc1(x)))


class _Layer(nn.Module):
    """x ← x + Attention(LN(x)); x ← x + MLP(LN(x)), with a ReLU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width), _Attention(width)
        self.norm2, self.mlp = nn.LayerNorm(width), _MLP(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class TransformerMapper(nn.Module):
    """C tokens of a linear layer beside P learned ones through a transformer, which gives the P.

    Eight layers, eight heads, MLPs of twice the width, P = C = 40 in the published one.
    """

    def __init__(
        self,
        clip_dim: int,
        prefix: int,
        clip_tokens: int,
        layers: int = 8,
        width: int = WIDTH,
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        self.clip_dim, self.shape, self.clip_tokens = clip_dim, (prefix, width), clip_tokens
        self.linear = nn.Linear(clip_dim, clip_tokens * width)
        self.prefix_const = nn.Parameter(torch.randn(prefix, width))
        hidden = 2 * width if hidden is None else hidden
        self.transformer = nn.ModuleDict({"layers": nn.ModuleList(_Layer(width, hidden) for _ in range(layers))})

    def forward(self, embedding: Tensor) -> Tensor:
        """(B, D) to (B, P, W)."""
        x = self.linear(embedding).unflatten(1, (self.clip_tokens, -1))
        x = torch.cat([x, self.prefix_const.expand(len(x), -1, -1)], dim=1)
        layers: Any = self.transformer["layers"]
        for layer in layers:
            x = layer(x)
        return x[:, self.clip_tokens :]


def mapper_of(tensors: Mapping[str, Tensor], path: Path) -> MLPMapper | TransformerMapper:
    """The mapper of a checkpoint's tensors, of the kind and sizes that these have.

    Raises:
        CheckpointError: the tensors hold no mapper of either kind, or one that is incomplete or of odd shapes.
    """
    own = {key.removeprefix(PROJECT): value for key, value in tensors.items() if key.startswith(PROJECT)}
    try:
        mapper = _transformer(own) if "prefix_const" in own else _mlp(own, tensors)
        mapper.load_state_dict(own)
    except KeyError as error:
        seen = ", ".join(sorted(tensors)[:3]) or "nothing"
        raise CheckpointError(
            f"{path} holds no mapper of ClipCap: it lacks {PROJECT}{error.args[0]}; it has {seen}"
        ) from error
    except (RuntimeError, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{path} holds a mapper that is incomplete or of odd shapes: {said}") from error
    return mapper


def _mlp(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> MLPMapper:
    hidden, clip_dim = own["model.0.weight"].shape
    words = tensors.get("gpt.transformer.wte.weight")
    width = WIDTH if words is None else words.shape[1]
    total = len(own["model.2.weight"])
    if total % width:
        raise ValueError(f"its last layer gives {total} values, which are no tokens of {width}")
    return MLPMapper(clip_dim, total // width, width, hidden)


def _transformer(own: Mapping[str, Tensor]) -> TransformerMapper:
    prefix, width = own["prefix_const"].shape
    total, clip_dim = own["linear.weight"].shape
    found = [re.match(r"transformer\.layers\.(\d+)\.", key) for key in own]
    layers = 1 + max((int(match[1]) for match in found if match), default=-1)
    hidden = len(own["transformer.layers.0.mlp.fc1.weight"])
    return TransformerMapper(clip_dim, prefix, total // width, layers, width, hidden)
