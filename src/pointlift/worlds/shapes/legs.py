"""What furniture stands on: four legs or three, a pedestal, a star of castors, sleds and trestles."""

from __future__ import annotations

import numpy as np

from pointlift.data.formats.mesh import Mesh
from pointlift.worlds.engine.materials import pick
from pointlift.worlds.engine.solids import box
from pointlift.worlds.shapes.forms import Piece, bar, disc, lathe, square_bar


def legs_below(piece: Piece, size: tuple[float, float], height: float, *, kinds: str) -> list[Mesh]:
    """Legs of a random kind below a rectangle of ``size`` (x, y) at ``height``."""
    kind = pick(piece.rng, kinds)
    thick = piece.between(0.015, 0.04) * max(1.0, 1.2 * height)
    if kind == "pedestal":
        return _pedestal(piece, 0.5 * min(size), height, thick)
    if kind == "star":
        return _star(piece, 0.5 * min(size), height, thick)
    x, y = 0.5 * size[0] - thick, 0.5 * size[1] - thick
    if kind == "panel":
        return [box((size[0] * 0.92, 1.2 * thick, height), (0, side * y, 0)) for side in (-1, 1)]
    if kind == "sled":
        return _sled(x, y, height, 0.6 * thick)
    if kind == "trestle":
        return _trestle(piece, x, 0.75 * y, height, thick)
    splay = piece.between(0.03, 0.14) * height if kind == "splayed" else 0.0
    taper = piece.between(0.45, 0.8) if kind in ("splayed", "tapered") else 1.0
    corners = [(x, y), (-x, y), (-x, -y), (x, -y)]
    if kind == "three":
        corners = [(0.9 * min(x, y) * np.cos(a), 0.9 * min(x, y) * np.sin(a)) for a in np.arange(3) * 2 * np.pi / 3]
        splay = piece.between(0.05, 0.15) * height
    round_ = piece.chance(0.5)
    meshes = []
    for u, v in corners:
        out = 1 + splay / max(float(np.hypot(u, v)), 1e-6)
        foot, top = (u * out, v * out, 0.0), (u, v, height)
        make = bar if round_ else square_bar
        factor = 1.0 if round_ else 1.7
        meshes.append(make(foot, top, factor * taper * thick, factor * thick))
    return meshes


def _pedestal(piece: Piece, reach: float, height: float, thick: float) -> list[Mesh]:
    """A column on a foot, as a disc or a cone."""
    foot = reach * piece.between(0.6, 0.9)
    rise = piece.between(0.02, 0.12) * height
    column = lathe([(foot, 0), (foot, 0.25 * rise), (1.6 * thick, rise), (1.6 * thick, height)])
    return [column]


def _star(piece: Piece, reach: float, height: float, thick: float) -> list[Mesh]:
    """The five arms on castors of an office chair."""
    reach, hub = 1.1 * reach, 0.22 * height
    meshes = [bar((0, 0, hub - 0.03), (0, 0, height), 1.2 * thick)]
    count = 5 if piece.chance(0.7) else 4
    for angle in np.arange(count) * 2 * np.pi / count:
        end = reach * np.array([np.cos(angle), np.sin(angle)])
        meshes.append(bar((0, 0, hub), (*end, 0.06), 0.9 * thick, 0.6 * thick))
        meshes.append(disc(0.025, 0.05, (*end, 0.0), 10))
    return meshes


def _sled(x: float, y: float, height: float, thick: float) -> list[Mesh]:
    """Two frames of bars, left and right."""
    meshes = []
    for side in (-y, y):
        meshes.append(bar((x, side, thick), (x, side, height), thick))
        meshes.append(bar((-x, side, thick), (-x, side, height), thick))
        meshes.append(bar((-x, side, thick), (x, side, thick), thick))
    return meshes


def _trestle(piece: Piece, x: float, y: float, height: float, thick: float) -> list[Mesh]:
    """Two A-shaped ends and a beam between them."""
    meshes = [box((2 * thick, 2 * y, 2 * thick), (0, 0, piece.between(0.25, 0.6) * height))]
    for side in (-y, y):
        meshes += [square_bar((s * x, side, 0), (0.35 * s * x, side, height), 1.6 * thick) for s in (-1, 1)]
    return meshes
