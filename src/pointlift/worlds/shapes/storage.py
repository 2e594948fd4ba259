"""Bookshelves and cabinets; sizes in metres, front along x."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from pointlift.worlds.engine.materials import pick
from pointlift.worlds.engine.solids import box
from pointlift.worlds.shapes.forms import ANY, WOODS, Piece, disc, square_bar, turned
from pointlift.worlds.shapes.legs import legs_below


def bookshelf(piece: Piece) -> None:
    """Boards between two sides, mostly with books."""
    depth, width, height = piece.between(0.22, 0.4), piece.between(0.5, 1.5), piece.between(0.8, 2.1)
    thick = piece.between(0.015, 0.035)
    wood = piece.material("wood wood painted metal", WOODS)
    if piece.chance(0.25):
        posts = [(s * (0.5 * depth - thick), t * (0.5 * width - thick)) for s in (-1, 1) for t in (-1, 1)]
        piece.add("frame", wood, *(square_bar((u, v, 0), (u, v, height), 1.5 * thick) for u, v in posts))
    else:
        piece.add("frame", wood, *(box((depth, thick, height), (0, s * 0.5 * (width - thick), 0)) for s in (-1, 1)))
        if piece.chance(0.7):
            piece.add("frame", wood, box((0.6 * thick, width, height), (-0.5 * depth, 0, 0)))
    rows = max(2, round(height / piece.between(0.28, 0.45)))
    foot = piece.between(0.0, 0.1)
    levels = foot + np.linspace(0, 1, rows + 1) * (height - foot - thick)
    piece.add("shelf", wood, *(box((0.98 * depth, width - 2 * thick, thick), (0, 0, level)) for level in levels))
    columns = 1 if width < 0.9 or piece.chance(0.5) else 2
    if columns == 2:
        piece.add("shelf", wood, box((0.96 * depth, thick, height - foot), (0, 0, foot)))
    if piece.chance(0.85):
        _books(piece, levels + thick, (depth, width - 2 * thick), piece.between(0.4, 0.95))


def _books(piece: Piece, levels: np.ndarray, size: tuple[float, float], fill: float) -> None:
    """Rows of books on every level but the highest."""
    rng, tones = piece.rng, [piece.material("plastic cloth", ANY) for _ in range(5)]
    for level, above in pairwise(levels):
        clear, place = above - level - 0.03, -0.5 * size[1]
        while place < 0.5 * size[1] - 0.08:
            thick = float(rng.uniform(0.02, 0.07))
            if rng.random() < fill:
                height = clear * float(rng.uniform(0.55, 0.95))
                deep = size[0] * float(rng.uniform(0.55, 0.85))
                at = (0.5 * (0.95 * size[0] - deep) - 0.12 * size[0], place + 0.5 * thick, level)
                piece.add("books", tones[int(rng.integers(5))], box((deep, 0.92 * thick, height), at))
                place += thick
            else:
                place += float(rng.uniform(0.05, 0.2))


def cabinet(piece: Piece) -> None:
    """Wardrobes, sideboards, chests of drawers and low cabinets, some with open boards."""
    kind = pick(piece.rng, "wardrobe sideboard chest low")
    spans = {
        "wardrobe": ((0.45, 0.65), (0.8, 1.6), (1.6, 2.1)),
        "sideboard": ((0.35, 0.5), (0.9, 1.6), (0.6, 0.95)),
        "chest": ((0.4, 0.55), (0.5, 1.0), (0.7, 1.2)),
        "low": ((0.3, 0.5), (0.9, 1.6), (0.3, 0.5)),
    }
    depth, width, height = (piece.between(*span) for span in spans[kind])
    wood = piece.material("wood wood painted", WOODS)
    front = wood if piece.chance(0.5) else piece.material("wood painted glass", WOODS)
    leg = piece.between(0.06, 0.2) if piece.chance(0.6) else 0.0
    thick, open_ = 0.025, piece.chance(0.25)
    sides = [box((depth, thick, height), (0, s * 0.5 * (width - thick), leg)) for s in (-1, 1)]
    levels = [leg, leg + height - thick]
    boards = [box((depth, width, thick), (0, 0, level)) for level in levels]
    piece.add("body", wood, *sides, *boards, box((thick, width, height), (-0.5 * depth + 0.5 * thick, 0, leg)))
    if leg:
        piece.add(
            "leg",
            piece.material("wood metal", "brown black silver"),
            *legs_below(piece, (depth, width), leg, kinds="square tapered sled"),
        )
    columns = {"wardrobe": (2, 4), "sideboard": (2, 5), "chest": (1, 3), "low": (2, 4)}[kind]
    rows = {"wardrobe": (1, 2), "sideboard": (1, 3), "chest": (3, 6), "low": (1, 3)}[kind]
    _fronts(
        piece,
        front,
        (depth, width, height - 0.02, leg + 0.01),
        int(piece.rng.integers(*columns)),
        int(piece.rng.integers(*rows)),
        open_,
    )


def _fronts(
    piece: Piece, material: int, size: tuple[float, float, float, float], columns: int, rows: int, open_: bool
) -> None:
    """Doors or drawers in columns and rows with handles; one column is left open, with a board, if ``open_``."""
    depth, width, height, foot = size
    w, h = width / columns, height / rows
    metal = piece.material("metal metal wood", "silver black brown")
    knob = piece.chance(0.4)
    left_open = int(piece.rng.integers(columns)) if open_ and columns > 1 else -1
    for column in range(columns):
        v = (column + 0.5) * w - 0.5 * width
        if column == left_open:
            piece.add("body", material, box((0.9 * depth, w, 0.02), (0, v, foot + 0.5 * height)))
            continue
        for row in range(rows):
            z = foot + row * h
            piece.add("door", material, box((0.022, 0.97 * w, 0.96 * h), (0.5 * depth + 0.011, v, z + 0.02 * h)))
            side = 0.0 if h < 1.2 * w else (0.38 if column % 2 == 0 else -0.38) * w
            at = (0.5 * depth + 0.02, v + side, z + 0.5 * h)
            if knob:
                mesh = turned(disc(0.016, 0.035, at, 10), 0.5 * np.pi, at)
            else:
                tall = (0.02, 0.015, 0.16) if side else (0.02, min(0.16, 0.5 * w), 0.015)
                mesh = box(tall, (at[0] + 0.015, at[1], at[2] - 0.5 * tall[2]))
            piece.add("handle", metal, mesh)
