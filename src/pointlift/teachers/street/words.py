"""The text side: a table with one learned vector a word; a prompt is the normalised sum of its words' vectors."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pointlift.errors import RecipeError

CLASS_WORDS = {
    "road": ("road", "street", "carriageway"),
    "pavement": ("pavement", "sidewalk", "footpath"),
    "terrain": ("terrain", "ground", "verge"),
    "building": ("building", "facade"),
    "vegetation": ("vegetation", "plant", "foliage"),
    "car": ("car", "automobile", "vehicle"),
    "lorry": ("lorry", "truck", "vehicle"),
    "bus": ("bus", "omnibus", "vehicle"),
    "two-wheeler": ("two-wheeler", "cycle", "bike"),
    "pedestrian": ("pedestrian", "person", "people"),
    "pole": ("pole", "post"),
    "barrier": ("barrier", "barricade"),
    "cone": ("cone",),
    "sky": ("sky",),
}
"""Words that are true of everything in a class, the class's name first."""
CLASS_NAMES = {
    "road": ("road", "street", "carriageway"),
    "pavement": ("pavement", "sidewalk", "footpath"),
    "terrain": ("terrain", "ground", "verge", "grass", "dirt"),
    "building": ("building", "facade", "house"),
    "vegetation": ("vegetation", "plant", "foliage", "tree", "bush", "hedge"),
    "car": ("car", "automobile", "van"),
    "lorry": ("lorry", "truck"),
    "bus": ("bus", "omnibus", "coach"),
    "two-wheeler": ("two-wheeler", "cycle", "bike", "bicycle", "motorcycle", "motorbike", "scooter"),
    "pedestrian": ("pedestrian", "person", "people"),
    "pole": ("pole", "post", "lamp", "sign"),
    "barrier": ("barrier", "barricade", "fence", "wall", "guardrail"),
    "cone": ("cone", "traffic cone"),
    "sky": ("sky",),
}
"""Prompts that a user may mean a class by: also the names of its common kinds."""
COLORS = (
    *("red", "orange", "yellow", "green", "blue", "purple", "brown", "black", "white", "grey", "beige", "silver"),
)
SURFACES = (
    *("brick", "plaster", "glass", "wood", "metal", "concrete", "asphalt", "stone", "paved", "tiled", "grass"),
    *("gravel", "dirt", "sand", "leafy", "dry", "bark", "painted", "plastic", "striped", "panel", "rusty", "rubber"),
    *("cloth", "skin", "reflective"),
)
KINDS = (
    *("hatchback", "saloon", "estate", "suv", "van", "pickup", "truck", "container", "tanker", "flatbed", "coach"),
    *("bicycle", "motorcycle", "scooter", "rider", "adult", "child", "bag", "wheel", "window", "door", "light"),
    *("tree", "pine", "palm", "bush", "hedge", "trunk", "house", "apartment", "shed", "warehouse", "shop", "awning"),
    *("roof", "chimney", "fence", "wall", "rail", "jersey", "board", "lamp", "sign", "bollard", "mast", "signal"),
    *("barrel", "marking", "kerb"),
)
LIT, SHADED, NEAR, FAR = "lit", "shaded", "near", "far"
SITUATIONS = (LIT, SHADED, NEAR, FAR)
"""In sunlight or in shadow, and within 12 m of the camera or beyond 30 m."""
ALIASES = {
    **{"gray": "grey", "wooden": "wood", "metallic": "metal", "sedan": "saloon", "motorbike": "motorcycle"},
    **{"moped": "scooter", "cyclist": "rider", "shrub": "bush", "guardrail": "rail", "railing": "rail"},
    **{"lamppost": "lamp", "streetlight": "lamp", "curb": "kerb", "sunny": "lit", "shadowed": "shaded"},
    **{"close": "near", "distant": "far"},
}
"""Words that are true where another is; each has a vector of its own."""
VOCABULARY = tuple(
    dict.fromkeys(
        (*(word for words in CLASS_WORDS.values() for word in words), *COLORS, *SURFACES, *KINDS, *SITUATIONS, *ALIASES)
    )
)
"""Every word that has a vector, in the order of the table's rows."""
STOP_WORDS = frozenset(
    (
        *("a", "an", "the", "of", "in", "on", "at", "by", "with", "and", "or", "to", "from", "for", "is", "are"),
        *("this", "that", "there", "its", "some", "one", "photo", "photograph", "picture", "image", "shot", "view"),
        *("scene", "camera", "street-scene", "road-scene", "driving", "traffic"),
    )
)
"""Words that are read over, so that the usual templates ("a photo of a {} in a street-scene") work."""

_ROW = {word: row for row, word in enumerate(VOCABULARY)}
_SCALE = 0.3  # of the first vectors; with small ones the table learns as fast as the network
_ALIKE = 0.5  # how far words that mean nearly the same start from each other
# letters and digits, with hyphens inside; everything else parts words
_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*")


class WordTable(nn.Module):
    """One vector for each word of `VOCABULARY`; those that mean nearly the same start nearly the same."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        vectors = _SCALE * torch.randn(len(VOCABULARY), dim)
        for names in CLASS_NAMES.values():
            rows = [_ROW[word] for name in names for word in prompt_words(name)]
            vectors[rows] = vectors[rows[0]] + _ALIKE * vectors[rows]
        for alias, word in ALIASES.items():
            vectors[_ROW[alias]] = vectors[_ROW[word]] + _ALIKE * vectors[_ROW[alias]]
        self.vectors = nn.Parameter(vectors)

    def forward(self, bags: Tensor) -> Tensor:
        """Unit embeddings (C, D) of C bags of words (C, V), 1 where a prompt has a word and 0 elsewhere."""
        return F.normalize(bags @ self.vectors, dim=1)


def bags_of_words(prompts: Sequence[str]) -> Tensor:
    """Prompts as (C, V) float32 rows with 1 at their words; see `prompt_words` for the errors."""
    bags = torch.zeros(len(prompts), len(VOCABULARY))
    for row, prompt in enumerate(prompts):
        bags[row, [_ROW[word] for word in prompt_words(prompt)]] = 1.0
    return bags


def prompt_words(prompt: str) -> tuple[str, ...]:
    """The words of a prompt that carry meaning, in lower case and each once.

    Raises:
        RecipeError: if a word is not in `VOCABULARY`, naming near ones, or none is left.
    """
    words = [word for word in _WORD.findall(prompt.lower()) if word not in STOP_WORDS]
    for word in words:
        if word not in _ROW:
            raise RecipeError(
                f"the prompt '{prompt}' has the word '{word}', which the teacher 'street' does not know{_near(word)}"
            )
    if not words:
        raise RecipeError(
            f"the prompt '{prompt}' has no word that says what to look for; give a name such as 'car' or 'brick house'"
        )
    return tuple(dict.fromkeys(words))


def _near(word: str) -> str:
    close = difflib.get_close_matches(word, VOCABULARY, n=4, cutoff=0.5)
    if close:
        return f"; near ones are: {', '.join(close)}"
    return f"; it knows the classes {', '.join(CLASS_WORDS)}, their synonyms and attributes such as 'red' or 'brick'"
