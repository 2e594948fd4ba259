"""Tiny CLIP and SigLIP folders, and literal float64 parts of their networks, for the tests of this folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

WORDS = ("car", "road", "tree", "a", "photo", "of", "the")
START, END = "<|startoftext|>", "<|endoftext|>"
TOWER = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}


def scramble(model: torch.nn.Module, seed: int = 0) -> None:
    """No weight, bias or norm stays at what it starts from."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


def write_clip_tokenizer(folder: Path) -> int:
    """A byte-pair vocabulary of the letters and a few words; returns its size."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    merges = []
    for word in WORDS:
        left = ""
        for index, letter in enumerate(word):
            right = f"{letter}</w>" if index == len(word) - 1 else letter
            if left and left + right not in tokens:
                tokens.append(left + right)
                merges.append(f"{left} {right}")
            left += right
    tokens += [START, END]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    return len(tokens)


def save_clip(
    folder: Path, *, patch_size: int = 8, image_size: int = 24, longest: int = 10, old_end: bool = False
) -> Any:
    """A tiny CLIP with its tokenizer, as transformers saves it; ``old_end``: with the end token of older files."""
    from transformers import CLIPConfig, CLIPModel

    size = write_clip_tokenizer(folder)
    torch.manual_seed(1)
    text = {**TOWER, "vocab_size": size, "max_position_embeddings": longest, "bos_token_id": size - 2}
    config = CLIPConfig(
        text_config={**text, "eos_token_id": 2 if old_end else size - 1, "pad_token_id": 1},
        vision_config={**TOWER, "hidden_size": 32, "patch_size": patch_size, "image_size": image_size},
        projection_dim=12,
    )
    model = CLIPModel(config).eval()
    scramble(model)
    model.save_pretrained(folder)
    return model


def save_siglip(folder: Path, naflex: bool = False, head: bool = True) -> Any:
    """A tiny SigLIP with a tokenizer of whole words, or of letters for a NaFlex one, as transformers saves it."""
    import transformers

    size = _write_letter_tokenizer(folder) if naflex else _write_word_tokenizer(folder)
    kind = "Siglip2" if naflex else "Siglip"
    text = {**TOWER, "vocab_size": size, "max_position_embeddings": 18 if naflex else 6}
    vision = {**TOWER, "patch_size": 4, "vision_use_head": head}
    vision |= {"num_patches": 9} if naflex else {"image_size": 12}
    config = getattr(transformers, f"{kind}Config")(text_config=text, vision_config=vision)
    torch.manual_seed(1)
    model = getattr(transformers, f"{kind}Model")(config).eval()
    scramble(model)
    model.save_pretrained(folder)
    return model


def _write_word_tokenizer(folder: Path) -> int:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokens = ["<pad>", "</s>", "<unk>", *WORDS]
    words = Tokenizer(models.WordLevel({token: index for index, token in enumerate(tokens)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained(folder)
    return len(tokens)


def _write_letter_tokenizer(folder: Path) -> int:
    import transformers

    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *"abcdefghijklmnopqrstuvwxyz"]
    tokenizer = getattr(transformers, "Siglip2Tokenizer", None)
    if tokenizer is None:
        pytest.skip("this version of transformers has no tokenizer of SigLIP 2")
    tokenizer(vocab={token: index for index, token in enumerate(tokens)}, merges=[]).save_pretrained(folder)
    return len(tokens)


def pooled(output: Any) -> torch.Tensor:
    """What ``get_image_features`` and ``get_text_features`` give: a tensor before version 5 of transformers."""
    return output if isinstance(output, torch.Tensor) else output.pooler_output


# ---- the parts of a vision transformer, in float64


class Weights:
    """Float64 arrays by the end of their names."""

    def __init__(self, state: Mapping[str, torch.Tensor]) -> None:
        self.state = state

    def __call__(self, name: str) -> np.ndarray:
        found = [value for key, value in self.state.items() if key == name or key.endswith(f".{name}")]
        assert len(found) == 1, name
        return found[0].double().numpy()

    def bias(self, name: str) -> np.ndarray | float:
        return self(f"{name}.bias") if any(key.endswith(f"{name}.bias") for key in self.state) else 0.0

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self(f"{name}.weight").T + self.bias(name)

    def norm(self, x: np.ndarray, name: str, epsilon: float) -> np.ndarray:
        spread = np.sqrt(((x - x.mean(-1, keepdims=True)) ** 2).mean(-1, keepdims=True) + epsilon)
        return (x - x.mean(-1, keepdims=True)) / spread * self(f"{name}.weight") + self(f"{name}.bias")

    def mlp(self, x: np.ndarray, name: str, activation: Any) -> np.ndarray:
        return self.linear(activation(self.linear(x, f"{name}.fc1")), f"{name}.fc2")

    def block(self, x: np.ndarray, name: str, heads: int, epsilon: float, activation: Any) -> np.ndarray:
        """One pre-norm block on tokens (T, D), head by head and token by token."""
        y = self.norm(x, f"{name}.layer_norm1", epsilon)
        query, key, value = (self.linear(y, f"{name}.self_attn.{part}_proj") for part in "qkv")
        mixed = np.zeros_like(x)
        width = x.shape[1] // heads
        for head in range(heads):
            columns = slice(head * width, (head + 1) * width)
            for token in range(len(x)):
                score = np.exp(key[:, columns] @ query[token, columns] / np.sqrt(width))
                mixed[token, columns] = score / score.sum() @ value[:, columns]
        x = x + self.linear(mixed, f"{name}.self_attn.out_proj")
        return x + self.mlp(self.norm(x, f"{name}.layer_norm2", epsilon), f"{name}.mlp", activation)

    def patches(self, image: np.ndarray, side: int) -> np.ndarray:
        """Embedded patches (T, D) of a normalised image (3, H, W), row by row."""
        kernel = self("patch_embedding.weight").reshape(-1, 3 * side * side)
        bias = self.bias("patch_embedding")
        rows = [
            kernel @ image[:, top : top + side, left : left + side].reshape(-1) + bias
            for top in range(0, image.shape[1], side)
            for left in range(0, image.shape[2], side)
        ]
        return np.array(rows)


def quick_gelu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-1.702 * x))


def tanh_gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def bicubic(grid: np.ndarray, height: int, width: int) -> np.ndarray:
    """A grid (n, n, D) at (height, width), by cubic convolution with a = -0.75 and edges repeated."""
    return cubic(cubic(grid, height).transpose(1, 0, 2), width).transpose(1, 0, 2)


def cubic(rows: np.ndarray, count: int) -> np.ndarray:
    found = []
    for index in range(count):
        place = (index + 0.5) * len(rows) / count - 0.5
        total = np.zeros_like(rows[0])
        for near in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
            t = abs(place - near)
            inner = 1.25 * t**3 - 2.25 * t**2 + 1
            outer = -0.75 * t**3 + 3.75 * t**2 - 6 * t + 3
            total = total + (inner if t <= 1 else outer) * rows[min(max(near, 0), len(rows) - 1)]
        found.append(total)
    return np.array(found)
