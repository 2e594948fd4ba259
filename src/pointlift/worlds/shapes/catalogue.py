"""Every category of object: its parts, and how it is built."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pointlift.worlds.engine.world import Materials
from pointlift.worlds.shapes import furniture, household, storage, vehicles, vessels
from pointlift.worlds.shapes.forms import Form, Piece

_BUILDERS: dict[str, tuple[Callable[[Piece], None], tuple[str, ...]]] = {
    "aeroplane": (vehicles.aeroplane, ("body", "wing", "tail", "engine")),
    "bed": (furniture.bed, ("mattress", "frame", "headboard", "pillow")),
    "bookshelf": (storage.bookshelf, ("frame", "shelf", "books")),
    "bottle": (vessels.bottle, ("body", "neck", "cap")),
    "cabinet": (storage.cabinet, ("body", "door", "leg", "handle")),
    "car": (vehicles.car, ("body", "window", "wheel", "light")),
    "chair": (furniture.chair, ("seat", "back", "leg", "arm")),
    "guitar": (household.guitar, ("body", "neck", "head")),
    "lamp": (household.lamp, ("base", "stem", "shade")),
    "laptop": (household.laptop, ("keyboard", "screen")),
    "monitor": (household.monitor, ("screen", "stand", "base")),
    "mug": (vessels.mug, ("body", "handle")),
    "sofa": (furniture.sofa, ("seat", "back", "arm", "leg")),
    "stool": (furniture.stool, ("seat", "leg")),
    "table": (furniture.table, ("top", "leg", "shelf")),
    "vase": (vessels.vase, ("body", "plant")),
}
CATEGORIES = tuple(_BUILDERS)
"""Names of the objects, in the order of their classes."""
PARTS = tuple((category, part) for category, (_, parts) in _BUILDERS.items() for part in parts)
"""Category and name of every part, in the order of the labels."""
PARTS_OF = {
    category: tuple(label for label, (owner, _) in enumerate(PARTS) if owner == category) for category in CATEGORIES
}
"""Labels of the parts of each category."""


def build(category: str, rng: np.random.Generator) -> tuple[Form, Materials]:
    """A random object of a category, inside the unit sphere around the middle of its bounding box, and its looks.

    Its parts are labels among `PARTS`.
    """
    make, parts = _BUILDERS[category]
    piece = Piece(rng, parts)
    make(piece)
    form = piece.form()
    corners = form.vertices[np.unique(form.faces)]
    middle = 0.5 * (corners.min(0) + corners.max(0))
    radius = np.sqrt(((corners - middle) ** 2).sum(1).max())
    labels = np.array(PARTS_OF[category])[form.part_of]
    return form._replace(vertices=(form.vertices - middle) / radius, part_of=labels), piece.palette.materials()
