"""Prompts: the names that stand for a class, the sentences around them, and their text embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from pointlift.errors import PointliftError, RecipeError, nearest
from pointlift.evaluation.base import EmbedText, Trial
from pointlift.teachers.templates import TEMPLATES

PLACEHOLDER = "{}"

_BATCH = 256  # sentences that a teacher's text side is given at once


def class_prompts(trial: Trial, changes: Mapping[str, Sequence[str]] | None = None) -> dict[str, tuple[str, ...]]:
    """Prompt names of every class, in the order of the classes.

    They are those in ``changes``, else those in the data set's attribute ``prompts`` (class name to names), else the
    class's own name.

    Raises:
        RecipeError: ``changes`` has a key that is no class; a class has no name, or an empty one; or a name stands
            twice, since two classes with the same embedding cannot be told apart.
    """
    for key in changes or {}:
        if key not in trial.class_names:
            raise RecipeError(f"prompts: there is no class '{key}'{nearest(key, trial.class_names)}")
    given = {**trial.test.prompts, **(changes or {})}
    prompts = {name: tuple(given.get(name, (name,))) for name in trial.class_names}
    owner: dict[str, str] = {}
    for class_name, names in prompts.items():
        if not names or not all(name.strip() for name in names):
            raise RecipeError(f"prompts: the class '{class_name}' needs at least one name, and none that is empty")
        for name in names:
            if name in owner:
                raise RecipeError(
                    f"prompts: '{name}' stands for '{owner[name]}' and again for '{class_name}'; each name may occur "
                    "once"
                )
            owner[name] = class_name
    return prompts


def checked_templates(templates: str | Sequence[str]) -> tuple[str, ...]:
    """The templates, the names of `TEMPLATES` among them replaced by their sentences.

    Raises:
        RecipeError: there are none, or one is neither a name nor has a placeholder.
    """
    given = (templates,) if isinstance(templates, str) else tuple(templates)
    if not given:
        raise RecipeError(f"templates: at least one is needed, such as '{PLACEHOLDER}'")
    for template in given:
        if PLACEHOLDER not in template and template not in TEMPLATES:
            raise RecipeError(
                f"templates: '{template}' has no {PLACEHOLDER}, where the prompt goes; write it as in "
                f"'a {PLACEHOLDER} in a scene', or name one of the sets {', '.join(TEMPLATES)}"
            )
    return tuple(sentence for template in given for sentence in TEMPLATES.get(template, (template,)))


def embed_names(embed_text: EmbedText, names: Sequence[str], templates: str | Sequence[str]) -> Tensor:
    """Mean over the T templates of the unit text embeddings of each of the C names, (C, D) float64.

    Row c is ``mean_t normalise(text(t(c)))``, not yet normalised.

    Raises:
        RecipeError: see `checked_templates`.
        PointliftError: the teacher has no text encoder, or does not know a word.
    """
    templates = checked_templates(templates)
    sentences = [template.replace(PLACEHOLDER, name) for name in names for template in templates]
    unit = F.normalize(_embed(embed_text, sentences), dim=1)
    return unit.reshape(len(names), len(templates), -1).mean(dim=1)


def _embed(embed_text: EmbedText, sentences: Sequence[str]) -> Tensor:
    """Embeddings (S, D) float64 of sentences, each different one computed once, batch by batch."""
    rows = {sentence: row for row, sentence in enumerate(dict.fromkeys(sentences))}
    different = list(rows)
    starts = range(0, len(different), _BATCH)
    batches = [embed_text(different[start : start + _BATCH]).detach().cpu().double() for start in starts]
    return torch.cat(batches)[[rows[sentence] for sentence in sentences]]


def text_encoder(trial: Trial) -> EmbedText:
    """The text side of the trial's teacher; a `PointliftError` if it has none."""
    if trial.embed_text is None:
        raise PointliftError("the teacher has no text encoder, which prompts need; choose one that has")
    return trial.embed_text
