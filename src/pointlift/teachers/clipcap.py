"""ClipCap as a teacher of token sets: the prefix that a captioner gives its language model for an image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from pointlift.errors import CheckpointError, RecipeError
from pointlift.options import LOCAL, PLACE, RANDOM_TEACHER, TEACHER_SOURCE
from pointlift.registry import TEACHERS
from pointlift.teachers.base import fingerprint_of
from pointlift.teachers.captions import CaptionWriter
from pointlift.teachers.clip import CLIP
from pointlift.teachers.hub import HubTeacher
from pointlift.teachers.mappers import MapperKind, MLPMapper, TransformerMapper, mapper_of
from pointlift.tensor_files import read_tensors

if TYPE_CHECKING:
    from pointlift.data.scene import View

SIDE = 224


@TEACHERS.register("clipcap")
class ClipCap(HubTeacher):
    """ClipCap's prefix of an image: CLIP's image embedding, not normalised, through a published mapper.

    An image of any size is resized once, to 224 pixels on its short side, and its middle square taken, as CLIP's
    preprocessing does. There are no dense features; for those choose the teacher clip.

    Args:
        source: CLIP, a local folder in transformers' format or a hub id; the published mappers for 512 values belong to
            ViT-B/32.
        mapper: a published checkpoint of ClipCap (``.pt``, read as tensors only) or its tensors as ``.safetensors``;
            whether it is the MLP or the transformer is seen from its tensors.
        prefix: False: the image embedding itself as the only token, the paper's ablation without captioner.
        random: random weights in the true shapes, as a control: neither CLIP nor the mapper is read.
        random_seed: seed of these random weights.
        random_mapper: kind of the random mapper: ``mlp`` (prefix 10) or ``transformer`` (8 layers, prefix 40).
        language: folder or hub id of GPT-2's tokenizer, for `captions` only.
        download: whether a hub id that is not on this machine may be downloaded.

    Raises:
        CheckpointError: files that are missing, damaged or hold no mapper, or a mapper for another CLIP.
        RecipeError: ``mapper`` is not given.
    """

    has_features: ClassVar[bool] = False

    def __init__(
        self,
        *,
        source: Annotated[str, TEACHER_SOURCE] = "openai/clip-vit-base-patch32",
        mapper: Annotated[Path | None, PLACE] = None,
        prefix: bool = True,
        random: Annotated[bool, RANDOM_TEACHER] = False,
        random_seed: Annotated[int, Field(ge=0)] = 0,
        random_mapper: MapperKind = "mlp",
        language: Annotated[str, PLACE] = "gpt2",
        download: Annotated[bool, LOCAL] = False,
    ) -> None:
        super().__init__()
        self.clip = CLIP(source=source, random=random, random_seed=random_seed, download=download)
        self._checkpoint, self._language, self._download = None if random else mapper, language, download
        self.mapper: MLPMapper | TransformerMapper | None = None
        if prefix:
            self.mapper = _random(random_mapper, self.clip.dim, random_seed) if random else _read(mapper, self.clip.dim)
        self.token_shape = (1, self.clip.dim) if self.mapper is None else self.mapper.shape
        self.dim, self.stride = self.token_shape[1], 1  # images come at their own size and are resized once, here
        self.freeze()
        self.fingerprint = fingerprint_of(self, "ClipCap", clip=self.clip.fingerprint, side=SIDE, resized="once")

    def tokens(self, images: Tensor, views: Sequence[View] | None = None) -> Tensor:
        """The prefixes (B, P, W) of images: 10 × 768 of the published MLP mapper."""
        self._check(images)
        embedding = self.clip.tokens(middle_square(images.to(self.device, torch.float32), SIDE))
        if self.mapper is None:
            return embedding
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            return self.mapper(embedding[:, 0])

    @cached_property
    def writer(self) -> CaptionWriter:
        """The language model of the same checkpoint, read when a caption is first asked for."""
        if self._checkpoint is None or self.mapper is None:
            raise RecipeError(
                "captions need the published checkpoint (teacher.mapper), whose language model writes them"
            )
        return CaptionWriter(self._checkpoint, self._language, download=self._download)

    def captions(self, images: Tensor) -> list[str]:
        """What the captioner says of each image, word by most probable word."""
        return self.writer.to(self.device).write(self.tokens(images))

    def _features(self, images: Tensor, views: Sequence[View] | None) -> Tensor:
        self.lacks("dense features")


def middle_square(images: Tensor, side: int) -> Tensor:
    """Images (B, 3, H, W) with their short side resized to ``side`` (bicubic, antialiased), and the middle of them.

    Sizes are rounded as by torchvision, with which CLIP's own code prepares images.
    """
    short = min(images.shape[2:])
    size = tuple(side * length // short for length in images.shape[2:])
    resized = (
        images
        if size == images.shape[2:]
        else functional.interpolate(images, size=size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    )
    top, left = (round((length - side) / 2) for length in size)
    return resized[:, :, top : top + side, left : left + side]


def _read(path: Path | None, clip_dim: int) -> MLPMapper | TransformerMapper:
    if path is None:
        raise RecipeError(
            "teacher 'clipcap' needs 'mapper', a published checkpoint of ClipCap; or random, or prefix: false"
        )
    path = path.expanduser()
    mapper = mapper_of(read_tensors(path), path)
    if mapper.clip_dim != clip_dim:
        raise CheckpointError(
            f"{path} maps image embeddings of {mapper.clip_dim} values, but this CLIP gives {clip_dim}; give the CLIP "
            "that the mapper was trained with (512: ViT-B/32; 640: RN50x4, which has no form here)"
        )
    return mapper


def _random(kind: MapperKind, clip_dim: int, seed: int) -> MLPMapper | TransformerMapper:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made: Any = MLPMapper(clip_dim, 10) if kind == "mlp" else TransformerMapper(clip_dim, 40, 40)
    return made
