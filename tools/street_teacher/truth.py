"""Which words are true of a pixel, and descriptions drawn from them: the supervision of the text side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from pointlift.errors import DataError
from pointlift.teachers.street.words import (
    ALIASES,
    CLASS_NAMES,
    CLASS_WORDS,
    FAR,
    LIT,
    NEAR,
    SHADED,
    VOCABULARY,
    bags_of_words,
)

SKY = len(CLASS_WORDS) - 1
"""Label of the sky, after the classes of the data set."""
NEAR_METRES, FAR_METRES = 12.0, 30.0
_ROW = {word: row for row, word in enumerate(VOCABULARY)}
_NAMELESS = 0.15  # share of descriptions without a class's word, such as "red brick"
_MOST_ATTRIBUTES = 3


def bag_table(rows: Sequence[Iterable[str]]) -> Tensor:
    """Sets of words as (M, V) booleans, with the aliases of each word.

    Raises:
        DataError: if a word is not in the vocabulary.
    """
    table = torch.zeros(len(rows), len(VOCABULARY), dtype=torch.bool)
    for row, words in enumerate(rows):
        for word in words:
            if word not in _ROW:
                raise DataError(f"the material word '{word}' is not in the vocabulary of the teacher 'street'")
            table[row, _ROW[word]] = True
    for alias, word in ALIASES.items():
        table[:, _ROW[alias]] |= table[:, _ROW[word]]
    return table


class Truth:
    """The words that are true of pixels.

    Args:
        materials: the words of each material.
    """

    def __init__(self, materials: Sequence[Iterable[str]]) -> None:
        self.classes = bag_table(list(CLASS_WORDS.values()))  # (C, V)
        self.materials = bag_table(materials)  # (M, V)
        situations = [(light, *reach) for light in (SHADED, LIT) for reach in ((NEAR,), (), (FAR,))]
        self.situations = bag_table([*situations, ()])  # (7, V); the last is the sky's
        self.names = [bags_of_words(names) for names in CLASS_NAMES.values()]

    def of(self, labels: Tensor, materials: Tensor, lit: Tensor, depth: Tensor) -> Tensor:
        """(P, V) booleans for P pixels; ``materials`` and ``depth`` of the sky do not matter."""
        sky = labels == SKY
        reach = (depth > NEAR_METRES).long() + (depth > FAR_METRES).long()
        situation = torch.where(sky, len(self.situations) - 1, 3 * lit.long() + reach)
        own = self.materials[materials.clamp(min=0)] & ~sky[:, None]
        return self.classes[labels] | own | self.situations[situation]

    def draw_names(self, generator: torch.Generator) -> Tensor:
        """One name of each class at random, (C, V) float bags."""
        chosen = [names[torch.randint(len(names), (1,), generator=generator)] for names in self.names]
        return torch.cat(chosen)

    def describe(self, labels: Tensor, truth: Tensor, generator: torch.Generator) -> Tensor:
        """One true description of each of P pixels, (P, V) float bags: mostly a word of its class, 0 to 3 others."""
        own = self.classes[labels]
        name = _draw(own, torch.ones(len(labels), dtype=torch.long), generator)
        wanted = torch.randint(_MOST_ATTRIBUTES + 1, (len(labels),), generator=generator)
        attributes = _draw(truth & ~own, wanted, generator)
        nameless = torch.rand(len(labels), generator=generator) < _NAMELESS
        nameless &= attributes.any(dim=1)  # a description says something
        return ((name & ~nameless[:, None]) | attributes).float()


def _draw(candidates: Tensor, counts: Tensor, generator: torch.Generator) -> Tensor:
    """Of the true entries of each row of (P, V), ``counts`` of them at random (or all, where there are fewer)."""
    scores = torch.rand(candidates.shape, generator=generator).masked_fill_(~candidates, -1.0)
    values, columns = scores.topk(_MOST_ATTRIBUTES, dim=1)
    chosen = (torch.arange(_MOST_ATTRIBUTES) < counts[:, None]) & (values >= 0)
    return torch.zeros_like(candidates).scatter_(1, columns, chosen)
