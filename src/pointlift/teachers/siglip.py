"""SigLIP and SigLIP 2 as dense teachers whose features lie in the space of the text embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from pointlift.errors import RecipeError
from pointlift.options import LOCAL, RANDOM_TEACHER, TEACHER_SOURCE
from pointlift.registry import TEACHERS
from pointlift.teachers.base import fingerprint_of
from pointlift.teachers.blocks import as_map, block
from pointlift.teachers.hub import lasting_settings
from pointlift.teachers.image_text import ImageTextTeacher

if TYPE_CHECKING:
    from pointlift.data.scene import View

SIGLIP_MEAN = SIGLIP_STD = (0.5, 0.5, 0.5)
_TOWERS = ("siglip_vision_model", "siglip2_vision_model")


@TEACHERS.register("siglip")
class SigLIP(ImageTextTeacher):
    """Dense features of SigLIP or SigLIP 2 in the space of its text, by the value path of its pooling head.

    The head lets a learned probe attend to all patches. Here each patch x (after the final norm) goes through it alone,
    as if the probe attended to nothing else: ``y = out_proj(value(x))``, then ``y + mlp(norm(y))``. It is MaskCLIP's
    idea carried over to attention pooling: our own reconstruction, in no public code that we know of. Position
    embeddings are resized (bicubically; for NaFlex checkpoints with antialiased bilinear interpolation, as in their
    training), so any image size that is a multiple of the patch size will do.

    Args:
        source: a local folder in transformers' format with ``config.json`` and ``model.safetensors``, or a hub id.
        random: the same network with random weights, as a control; of the source only ``config.json`` is read, and for
            the well-known ids of `pointlift.teachers.shapes` no file at all.
        random_seed: seed of these random weights.
        download: whether a hub id that is not on this machine may be downloaded.

    Raises:
        CheckpointError: files that are missing, damaged, in pickle format, or do not fit the configuration.
        RecipeError: a network that is not a SigLIP, or one without a pooling head.
    """

    def __init__(
        self,
        *,
        source: Annotated[str, TEACHER_SOURCE] = "google/siglip2-base-patch16-224",
        random: Annotated[bool, RANDOM_TEACHER] = False,
        random_seed: Annotated[int, Field(ge=0)] = 0,
        download: Annotated[bool, LOCAL] = False,
    ) -> None:
        super().__init__()
        options = {"source": source, "random": random, "random_seed": random_seed, "download": download}
        model, config = self._open(_vision_config, SIGLIP_MEAN, SIGLIP_STD, **options)
        self.vision: Any = getattr(model, "vision_model", model)  # a part of its own before version 5 of transformers
        self.heads = int(config.num_attention_heads)
        self.naflex = config.model_type == "siglip2_vision_model"
        self.dim, self.stride = int(config.hidden_size), int(config.patch_size)
        self.token_shape = (1, self.dim)
        self.freeze()
        self.fingerprint = fingerprint_of(self, "SigLIP", config=lasting_settings(config))

    def tokens(self, images: Tensor, views: Sequence[View] | None = None) -> Tensor:
        """The embedding (B, 1, D) of each image as a whole, pooled by the head and not normalised."""
        self._check(images)
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            patches = self._patches(images.to(self.device, torch.float32))
            head = self.vision.head
            probe = head.probe.expand(len(patches), -1, -1)
            return _after_attention(head, head.attention(probe, patches, patches, need_weights=False)[0])

    def _features(self, images: Tensor, views: Sequence[View] | None) -> Tensor:
        patches = self._patches(images)
        head, width = self.vision.head, self.dim
        attention = head.attention  # its input projection holds those of query, key and value, one below the other
        values = F.linear(patches, attention.in_proj_weight[2 * width :], attention.in_proj_bias[2 * width :])
        features = _after_attention(head, attention.out_proj(values))
        return as_map(features, images.shape[2] // self.stride, images.shape[3] // self.stride)

    def _patches(self, images: Tensor) -> Tensor:
        """What the pooling head sees, (B, patches, D)."""
        images = (images - self.mean) / self.std
        if self.naflex:
            tokens = _embed_naflex(self.vision.embeddings, images, self.stride)
        else:
            tokens = self.vision.embeddings(images, interpolate_pos_encoding=True)
        for layer in self.vision.encoder.layers:
            tokens = block(layer, tokens, self.heads)
        return self.vision.post_layernorm(tokens)


def _after_attention(head: Any, values: Tensor) -> Tensor:
    return values + head.mlp(head.layernorm(values))


def _embed_naflex(embeddings: Any, images: Tensor, side: int) -> Tensor:
    """Embedded patches: a linear map of the pixels (row, column, colour) of each, plus the resized position grid."""
    height, width = images.shape[2] // side, images.shape[3] // side
    pixels = images.unflatten(3, (width, side)).unflatten(2, (height, side))  # (B, 3, height, side, width, side)
    patches = pixels.permute(0, 2, 4, 3, 5, 1).reshape(len(images), height * width, -1)
    grid = embeddings.position_embedding.weight
    rows = round(len(grid) ** 0.5)
    grid = grid.unflatten(0, (rows, rows)).permute(2, 0, 1)[None]
    grid = F.interpolate(grid, (height, width), mode="bilinear", align_corners=False, antialias=True)
    return embeddings.patch_embedding(patches) + grid[0].flatten(1).T


def _vision_config(config: Any, source: str) -> Any:
    if config.model_type in ("siglip", "siglip2"):
        config = config.vision_config
    if config.model_type not in _TOWERS or not isinstance(config.patch_size, int):
        raise RecipeError(
            f"teacher.source: '{source}' is not a SigLIP (its model type is '{config.model_type}'); "
            "give one in transformers' format, such as google/siglip2-base-patch16-224"
        )
    if not getattr(config, "vision_use_head", True):
        raise RecipeError(
            f"teacher.source: '{source}' has no pooling head, which takes patches to the space of the text; "
            "give one that has, such as google/siglip2-base-patch16-224"
        )
    return config
