"""Classes as features: one dimension for each, or the text embeddings of their names."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pointlift.data.class_maps import ClassList, ClassMap, identity, load_class_map, plain
from pointlift.errors import RecipeError, nearest
from pointlift.teachers.templates import TEMPLATES
from pointlift.teachers.text import TextEncoder


class LabelSpace:
    """The space in which a class is a direction, so that class probabilities become features, and words meet them.

    Without a text encoder every class of the target has a dimension of its own, also one that no source class goes to.
    With one, a class is its unit text embedding ``normalise(mean_t normalise(text(t(name))))`` (``docs/methods.md``),
    and any word can be asked for. It holds no part of a network, so it costs data-loading processes nothing.

    Args:
        classes: map from the classes that are predicted to those whose space this is.
        text_source: folder or hub id of the text encoder; None: one-hot.
        templates: name of the set of sentences around the names, see `pointlift.teachers.templates`.
        download: whether a hub id that is not on this machine may be downloaded.

    Raises:
        RecipeError: there is no such set of templates. CheckpointError: the text encoder cannot be read.
    """

    def __init__(
        self, classes: ClassMap, text_source: str | None = None, templates: str = "plain", download: bool = False
    ) -> None:
        self.classes, self.text_source, self.download = classes, text_source, download
        self.settings: dict[str, Any] = {"classes": classes.target.names, "text": None}
        sentences = _templates(templates)
        self.templates: tuple[str, ...] = sentences if text_source is not None else ("{}",)
        """Sentences in which a prompt is to be asked for, so that it meets the classes."""
        if text_source is None:
            self.vectors = torch.eye(len(classes.target.names))
            return
        encoder = self._encoder()
        names = [plain(name) for name in classes.target.names]
        texts = encoder.embed([sentence.replace("{}", name) for name in names for sentence in sentences])
        unit = F.normalize(texts.detach().cpu().double(), dim=1).reshape(len(names), len(sentences), -1)
        self.vectors = F.normalize(unit.mean(dim=1), dim=1).float()
        self.settings["text"] = (encoder.fingerprint, sentences)

    @property
    def dim(self) -> int:
        """Width D of the features."""
        return self.vectors.shape[1]

    def source_vectors(self) -> Tensor:
        """Features (S, D) of the source classes, zeros for those that the map leaves out."""
        return torch.from_numpy(self.classes.matrix()) @ self.vectors

    def embed_text(self, prompts: Sequence[str]) -> Tensor:
        """Unit features (C, D) of C prompts.

        Raises:
            RecipeError: without text encoder, a prompt that is no name of a class; near ones are named.
        """
        if self.text_source is not None:
            return F.normalize(self._encoder().embed(prompts).detach().float(), dim=1)
        return torch.stack([self.vectors[_index(prompt, self.classes.target)] for prompt in prompts])

    def _encoder(self) -> TextEncoder:
        """The text encoder, built anew: it is needed twice, for the names of the classes and for prompts."""
        return TextEncoder(str(self.text_source), download=self.download, key="teacher.text_source")


def chosen_map(classes: ClassList | None, source: str | None, what: str) -> ClassMap:
    """The class map called ``source``, applied to ``classes`` if given; without map, ``classes`` themselves.

    Raises:
        RecipeError: neither is given, which ``what`` then asks for; or see `load_class_map`.
    """
    if source is not None:
        return load_class_map(source, classes)
    if classes is None:
        raise RecipeError(what)
    return identity(classes)


def _index(prompt: str, classes: ClassList) -> int:
    index = classes.index(prompt)
    if index is None:
        close = difflib.get_close_matches(plain(prompt), classes.aliases, n=4, cutoff=0.5)
        near = f"near ones are: {', '.join(close)}" if close else f"they are: {', '.join(classes.names)}"
        raise RecipeError(
            f"the prompt '{prompt}' is no class name of '{classes.where}', and this teacher knows nothing else; {near} "
            "(for other words, set teacher.text_source to a text encoder)"
        )
    return index


def _templates(name: str) -> tuple[str, ...]:
    if name not in TEMPLATES:
        raise RecipeError(f"teacher.templates: there is no set called '{name}'{nearest(name, TEMPLATES)}")
    return tuple(TEMPLATES[name])
