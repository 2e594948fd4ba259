"""CLIP vision transformers as dense teachers whose features lie in the space of the text embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from pointlift.errors import RecipeError
from pointlift.options import LOCAL, RANDOM_TEACHER, TEACHER_SOURCE
from pointlift.registry import TEACHERS
from pointlift.teachers.base import fingerprint_of
from pointlift.teachers.blocks import as_map, block, value_path
from pointlift.teachers.hub import lasting_settings
from pointlift.teachers.image_text import ImageTextTeacher

if TYPE_CHECKING:
    from pointlift.data.scene import View

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@TEACHERS.register("clip")
class CLIP(ImageTextTeacher):
    """Dense features of a CLIP vision transformer (ViT-B/32, B/16, L/14 …) in the space of its text, as in MaskCLIP.

    The last block mixes nothing between patches: with x its input, ``y = x + out_proj(v_proj(norm1(x)))`` in place of
    attention, then ``z = y + mlp(norm2(y))``, the final norm, and the visual projection; the class token is dropped.
    That form, with the residual and the MLP, is the one of MaskCLIP's and CLIP2Scene's public code. Position
    embeddings are resized bicubically, so any image size that is a multiple of the patch size will do.

    Args:
        source: a local folder in transformers' format with ``config.json`` and ``model.safetensors``, or a hub id.
        residual: False leaves out the residual and the MLP of the last block, ``z = out_proj(v_proj(norm1(x)))``, the
            value path alone.
        random: the same network with random weights, as a control; of the source only ``config.json`` is read, and for
            the well-known ids of `pointlift.teachers.shapes` no file at all.
        random_seed: seed of these random weights.
        download: whether a hub id that is not on this machine may be downloaded.

    Raises:
        CheckpointError: files that are missing, damaged, in pickle format, or do not fit the configuration.
        RecipeError: a network that is not a CLIP vision transformer.
    """

    def __init__(
        self,
        *,
        source: Annotated[str, TEACHER_SOURCE] = "openai/clip-vit-base-patch16",
        residual: bool = True,
        random: Annotated[bool, RANDOM_TEACHER] = False,
        random_seed: Annotated[int, Field(ge=0)] = 0,
        download: Annotated[bool, LOCAL] = False,
    ) -> None:
        super().__init__()
        options = {"source": source, "random": random, "random_seed": random_seed, "download": download}
        model, config = self._open(_vision_config, CLIP_MEAN, CLIP_STD, **options)
        self.vision, self.projection = model.vision_model, model.visual_projection
        self.heads = int(config.num_attention_heads)
        self.residual = residual
        self.dim, self.stride = int(config.projection_dim), int(config.patch_size)
        self.token_shape = (1, self.dim)
        self.freeze()
        self.fingerprint = fingerprint_of(self, "CLIP", residual=residual, config=lasting_settings(config))

    def tokens(self, images: Tensor, views: Sequence[View] | None = None) -> Tensor:
        """The embedding (B, 1, D) of each image as a whole: its class token, projected and not normalised."""
        self._check(images)
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            last, tokens = self._before_last(images.to(self.device, torch.float32))
            pooled = block(last, tokens, self.heads)[:, :1]
            return self.projection(self.vision.post_layernorm(pooled))

    def _features(self, images: Tensor, views: Sequence[View] | None) -> Tensor:
        last, tokens = self._before_last(images)
        tokens = tokens[:, 1:]  # without attention, patches do not need the class token
        values = value_path(last.self_attn, last.layer_norm1(tokens))
        if self.residual:
            values = tokens + values
            values = values + last.mlp(last.layer_norm2(values))
        features = self.projection(self.vision.post_layernorm(values))
        return as_map(features, images.shape[2] // self.stride, images.shape[3] // self.stride)

    def _before_last(self, images: Tensor) -> tuple[Any, Tensor]:
        """The last block, and its input (B, 1 + patches, width)."""
        tokens = self.vision.embeddings((images - self.mean) / self.std, interpolate_pos_encoding=True)
        tokens = self.vision.pre_layrnorm(tokens)
        *layers, last = self.vision.encoder.layers
        for layer in layers:
            tokens = block(layer, tokens, self.heads)
        return last, tokens


def _vision_config(config: Any, source: str) -> Any:
    """The configuration of the image tower, with the width of the common space in it."""
    if config.model_type == "clip":
        config.vision_config.projection_dim = config.projection_dim
        config = config.vision_config
    if config.model_type != "clip_vision_model" or not isinstance(config.patch_size, int):
        raise RecipeError(
            f"teacher.source: '{source}' is not a CLIP vision transformer (its model type is '{config.model_type}'); "
            "give one in transformers' format, such as openai/clip-vit-base-patch16; CLIP's ResNets have no form there"
        )
    return config
