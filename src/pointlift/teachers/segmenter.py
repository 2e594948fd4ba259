"""Any semantic-segmentation network of the transformers library: class probabilities, lifted to one-hot or text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from pointlift.data.class_maps import ClassList, class_list
from pointlift.errors import RecipeError
from pointlift.options import LOCAL, NAMED_PLACE, PLACE, RANDOM_TEACHER, TEACHER_SOURCE
from pointlift.registry import TEACHERS
from pointlift.teachers.base import fingerprint_of
from pointlift.teachers.folders import first_line
from pointlift.teachers.hub import HubTeacher, build_network, find, lasting_settings, normalisation
from pointlift.teachers.label_space import LabelSpace, chosen_map
from pointlift.teachers.transformers_import import import_transformers

if TYPE_CHECKING:
    from pointlift.data.scene import View

_BY_QUERIES = ("maskformer", "mask2former")
_PROBE = (64, 96)  # pixels; a multiple of every usual stride
# Present in some checkpoints and not in others, and without influence on what is predicted.
_UNUSED_KEYS = ("auxiliary_head.", "num_batches_tracked", "criterion.", "relative_position_index")


@TEACHERS.register("segmenter")
class Segmenter(HubTeacher):
    """Class probabilities of any semantic-segmentation network of transformers, times the embeddings of its classes.

    ``f = Σ_c p(c) e_c`` with the softmax p of the network's logits at their own resolution (of MaskFormer and
    Mask2Former: the masks' probabilities times those of their classes, normalised over classes) and e_c one-hot or the
    unit text embedding of the class's name. Where the likeliest class is one that ``map`` leaves out, the teacher says
    nothing. The maps of p are what is cached.

    Args:
        source: a local folder with ``config.json`` and ``model.safetensors``, or an id of the Hugging Face hub.
        map: from the network's classes (``id2label``) to those to lift: a shipped map or a YAML file; None: the same.
        text_source: folder or hub id of a CLIP or SigLIP whose text encoder embeds the names of the classes; None:
            one-hot, every class a dimension of its own.
        templates: name of the set of sentences around the names for the text encoder.
        random: the same network with random weights, as a control.
        random_seed: seed of these random weights.
        download: whether a hub id that is not on this machine may be downloaded.

    Raises:
        CheckpointError: files that are missing, damaged, in pickle format, or do not fit the configuration.
        RecipeError: the network does no semantic segmentation, or a class of it lacks a mapping.
    """

    has_text: ClassVar[bool] = True
    mean: Tensor
    std: Tensor
    left_out: Tensor

    def __init__(
        self,
        *,
        source: Annotated[str, TEACHER_SOURCE],
        map: Annotated[str | None, NAMED_PLACE] = None,
        text_source: Annotated[str | None, PLACE] = None,
        templates: str = "plain",
        random: Annotated[bool, RANDOM_TEACHER] = False,
        random_seed: Annotated[int, Field(ge=0)] = 0,
        download: Annotated[bool, LOCAL] = False,
    ) -> None:
        super().__init__()
        folder, config = find(source, random=random, download=download)
        self.by_queries = config.model_type in _BY_QUERIES
        factory = _factory(config, source)
        self.model = build_network(factory, folder, config, random_seed if random else None, _unused)
        self.classes = chosen_map(_own_classes(config, source), map, "")
        self.space = LabelSpace(self.classes, text_source, templates, download)
        self.templates, self.has_classes = self.space.templates, text_source is None
        self._vectors = self.space.source_vectors()
        self.register_buffer("left_out", torch.tensor([target is None for target in self.classes.targets]))
        mean, std = normalisation(folder)
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.dim, self.stride = self.space.dim, 1
        self.freeze()
        self.stride = self._stride(source)
        settings = {"map": self.classes.targets, "config": lasting_settings(config), **self.space.settings}
        self.fingerprint = fingerprint_of(self, "Segmenter", **settings)

    @property
    def map_channels(self) -> int:
        """One for each class of the network."""
        return len(self.classes.targets)

    def lift(self, samples: Tensor) -> Tensor:
        """Features (P, D) of class probabilities (P, C)."""
        return samples @ self._vectors.to(samples.device)

    def embed_text(self, prompts: Sequence[str]) -> Tensor:
        """Unit features (C, D) of C prompts, which must be names of classes unless there is a text encoder."""
        return self.space.embed_text(prompts)

    def _features(self, images: Tensor, views: Sequence[View] | None) -> Tensor:
        found = self._probabilities(images)
        size = (images.shape[2] // self.stride, images.shape[3] // self.stride)
        if found.shape[2:] != size:  # a network that rounds in its own way
            found = F.interpolate(found, size, mode="bilinear", align_corners=False)
        return found * ~self.left_out[found.argmax(dim=1)][:, None]

    def _probabilities(self, images: Tensor) -> Tensor:
        """(B, C, h, w), summing to 1 over the classes."""
        output = self.model(pixel_values=(images - self.mean) / self.std)
        if not self.by_queries:
            return output.logits.float().softmax(dim=1)
        classes = output.class_queries_logits.float().softmax(dim=-1)[:, :, :-1]  # the last is "no object"
        scores = torch.einsum("bqc,bqhw->bchw", classes, output.masks_queries_logits.float().sigmoid())
        return scores / scores.sum(dim=1, keepdim=True).clamp(min=1e-12)

    def _stride(self, source: str) -> int:
        """Pixels for each value of the logits, seen on a small image."""
        try:
            with torch.no_grad():
                found = self._probabilities(torch.zeros(1, 3, *_PROBE))
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise _no_segmenter(source, f"it does not run on an image of 64 x 96: {first_line(error)}") from error
        strides = {side / length for side, length in zip(_PROBE, found.shape[2:], strict=True)}
        if len(strides) > 1 or not (stride := strides.pop()).is_integer():
            raise _no_segmenter(source, f"an image of 64 x 96 gives logits of {found.shape[2]} x {found.shape[3]}")
        if found.shape[1] != self.map_channels:
            raise _no_segmenter(source, f"it gives {found.shape[1]} classes and names {self.map_channels}")
        return int(stride)


def _factory(config: Any, source: str) -> Any:
    """The class of transformers' automatic models that has this kind of network with its segmentation head."""
    transformers = import_transformers()
    if config.model_type in _BY_QUERIES:
        return transformers.AutoModelForUniversalSegmentation
    if type(config) not in transformers.MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING:
        raise _no_segmenter(source, f"its model type is '{config.model_type}'")
    return transformers.AutoModelForSemanticSegmentation


def _own_classes(config: Any, source: str) -> ClassList:
    """The network's ``id2label``, in the order of its logits."""
    names = {int(number): str(name) for number, name in config.id2label.items()}
    if sorted(names) != list(range(len(names))):
        raise _no_segmenter(source, f"id2label has the ids {sorted(names)}, and not 0 to {len(names) - 1}")
    return class_list([names[number] for number in range(len(names))], f"id2label of '{source}'")


def _no_segmenter(source: str, why: str) -> RecipeError:
    return RecipeError(
        f"teacher.source: '{source}' is not a network for semantic segmentation that transformers reads ({why}); give "
        "one such as a SegFormer, UperNet, BEiT, MaskFormer or Mask2Former, which take images of any shape"
    )


def _unused(key: str) -> bool:
    return any(part in key for part in _UNUSED_KEYS)
