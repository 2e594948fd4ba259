"""What furniture is made of: boxes between planes, cushions, and an `Item` with its size and places to put things."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pointlift.data.formats.mesh import Mesh
from pointlift.worlds.engine.materials import Palette, pick
from pointlift.worlds.engine.solids import Body, Solid, box, loft
from pointlift.worlds.rooms.classes import IGNORED, LABELS

WOODS = "brown brown beige beige white black grey"


class Top(NamedTuple):
    """A flat place to put things: from (x0, y0) to (x1, y1) at height z in the item's frame, ``room`` metres high."""

    x0: float
    x1: float
    y0: float
    y1: float
    z: float
    room: float = 1.0


class Item(NamedTuple):
    """A thing in its own frame: x forward, y left, z up, the origin on the ground in the middle of its footprint."""

    body: Body
    label: int
    tops: tuple[Top, ...] = ()

    @property
    def low(self) -> np.ndarray:
        """(3,) lowest coordinates."""
        return self.body.vertices.min(axis=0)

    @property
    def high(self) -> np.ndarray:
        """(3,) highest coordinates."""
        return self.body.vertices.max(axis=0)


class Build(Solid):
    """A `Solid` with the shapes that furniture needs."""

    def block(self, material: int, x: tuple[float, float], y: tuple[float, float], z: tuple[float, float]) -> None:
        """A box between planes."""
        size = x[1] - x[0], y[1] - y[0], z[1] - z[0]
        self.add(box(size, (0.5 * (x[0] + x[1]), 0.5 * (y[0] + y[1]), z[0])), material)

    def pad(
        self, material: int, x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], soft: float = 0.05
    ) -> None:
        """A cushion between planes: its edges are rounded by ``soft`` metres."""
        self.add(cushion(x, y, z, soft), material)

    def item(self, name: str | None, *tops: Top) -> Item:
        """All added so far; without a name it is clutter."""
        return Item(self.body(), IGNORED if name is None else LABELS[name], tops)


def cushion(x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], soft: float) -> Mesh:
    """A box between planes whose edges are rounded by ``soft`` metres."""
    half = np.array([x[1] - x[0], y[1] - y[0]]) / 2
    soft = min(soft, 0.45 * float(half.min()), 0.45 * (z[1] - z[0]))
    middle = np.array([x[0] + x[1], y[0] + y[1]]) / 2
    rings = []
    for height, inset in (
        (z[0], soft),
        (z[0] + soft, 0.0),
        (z[1] - soft, 0.0),
        (z[1] - 0.3 * soft, 0.4 * soft),
        (z[1], soft),
    ):
        outline = _octagon(half - inset, soft)
        rings.append(np.column_stack([middle + outline, np.full(8, height)]))
    return loft(np.stack(rings))


def _octagon(half: np.ndarray, cut: float) -> np.ndarray:
    """A rectangle of half sides with its corners cut off."""
    x, y = half
    cut = min(cut, 0.5 * float(half.min()))
    corners = [(x, y - cut), (x - cut, y), (cut - x, y), (-x, y - cut), (-x, cut - y), (cut - x, -y), (x - cut, -y)]
    return np.array([*corners, (x, cut - y)])


def wood(rng: np.random.Generator, palette: Palette, colors: str = WOODS) -> int:
    """Timber with a grain, or smooth paint."""
    color = pick(rng, colors)
    if color in ("brown", "beige"):
        return palette.make(rng, color, "wood", texture="planks", scale=rng.uniform(0.35, 0.8), vary=0.4)
    return palette.make(rng, color, pick(rng, "painted plastic"), vary=0.3)


def cloth(rng: np.random.Generator, palette: Palette, colors: str, scale: float = 0.03) -> int:
    """Plain or patterned fabric."""
    if rng.random() < 0.2:
        second = pick(rng, "white beige grey")
        return palette.make(
            rng, pick(rng, colors), "cloth", texture="stripes", scale=rng.uniform(0.05, 0.15), second=second
        )
    return palette.make(rng, pick(rng, colors), "cloth", scale=scale * rng.uniform(0.7, 2.0), vary=0.4)


def metal(rng: np.random.Generator, palette: Palette) -> int:
    """Legs, handles and rods."""
    return palette.fixed(pick(rng, "silver silver black grey white"), "metal")
