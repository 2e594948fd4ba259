"""Shapes of well-known networks, so that a random twin, or a rehearsal, needs no file of theirs."""

from __future__ import annotations

from typing import Any


def _tower(width: int, layers: int, heads: int, **more: Any) -> dict[str, Any]:
    sizes = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads}
    return {**sizes, "intermediate_size": 4 * width, **more}


def _clip(patch_size: int, vision: tuple[int, int, int], text: tuple[int, int, int], dim: int) -> dict[str, Any]:
    return {
        "model_type": "clip",
        "projection_dim": dim,
        "vision_config": _tower(*vision, patch_size=patch_size, image_size=224, projection_dim=dim),
        "text_config": _tower(*text, projection_dim=dim),
    }


def _siglip(vocabulary: int) -> dict[str, Any]:
    return {
        "model_type": "siglip",
        "vision_config": _tower(768, 12, 12, patch_size=16, image_size=224),
        "text_config": _tower(768, 12, 12, vocab_size=vocabulary),
    }


def _dinov2(width: int, layers: int, heads: int, **more: Any) -> dict[str, Any]:
    sizes = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads}
    return {"model_type": "dinov2", **sizes, "patch_size": 14, "image_size": 518, **more}


SHAPES: dict[str, dict[str, Any]] = {
    "openai/clip-vit-base-patch32": _clip(32, (768, 12, 12), (512, 12, 8), 512),
    "openai/clip-vit-base-patch16": _clip(16, (768, 12, 12), (512, 12, 8), 512),
    "openai/clip-vit-large-patch14": _clip(14, (1024, 24, 16), (768, 12, 12), 768),
    "google/siglip-base-patch16-224": _siglip(32_000),
    "google/siglip2-base-patch16-224": _siglip(256_000),
    "facebook/dinov2-small": _dinov2(384, 12, 6),
    "facebook/dinov2-base": _dinov2(768, 12, 12),
    "facebook/dinov2-large": _dinov2(1024, 24, 16),
    "facebook/dinov2-giant": _dinov2(1536, 40, 24, use_swiglu_ffn=True),
    "microsoft/resnet-50": {"model_type": "resnet"},
}
"""Arguments of transformers' ``AutoConfig.for_model`` by hub id; what is left out is the configuration's default."""
