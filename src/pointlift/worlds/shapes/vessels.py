"""Mugs, bottles and vases; sizes in metres, front along x."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from pointlift.data.formats.mesh import Mesh
from pointlift.worlds.engine.materials import pick
from pointlift.worlds.engine.solids import blob, loft
from pointlift.worlds.shapes.forms import ANY, Piece, bar, disc, lathe, loop, spline, square_bar, turned


def mug(piece: Piece) -> None:
    """Straight, conical, round and waisted cups with a handle, few with two."""
    height = piece.between(0.07, 0.13)
    radius, wall = height * piece.between(0.32, 0.55), 0.004
    foot, waist, rim = (radius * piece.between(*span) for span in ((0.6, 1.0), (0.85, 1.15), (0.85, 1.1)))
    outer = spline([(foot, 0), (radius, 0.3 * height), (waist, 0.7 * height), (rim, height)], 12)
    glaze = piece.material(
        "painted plastic plastic", ANY, **({"texture": "stripes", "second": "white"} if piece.chance(0.25) else {})
    )
    inner = outer[::-1] - (wall, 0)
    inner[-1, 1] = 0.08 * height
    piece.add("body", glaze, lathe(np.concatenate([outer, inner]), square=0.6 if piece.chance(0.08) else 0.0))
    sides = (0.0, np.pi) if piece.chance(0.06) else (0.0,)
    out, thick = radius * piece.between(0.5, 0.9), height * piece.between(0.04, 0.075)
    low, high = height * piece.between(0.12, 0.3), height * piece.between(0.7, 0.9)
    at = radius - 1.5 * wall
    if piece.chance(0.25):
        knots = [(at, low), (at + out, low), (at + out, high), (at, high)]
        curve = np.concatenate([np.linspace(a, b, 6) for a, b in pairwise(knots)])
        curve = np.delete(curve, (6, 12), axis=0)  # corners once
    else:
        middle = 0.5 * (low + high)
        curve = spline(
            [
                (at, low),
                (at + 0.8 * out, low + 0.1 * (middle - low)),
                (at + out, middle),
                (at + 0.75 * out, high),
                (at, high),
            ],
            18,
        )
    path = np.stack([curve[:, 0], np.zeros(len(curve)), curve[:, 1]], 1)
    handle = loop(path, thick, flatten=piece.between(0.9, 1.7))
    tone = glaze if piece.chance(0.75) else piece.material("painted plastic wood", ANY)
    piece.add("handle", tone, *(turned(handle, angle + 0.5 * np.pi, axis="z") for angle in sides))


def bottle(piece: Piece) -> None:
    """Wine, water, milk and square bottles, most with a cap."""
    height = piece.between(0.18, 0.34)
    radius = height * piece.between(0.1, 0.2)
    mouth, shoulder = radius * piece.between(0.25, 0.55), piece.between(0.5, 0.72)
    neck = piece.between(shoulder + 0.1, 0.88)
    square = piece.between(0.4, 1.0) if piece.chance(0.2) else 0.0
    waist = radius * (piece.between(0.75, 0.95) if piece.chance(0.25) else 1.0)
    knots = [(0.92 * radius, 0), (radius, 0.03), (waist, 0.5 * shoulder), (radius, shoulder), (1.05 * mouth, neck)]
    body = spline(knots, 22) * (1, height)
    glass = piece.material("glass plastic painted", "green green brown blue white black red silver")
    piece.add("body", glass, lathe(np.maximum(body, 0), square=square))
    if piece.chance(0.6):
        label = piece.material("cloth", "white beige red yellow", texture=pick(piece.rng, "plain stripes"), scale=0.25)
        low, high = 0.15 * height, min(0.45, shoulder - 0.08) * height
        between = (body[:, 1] > low) & (body[:, 1] < high)
        if between.sum() > 2:
            piece.add("body", label, lathe(body[between] * (1.015, 1), square=square))
    end = height * piece.between(neck + 0.05, 1.0)
    flare = mouth * piece.between(0.9, 1.2)
    piece.add("neck", glass, lathe([(1.05 * mouth, neck * height), (mouth, neck * height + 0.01), (flare, end)]))
    if piece.chance(0.75):
        _cap(piece, flare, end, height)


def _cap(piece: Piece, mouth: float, end: float, height: float) -> None:
    """A screw cap, a cork or a pump."""
    tone = piece.material("plastic metal wood", "red white black blue silver brown")
    kind = pick(piece.rng, "screw screw cork pump")
    if kind == "cork":
        piece.add("cap", tone, disc(0.85 * mouth, 0.05 * height, (0, 0, end), 16))
        return
    piece.add(
        "cap", tone, disc(1.15 * mouth, 0.08 * height, (0, 0, end - 0.03 * height), 20, top=piece.between(0.85, 1))
    )
    if kind == "pump":
        top = end + 0.14 * height
        piece.add(
            "cap",
            tone,
            bar((0, 0, end), (0, 0, top), 0.3 * mouth),
            square_bar((0, 0, top), (0, 0, top + 0.03 * height), mouth),
        )
        piece.add("cap", tone, bar((0, 0, top + 0.015 * height), (0.13 * height, 0, top), 0.25 * mouth))


def vase(piece: Piece) -> None:
    """Vases and pots, most with leaves or flowers."""
    height = piece.between(0.15, 0.45)
    belly = height * piece.between(0.18, 0.5)
    foot, neck = belly * piece.between(0.45, 0.95), belly * piece.between(0.3, 1.0)
    rim = neck * piece.between(0.95, 1.4)
    knots = [(foot, 0), (belly, piece.between(0.25, 0.6)), (neck, 0.82), (rim, 1.0)]
    if piece.chance(0.25):  # a plain pot
        knots = [(foot, 0), (0.5 * (foot + belly), 0.5), (belly, 1.0)]
        neck = rim = belly
    outer = spline(knots, 16) * (1, height)
    inner = outer[::-1] - (0.03 * belly, 0)
    inner[-1, 1] = 0.05 * height
    options = {"texture": "stripes", "second": pick(piece.rng, "white black beige")} if piece.chance(0.2) else {}
    glaze = piece.material(
        "painted plaster stone plastic glass", "white blue beige brown green red black grey", **options
    )
    piece.add(
        "body",
        glaze,
        lathe(np.maximum(np.concatenate([outer, inner]), (0.004, 0)), square=0.7 if piece.chance(0.1) else 0),
    )
    if piece.chance(0.65):
        _plant(piece, height, 0.8 * min(neck, rim))


def _plant(piece: Piece, height: float, mouth: float) -> None:
    """Stems out of the mouth, each with leaves or a flower; or a bush."""
    rng = piece.rng
    green = piece.material("leafy painted", "green green green yellow", scale=0.08)
    if piece.chance(0.35):
        crown = mouth * piece.between(1.3, 2.2)
        tufts = (
            blob(
                rng,
                crown * rng.uniform(0.4, 0.7),
                (*rng.normal(0, 0.35 * crown, 2), height + crown * rng.uniform(0.2, 1.1)),
                roughness=0.3,
            )
            for _ in range(9)
        )
        piece.add("plant", green, *tufts)
        return
    bloom = piece.material("painted cloth", "red yellow purple white orange")
    flowers = piece.chance(0.6)
    for _ in range(int(rng.integers(3, 9))):
        angle, lean = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.7)
        tall = height * rng.uniform(0.5, 1.1)
        way = np.array([np.cos(angle), np.sin(angle), 0])
        start = 0.4 * mouth * way + (0, 0, 0.7 * height)
        path = spline(
            [
                start,
                start + 0.3 * lean * tall * way + (0, 0, 0.7 * tall),
                start + lean * tall * way + (0, 0, 1.1 * tall),
            ],
            6,
        )
        side = np.array([-way[1], way[0], 0])
        piece.add("plant", green, loop(path, 0.012 * height, 5, normal=side))
        if flowers:
            piece.add("plant", bloom, blob(rng, np.array([0.07, 0.07, 0.05]) * height, path[-1], roughness=0.25))
        else:
            piece.add("plant", green, _leaf(path[2:], 0.07 * height, side))


def _leaf(path: np.ndarray, width: float, side: np.ndarray) -> Mesh:
    """A flat blade along a path, widest in its middle."""
    shape = np.sin(np.linspace(0.15, np.pi - 0.05, len(path)))[:, None] * width
    over = np.array([0, 0, 0.06 * width])
    return loft(np.stack([path - shape * side, path + over, path + shape * side, path - over], 1))
