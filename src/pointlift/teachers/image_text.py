"""What CLIP and SigLIP share as teachers: an image tower of transformers, and a text side in the same space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar

from torch import Tensor

from pointlift.teachers.hub import HubTeacher, build_network, find, normalisation
from pointlift.teachers.templates import CLIP_TEMPLATES
from pointlift.teachers.text import TextEncoder
from pointlift.teachers.transformers_import import import_transformers

_NETWORKS = {
    "clip_vision_model": "CLIPVisionModelWithProjection",
    "siglip_vision_model": "SiglipVisionModel",
    "siglip2_vision_model": "Siglip2VisionModel",
}


class ImageTextTeacher(HubTeacher):
    """A teacher whose features lie in the space of the text embeddings of the same source."""

    has_text: ClassVar[bool] = True
    templates = CLIP_TEMPLATES
    mean: Tensor
    std: Tensor

    def _open(
        self,
        vision_config: Callable[[Any, str], Any],
        mean: Sequence[float],
        std: Sequence[float],
        **options: Any,
    ) -> tuple[Any, Any]:
        """The image tower and its configuration; the normalisation of images becomes part of the teacher.

        Args:
            vision_config: configuration and its place -> that of the image tower, or a `RecipeError`.
            mean: of the three colours, unless the source says otherwise.
            std: likewise.
            options: the teacher's own ``source``, ``random``, ``random_seed`` and ``download``.
        """
        self._text_options = options
        folder, config = find(options["source"], random=options["random"], download=options["download"])
        config = vision_config(config, str(folder or options["source"]))
        network = getattr(import_transformers(), _NETWORKS[config.model_type])
        for name, values in zip(("mean", "std"), normalisation(folder, mean, std), strict=True):
            self.register_buffer(name, values)
        seed = options["random_seed"] if options["random"] else None
        return build_network(network, folder, config, seed, _unused), config

    @cached_property
    def text(self) -> TextEncoder:
        """The text side, read when it is first needed; no part of the teacher's own weights and fingerprint."""
        return TextEncoder(**self._text_options)

    def embed_text(self, prompts: Sequence[str]) -> Tensor:
        """Text embeddings (C, D) of C prompts, not normalised, on the teacher's device.

        Raises:
            CheckpointError: the source has no tokenizer, or its text weights do not load.
            RecipeError: a prompt that is too long.
        """
        return self.text.to(self.device).embed(prompts)


def _unused(key: str) -> bool:
    return key.endswith("position_ids")  # a buffer that older checkpoints hold
