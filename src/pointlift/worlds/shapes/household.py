"""Lamps, monitors, laptops and guitars; sizes in metres, front along x."""

from __future__ import annotations

import numpy as np

from pointlift.data.formats.mesh import Mesh
from pointlift.worlds.engine.materials import pick
from pointlift.worlds.engine.solids import blob, box, icosphere, loft
from pointlift.worlds.shapes.forms import Piece, bar, cushion, disc, lathe, spline, square_bar, turned

METALS = "silver black white brown grey"


def _shade(piece: Piece, radius: float, height: float, at: tuple[float, float, float]) -> Mesh:
    """A lamp's shade, open below, whose lower edge is at ``at``."""
    kind = pick(piece.rng, "cone cone drum dome ball")
    if kind == "ball":
        return Mesh(0.5 * height * icosphere(2).vertices + (at[0], at[1], at[2] + 0.5 * height), icosphere(2).faces)
    if kind == "dome":
        angle = np.linspace(0, 0.46 * np.pi, 7)
        outer = np.stack([radius * np.cos(angle), height * np.sin(angle)], 1)
    else:
        top = radius * (piece.between(0.3, 0.7) if kind == "cone" else 1.0)
        outer = np.array([[radius, 0], [top, height]])
    inner = outer[::-1] - (0.03 * radius, 0.02 * height)
    inner[-1] = (0.96 * radius, 0.0)
    return lathe(np.concatenate([outer, np.maximum(inner, (0.01 * radius, 0))]), at)


def lamp(piece: Piece) -> None:
    """Table, standing, desk and hanging lamps."""
    kind = pick(piece.rng, "table table standing desk hanging")
    metal = piece.material("metal wood painted plastic", METALS)
    cloth = piece.material("cloth plastic painted", "white white beige yellow red green blue black")
    if kind == "desk":
        _desk_lamp(piece, metal, cloth)
        return
    if kind == "hanging":
        drop, radius = piece.between(0.3, 0.9), piece.between(0.12, 0.3)
        height = radius * piece.between(0.5, 1.5)
        piece.add("base", metal, disc(piece.between(0.04, 0.08), 0.03, (0, 0, height + drop)))
        piece.add("stem", metal, bar((0, 0, height - 0.05 * height), (0, 0, height + drop), 0.006))
        piece.add("shade", cloth, _shade(piece, radius, height, (0, 0, 0)))
        return
    tall = piece.between(1.1, 1.6) if kind == "standing" else piece.between(0.2, 0.45)
    reach = piece.between(0.1, 0.17) if kind == "standing" else piece.between(0.06, 0.12)
    rise = piece.between(0.015, 0.04)
    if kind == "standing" and piece.chance(0.3):
        feet = [bar((0.25 * np.cos(a), 0.25 * np.sin(a), 0), (0, 0, 0.9 * tall), 0.014) for a in np.arange(3) * 2.0944]
        piece.add("base", metal, *feet)
        piece.add("stem", metal, bar((0, 0, 0.85 * tall), (0, 0, 1.04 * tall), 0.02))
    else:
        foot = (
            box((1.8 * reach, 1.8 * reach, rise))
            if piece.chance(0.25)
            else disc(reach, rise, top=piece.between(0.6, 1))
        )
        piece.add("base", metal, foot)
        piece.add("stem", metal if piece.chance(0.5) else cloth, _stem(piece, tall, rise, kind == "table"))
    radius = piece.between(0.12, 0.22)
    height = radius * piece.between(0.7, 1.5)
    piece.add("shade", cloth, _shade(piece, radius, height, (0, 0, tall - 0.25 * height)))


def _stem(piece: Piece, tall: float, rise: float, turned_: bool) -> Mesh:
    """A straight rod or, on tables, a turned body."""
    if not turned_ or piece.chance(0.4):
        return bar((0, 0, rise), (0, 0, tall), piece.between(0.008, 0.02))
    belly = piece.between(0.03, 0.09)
    knots = [(0.03, 0), (belly, piece.between(0.2, 0.5)), (piece.between(0.015, 0.04), 0.8), (0.015, 1.0)]
    profile = spline(knots, 14)
    return lathe(np.stack([np.maximum(profile[:, 0], 0.008), rise + (tall - rise) * np.clip(profile[:, 1], 0, 1)], 1))


def _desk_lamp(piece: Piece, metal: int, shade: int) -> None:
    """Two arms with joints, and a small shade that looks down and forward."""
    piece.add("base", metal, disc(piece.between(0.07, 0.11), 0.025))
    first, second = piece.between(0.2, 0.35), piece.between(0.2, 0.35)
    lean, reach = piece.between(0.0, 0.6), piece.between(0.6, 1.5)
    elbow = np.array([-first * np.sin(lean), 0, 0.02 + first * np.cos(lean)])
    head = elbow + second * np.array([np.sin(reach), 0, np.cos(reach)])
    piece.add(
        "stem",
        metal,
        bar((0, 0, 0.02), elbow, 0.009),
        bar(elbow, head, 0.009),
        blob(piece.rng, 0.016, elbow, roughness=0),
    )
    size = piece.between(0.05, 0.08)
    cone = lathe(
        [(size, 0), (0.35 * size, 1.6 * size), (0.33 * size, 1.58 * size), (0.95 * size, 0)],
        (*head[:2], head[2] - 1.4 * size),
    )
    piece.add("shade", shade, turned(cone, -piece.between(0.1, 0.9), head))


def monitor(piece: Piece) -> None:
    """Flat screens on a stand, some curved or upright, and deep old ones."""
    width = piece.between(0.4, 0.8)
    height = width * piece.between(0.5, 0.7)
    if piece.chance(0.08):
        width, height = height, width
    foot, gap = piece.between(0.008, 0.02), piece.between(0.05, 0.15)
    case = piece.material("plastic plastic metal", "black black grey white silver")
    glass = piece.material("glass glass plastic", "black black blue green grey purple")
    thick = piece.between(0.015, 0.05)
    bezel, low = piece.between(0.008, 0.03), foot + gap
    if piece.chance(0.12):  # a tube behind the screen
        deep = width * piece.between(0.5, 0.8)
        rings = np.array(
            [
                [(0, -0.5, 0), (0, 0.5, 0), (0, 0.5, 1), (0, -0.5, 1)],
                [(-1, -0.28, 0.2), (-1, 0.28, 0.2), (-1, 0.28, 0.75), (-1, -0.28, 0.75)],
            ]
        )
        piece.add("screen", case, loft(rings * (deep, width, height) + (0, 0, low)))
    screen = [box((thick, width, height), (0.5 * thick, 0, low))]
    panel = box((0.004, width - 2 * bezel, height - 2 * bezel), (thick + 0.001, 0, low + bezel))
    lean = -piece.between(0.0, 0.2)
    pivot = (0, 0, low + 0.5 * height)
    piece.add("screen", case, *(turned(mesh, lean, pivot) for mesh in screen))
    piece.add("screen", glass, turned(panel, lean, pivot))
    grip = low + piece.between(0.15, 0.5) * height
    if piece.chance(0.3):
        post = [square_bar((-0.06, s * 0.05 * width, foot), (-0.005, s * 0.02, grip), 0.02) for s in (-1, 1)]
    else:
        post = [box((0.03, width * piece.between(0.06, 0.25), grip - foot + 0.02), (-0.025, 0, foot))]
    piece.add("stand", case, *post)
    _monitor_foot(piece, case, width, foot)


def _monitor_foot(piece: Piece, material: int, width: float, height: float) -> None:
    kind = pick(piece.rng, "round box box fork")
    reach = width * piece.between(0.18, 0.3)
    if kind == "round":
        piece.add("base", material, disc(reach, height))
    elif kind == "box":
        piece.add("base", material, box((1.4 * reach, 2 * reach, height), (0.02, 0, 0)))
    else:
        fork = [
            bar((-0.03, 0, 0.5 * height), (0.8 * reach, s * 1.3 * reach, 0.5 * height), 0.7 * height) for s in (-1, 1)
        ]
        piece.add("base", material, *fork, disc(0.05, height, (-0.03, 0, 0), 12))


def laptop(piece: Piece) -> None:
    """Opened by 75 to 135 degrees."""
    width = piece.between(0.28, 0.4)
    depth = width * piece.between(0.6, 0.75)
    thick, lid = piece.between(0.012, 0.025), piece.between(0.005, 0.012)
    case = piece.material("plastic metal metal", "silver black grey white blue red")
    dark = piece.material("plastic", "black black grey white")
    round_ = piece.chance(0.5)

    def slab(size: tuple[float, float, float], at: tuple[float, float, float]) -> Mesh:
        return cushion(size, at, 0.05) if round_ else box(size, at)

    piece.add("keyboard", case, slab((depth, width, thick), (0, 0, 0)))
    keys = [
        box(
            (0.6 * depth / 5, 0.84 * width / 12, 0.003),
            ((0.24 - 0.13 * row) * depth * 0.9 - 0.08 * depth, (column - 5.5) * 0.9 * width / 12, thick),
        )
        for row in range(4)
        for column in range(12)
    ]
    piece.add("keyboard", dark, *keys, box((0.22 * depth, 0.3 * width, 0.001), (0.35 * depth, 0, thick)))
    lean = np.radians(piece.between(75, 135) - 90)
    hinge = (-0.5 * depth, 0, thick)
    glass = piece.material("glass glass plastic", "black blue green purple grey white")
    bezel = piece.between(0.02, 0.06) * width
    cover = slab((lid, width, depth), (-0.5 * depth - 0.5 * lid, 0, thick))
    panel = box((0.002, width - 2 * bezel, depth - 2 * bezel), (-0.5 * depth + 0.001, 0, thick + bezel))
    piece.add("screen", case, turned(cover, -lean, hinge))
    piece.add("screen", glass, turned(panel, -lean, hinge))


def guitar(piece: Piece) -> None:
    """Acoustic and electric guitars, upright, with their strings to the front."""
    electric = piece.chance(0.5)
    length = piece.between(0.36, 0.44) if electric else piece.between(0.4, 0.5)
    thick = piece.between(0.035, 0.05) if electric else piece.between(0.08, 0.12)
    wood = piece.material("wood painted painted", "brown orange beige red black blue white yellow")
    outline = _guitar_outline(piece, length, electric)
    rings = np.zeros((2, len(outline), 3))
    rings[:, :, 1:] = outline
    rings[1, :, 0] = thick
    piece.add("body", wood, loft(rings))
    dark = piece.material("plastic wood", "black brown white")
    if electric:
        piece.add("body", dark, *(box((0.008, 0.09, 0.025), (thick, 0, z * length)) for z in (0.5, 0.66)))
    else:
        hole = turned(disc(0.11 * length, 0.003, sides=20), 0.5 * np.pi).moved((thick, 0, 0.6 * length))
        piece.add("body", dark, hole)
    piece.add("body", dark, box((0.012, 0.11, 0.02), (thick, 0, 0.32 * length)))
    reach, head = length + piece.between(0.3, 0.42), piece.between(0.12, 0.18)
    board = box((0.028, 0.052, reach - 0.72 * length), (thick, 0, 0.72 * length))
    piece.add("neck", piece.material("wood", "brown black beige"), board)
    plank = square_bar((thick, 0, reach), (thick - 0.02, 0, reach + head), 0.055, 0.075)
    plank = plank.moved((0.75 * thick, 0, 0), scale=(0.25, 1, 1))
    pegs = [
        box((0.012, 0.022, 0.012), (thick, s * 0.045, reach + head * t)) for s in (-1, 1) for t in (0.25, 0.55, 0.85)
    ]
    piece.add("head", wood if piece.chance(0.5) else dark, plank, *pegs)


def _guitar_outline(piece: Piece, length: float, electric: bool) -> np.ndarray:
    """(N, 2) places (y, z) around the body: two bouts and a waist, and a horn on some electric guitars."""
    lower, upper = length * piece.between(0.36, 0.44), length * piece.between(0.26, 0.34)
    waist = min(lower, upper) * piece.between(0.65, 0.85)
    knots = [
        (0.02, 0),
        (0.8 * lower, 0.06),
        (lower, 0.25),
        (waist, 0.58),
        (upper, 0.82),
        (0.6 * upper, 0.97),
        (0.03, 1),
    ]
    left = np.maximum(spline(knots, 24), 0) * (1, length)
    right = left.copy()
    if electric and piece.chance(0.6):
        right[:, 0] += 0.35 * upper * np.exp(-(((right[:, 1] / length - 0.9) / 0.08) ** 2))
    return np.concatenate([right, (left * (-1, 1))[::-1]])
