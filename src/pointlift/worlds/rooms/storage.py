"""Cabinets of all sizes, bookshelves and refrigerators, which share their proportions on purpose."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from pointlift.worlds.engine.materials import COLORS, Palette, pick
from pointlift.worlds.engine.solids import tube
from pointlift.worlds.rooms.parts import Build, Item, Top, metal, wood

Span = tuple[float, float]


def fronts(
    rng: np.random.Generator,
    build: Build,
    palette: Palette,
    material: int,
    x: float,
    y: Span,
    z: Span,
    columns: int,
    rows: int,
) -> None:
    """Doors or drawers with gaps and handles on the plane of one x."""
    grip, gap = metal(rng, palette), 0.006
    build.block(palette.fixed("black", "rubber"), (x, x + 0.002), y, z)
    across, up = np.linspace(*y, columns + 1), np.linspace(*z, rows + 1)
    for column in range(columns):
        for row in range(rows):
            left, right = across[column] + gap, across[column + 1] - gap
            low, high = up[row] + gap, up[row + 1] - gap
            build.block(material, (x, x + 0.018), (left, right), (low, high))
            if high - low < right - left:  # a drawer
                middle, reach = 0.5 * (left + right), min(0.07, 0.3 * (right - left))
                ends = (x + 0.035, middle - reach, high - 0.05), (x + 0.035, middle + reach, high - 0.05)
            else:
                side = right - 0.04 if column % 2 == 0 else left + 0.04
                middle = low + (0.75 if low < 0.6 else 0.25) * (high - low)
                ends = (x + 0.035, side, middle - 0.07), (x + 0.035, side, middle + 0.07)
            build.add(tube(ends, 0.008, 5), grip)


def cabinet(rng: np.random.Generator, palette: Palette, kind: str) -> Item:
    """A wardrobe, chest of drawers, sideboard, stand, nightstand or low cupboard."""
    deep, wide, high = (
        rng.uniform(*span)
        for span in {
            "wardrobe": ((0.52, 0.62), (0.9, 2.0), (1.85, 2.2)),
            "chest": ((0.4, 0.5), (0.7, 1.2), (0.75, 1.15)),
            "sideboard": ((0.4, 0.48), (1.2, 1.9), (0.65, 0.95)),
            "stand": ((0.36, 0.45), (1.1, 1.8), (0.38, 0.58)),
            "nightstand": ((0.36, 0.42), (0.38, 0.5), (0.42, 0.62)),
            "file": ((0.45, 0.6), (0.4, 0.8), (0.65, 1.4)),
            "vanity": ((0.44, 0.5), (0.55, 0.9), (0.78, 0.84)),
            "tall": ((0.55, 0.62), (0.55, 0.75), (1.75, 2.1)),
        }[kind]
    )
    build, skin = Build(), wood(rng, palette)
    front = skin if rng.random() < 0.7 else wood(rng, palette)
    x, y = (-deep / 2, deep / 2 - 0.018), (-wide / 2, wide / 2)
    foot = pick_foot(rng, build, palette, x, y)
    build.block(skin, x, y, (foot, high))
    columns = max(1, round(wide / (0.5 if kind != "chest" else 0.9)))
    rows = {"wardrobe": 1, "chest": int(rng.integers(3, 6)), "file": int(rng.integers(2, 5)), "tall": 2}.get(kind, 1)
    if kind in ("stand", "nightstand", "sideboard") and rng.random() < 0.5:
        rows = 2
    fronts(rng, build, palette, front, x[1], y, (foot + 0.02, high - 0.03), columns, rows)
    return build.item("cabinet", Top(x[0], x[1], y[0], y[1], high))


def pick_foot(rng: np.random.Generator, build: Build, palette: Palette, x: Span, y: Span) -> float:
    """Feet, a plinth or nothing under a box; returns how high its bottom is."""
    kind = pick(rng, "feet plinth plinth none")
    if kind == "feet":
        for a in (x[0] + 0.04, x[1] - 0.04):
            for b in (y[0] + 0.04, y[1] - 0.04):
                build.add(tube([(a, b, 0), (a, b, 0.1)], 0.02, 6), metal(rng, palette))
        return 0.1
    if kind == "plinth":
        build.block(palette.fixed("black", "plastic"), (x[0], x[1] - 0.04), y, (0, 0.07))
        return 0.07
    return 0.0


def wall_cabinet(rng: np.random.Generator, palette: Palette, wide: float, front: int) -> Item:
    """Cupboards that hang above a counter."""
    build, high = Build(), rng.uniform(0.55, 0.75)
    x, y = (-0.17, 0.15), (-wide / 2, wide / 2)
    build.block(front, x, y, (0, high))
    fronts(rng, build, palette, front, x[1], y, (0.01, high - 0.01), max(1, round(wide / 0.5)), 1)
    return build.item("cabinet")


def bookshelf(rng: np.random.Generator, palette: Palette) -> Item:
    """A case with boards: books, boxes, a few things, and empty places."""
    build, skin = Build(), wood(rng, palette)
    deep, wide, high = rng.uniform(0.26, 0.38), rng.uniform(0.6, 1.4), rng.uniform(0.9, 2.1)
    x, y, thick = (-deep / 2, deep / 2), (-wide / 2, wide / 2), 0.025
    for edge in (y[0], y[1] - thick):
        build.block(skin, x, (edge, edge + thick), (0, high))
    if rng.random() < 0.8:
        build.block(skin, (x[0], x[0] + 0.01), y, (0, high))
    boards = np.linspace(0.06, high - thick, max(3, round(high / rng.uniform(0.3, 0.42))))
    for z in boards:
        build.block(skin, x, y, (z, z + thick))
    tones = book_tones(rng, palette)
    fill = rng.uniform(0.45, 0.95)
    for low, above in pairwise(boards):
        if rng.random() < fill:
            books(rng, build, tones, x, (y[0] + 0.03, y[1] - 0.03), low + thick, above - low - thick)
    return build.item("bookshelf", Top(x[0], x[1], y[0], y[1], high))


def book_tones(rng: np.random.Generator, palette: Palette) -> list[int]:
    """Covers of many colours."""
    return [palette.make(rng, str(rng.choice(list(COLORS))), "plastic", vary=0.5) for _ in range(9)]


def books(rng: np.random.Generator, build: Build, tones: list[int], x: Span, y: Span, z: float, room: float) -> None:
    """A row of books between two places, leaving some free, or a box."""
    if rng.random() < 0.15 and room > 0.2:
        middle, half = 0.5 * (y[0] + y[1]), min(0.18, 0.4 * (y[1] - y[0]))
        build.block(
            int(rng.choice(tones)), (x[0] + 0.02, x[1] - 0.02), (middle - half, middle + half), (z, z + 0.8 * room)
        )
        return
    place, end = y[0] + rng.uniform(0, 0.1), y[1] - rng.uniform(0, 0.35 * (y[1] - y[0]))
    while True:
        thick = rng.uniform(0.018, 0.055)
        if place + thick > end:
            return
        high, deep = room * rng.uniform(0.6, 0.93), (x[1] - x[0]) * rng.uniform(0.55, 0.85)
        build.block(int(rng.choice(tones)), (x[0] + 0.015, x[0] + deep), (place, place + thick), (z, z + high))
        place += thick + (0.002 if rng.random() < 0.9 else rng.uniform(0.02, 0.15))


def refrigerator(rng: np.random.Generator, palette: Palette) -> Item:
    """A freezer and a fridge door, or two doors side by side; some are low, some are as white as a cabinet."""
    build = Build()
    skin = palette.make(
        rng, pick(rng, "white white silver silver grey black red"), pick(rng, "metal painted"), vary=0.15
    )
    double = rng.random() < 0.2
    deep, wide = rng.uniform(0.6, 0.7), rng.uniform(0.85, 0.95) if double else rng.uniform(0.55, 0.7)
    high = rng.uniform(1.65, 1.95) if double or rng.random() < 0.8 else rng.uniform(0.85, 1.3)
    x, y = (-deep / 2, deep / 2 - 0.05), (-wide / 2, wide / 2)
    build.block(skin, x, y, (0.04, high))
    build.block(palette.fixed("black", "rubber"), (x[0] + 0.05, x[1]), (y[0] + 0.02, y[1] - 0.02), (0, 0.04))
    build.block(palette.fixed("grey", "rubber"), (x[1], x[1] + 0.01), y, (0.05, high - 0.005))
    grip, split = metal(rng, palette), rng.choice([0.32, 0.68]) * high
    doors = [((y[0], -0.004), (0.05, high)), ((0.004, y[1]), (0.05, high))]
    if not double:
        doors = [(y, (0.05, split - 0.004)), (y, (split + 0.004, high))]
    for place, (across, up) in enumerate(doors):
        build.pad(skin, (x[1] + 0.008, deep / 2), across, up, 0.012)
        side = (across[1] - 0.04 if place == 0 else across[0] + 0.04) if double else y[0] + 0.05
        middle = 0.55 * (up[0] + up[1]) if double else (up[1] - 0.22 if place == 0 else up[0] + 0.22)
        reach = min(0.15, 0.35 * (up[1] - up[0]))
        middle = float(np.clip(middle, up[0] + reach, up[1] - reach))
        build.add(
            tube([(deep / 2 + 0.03, side, middle - reach), (deep / 2 + 0.03, side, middle + reach)], 0.012, 6), grip
        )
    return build.item("refrigerator", Top(x[0], x[1], y[0], y[1], high))
