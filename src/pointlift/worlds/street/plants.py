"""Trees, bushes, hedges and tall grass."""

from __future__ import annotations

import numpy as np

from pointlift.data.formats.mesh import Mesh
from pointlift.worlds.engine.materials import Palette, pick
from pointlift.worlds.engine.solids import Body, Point, Solid, blob, circle, loft, row, row_cuts, tube


def leaves(rng: np.random.Generator, palette: Palette, season: float, *kinds: str) -> int:
    """Foliage: mostly green early in the year (``season`` 0), mostly yellow to brown late (1)."""
    if rng.random() < 0.75 * season:
        return palette.make(rng, pick(rng, "yellow orange brown brown red"), "dry", *kinds, vary=0.35)
    return palette.make(rng, "green", "leafy", *kinds, vary=0.5, scale=rng.uniform(0.15, 0.5))


def tree(rng: np.random.Generator, palette: Palette, season: float, *, small: bool = False, far: bool = False) -> Body:
    """A broad-leaved tree: a bent trunk, branches and a crown of lumps with many small ones at its surface."""
    solid = Solid()
    height = rng.uniform(3.0, 5.5) if small else rng.uniform(5.0, 12.0)
    trunk_top, girth = height * rng.uniform(0.3, 0.5), height * rng.uniform(0.012, 0.028)
    bend = rng.uniform(-0.05, 0.05, 2) * height
    bark = palette.make(rng, pick(rng, "brown brown grey"), "bark", "trunk", "tree", vary=0.4)
    crown = leaves(rng, palette, season, "tree")
    radius = height * rng.uniform(0.16, 0.3)
    centre = np.array([*bend, trunk_top + (height - trunk_top) * 0.5])
    path: list[Point] = [(0, 0, -0.2), (*(bend * 0.4), trunk_top * 0.5), (*(bend * 0.8), trunk_top), centre]
    solid.add(tube(path, [girth * 1.3, girth, girth * 0.8, girth * 0.3], 7), bark)
    stretch = (height - trunk_top) / 2 / radius
    count = int(rng.integers(4, 8))
    for index in range(count):
        angle, lift = 2 * np.pi * (index + rng.random()) / count, rng.uniform(-0.7, 0.7)
        out = radius * 0.55 * (1 - 0.6 * abs(lift))
        at = centre + np.array([out * np.cos(angle), out * np.sin(angle), lift * radius * stretch * 0.75])
        size = radius * rng.uniform(0.45, 0.75)
        solid.add(blob(rng, (size, size, size * min(stretch, 1.5)), at, roughness=0.28, detail=0 if far else 1), crown)
        solid.add(tube([(*(bend * 0.8), trunk_top * 0.95), at], [girth * 0.5, girth * 0.15], 5), bark)
    _sprigs(solid, rng, crown, centre, radius, stretch, int(rng.integers(4, 8) if far else rng.integers(10, 18)))
    return solid.body()


def _sprigs(
    solid: Solid, rng: np.random.Generator, leaf: int, centre: np.ndarray, radius: float, stretch: float, count: int
) -> None:
    """Small lumps scattered over the crown's surface, so that its outline is ragged."""
    for _ in range(count):
        angle, lift = rng.uniform(0, 2 * np.pi), rng.uniform(-0.75, 0.85)
        out = radius * rng.uniform(0.7, 0.98) * (1 - lift**2) ** 0.5
        at = centre + np.array([out * np.cos(angle), out * np.sin(angle), lift * radius * stretch])
        solid.add(blob(rng, radius * rng.uniform(0.18, 0.32), at, roughness=0.45, detail=0), leaf)


def poplar(rng: np.random.Generator, palette: Palette, season: float) -> Body:
    """A tall narrow tree, green almost to the ground."""
    solid, height = Solid(), rng.uniform(5, 13)
    bark, crown = palette.make(rng, "grey", "bark", "trunk", "tree"), leaves(rng, palette, season, "tree")
    solid.add(tube([(0, 0, -0.2), (0, 0, height * 0.6)], [0.16, 0.05], 6), bark)
    width, low = height * rng.uniform(0.07, 0.12), height * 0.12
    for share in np.linspace(0.12, 0.9, 5):
        size = width * (1.15 - abs(share - 0.35))
        solid.add(blob(rng, (size, size, height * 0.14), (0, 0, low + share * (height - low)), roughness=0.25), crown)
    _sprigs(solid, rng, crown, np.array([0, 0, height * 0.5]), width, height * 0.4 / width, 10)
    return solid.body()


def pine(rng: np.random.Generator, palette: Palette, *, flat: bool = False, far: bool = False) -> Body:
    """A conifer of jagged cones or, ``flat``, a Mediterranean pine with a bare trunk and an umbrella of needles."""
    solid, height = Solid(), rng.uniform(4, 11)
    needles = palette.make(rng, "green", "leafy", "pine", "tree", vary=0.5, scale=0.15)
    bark = palette.make(rng, "brown", "bark", "trunk", "pine", vary=0.4)
    lean = rng.uniform(-0.08, 0.08, 2) * height
    if flat:
        solid.add(
            tube([(0, 0, -0.2), (*(lean * 0.4), height * 0.5), (*lean, height * 0.85)], [0.2, 0.15, 0.1], 7), bark
        )
        for _ in range(7):
            at = (*(lean + rng.uniform(-0.2, 0.2, 2) * height), height * rng.uniform(0.82, 0.92))
            solid.add(
                blob(rng, (height * 0.16, height * 0.16, height * 0.07), at, roughness=0.3, detail=0 if far else 1),
                needles,
            )
        return solid.body()
    solid.add(tube([(0, 0, -0.2), (0, 0, height * 0.7)], [height * 0.022, 0.04], 6), bark)
    tiers, low = int(rng.integers(4, 7)), rng.uniform(0.06, 0.2)
    for tier in range(tiers):
        share = low + (1 - low) * tier / tiers
        radius = height * 0.24 * (1.05 - share)
        solid.add(_skirt(rng, radius, height * share, height * min(share + 1.7 * (1 - low) / tiers, 1)), needles)
    return solid.body()


def _skirt(rng: np.random.Generator, radius: float, low: float, high: float) -> Mesh:
    rings = np.zeros((3, 11, 3))
    jagged = rng.uniform(0.7, 1.15, (11, 1))
    rings[0, :, :2], rings[1, :, :2] = circle(11) * radius * jagged, circle(11) * radius * 0.5
    rings[2, :, :2] = circle(11) * 0.02
    rings[0, :, 2], rings[1, :, 2], rings[2, :, 2] = low + rng.uniform(-0.1, 0.1, 11), (low + high) / 2, high
    return loft(rings)


def palm(rng: np.random.Generator, palette: Palette) -> Body:
    """A palm: a thin bent trunk and drooping fronds."""
    solid, height = Solid(), rng.uniform(4, 9)
    lean = rng.uniform(-0.12, 0.12, 2) * height
    bark = palette.make(rng, pick(rng, "brown grey beige"), "bark", "trunk", "palm")
    frond = palette.make(rng, "green", "leafy", "palm", vary=0.4)
    path = [(0, 0, -0.2), (*(lean * 0.3), height * 0.5), (*lean, height)]
    solid.add(tube(path, [0.24, 0.16, 0.14], 7), bark)
    count, top = int(rng.integers(9, 14)), np.array([*lean, height])
    for index in range(count):
        angle, rise = 2 * np.pi * (index + 0.5 * rng.random()) / count, rng.uniform(-0.2, 0.7)
        out, reach = np.array([np.cos(angle), np.sin(angle), 0]), rng.uniform(1.6, 2.6)
        points = [top, top + out * reach * 0.5 + (0, 0, rise), top + out * reach + (0, 0, rise - 0.9)]
        solid.add(tube(points, [0.1, 0.32, 0.03], 4, flatten=0.2), frond)
    return solid.body()


def bush(rng: np.random.Generator, palette: Palette, season: float) -> Body:
    """A bush from knee-high to well above a car."""
    solid, size = Solid(), rng.uniform(0.35, 1.2)
    leaf = leaves(rng, palette, season, "bush")
    for _ in range(int(rng.integers(2, 6))):
        radius = size * rng.uniform(0.45, 0.9)
        at = (*rng.uniform(-0.6, 0.6, 2) * size, radius * 0.6)
        solid.add(
            blob(
                rng,
                (radius, radius, radius * rng.uniform(0.7, 1.1)),
                at,
                roughness=0.3,
                detail=1 if radius > 0.65 else 0,
            ),
            leaf,
        )
    for _ in range(4):
        at = (*rng.uniform(-0.8, 0.8, 2) * size, size * rng.uniform(0.5, 1.1))
        solid.add(blob(rng, size * 0.2, at, roughness=0.4, detail=0), leaf)
    return solid.body()


def tall_grass(rng: np.random.Generator, palette: Palette, season: float) -> Body:
    """A tuft of blades, often dry."""
    solid, height = Solid(), rng.uniform(0.3, 0.9)
    dry = rng.random() < 0.3 + 0.5 * season
    blade = palette.make(rng, pick(rng, "yellow beige") if dry else "green", "dry" if dry else "leafy", vary=0.4)
    for _ in range(int(rng.integers(7, 13))):
        foot, lean = rng.uniform(-0.45, 0.45, 2), rng.uniform(-0.25, 0.25, 2)
        solid.add(tube([(*foot, -0.05), (*(foot + lean), height * rng.uniform(0.6, 1.1))], [0.07, 0.01], 3), blade)
    return solid.body()


def hedge(rng: np.random.Generator, palette: Palette, season: float, length: float, height: float) -> Body:
    """A clipped hedge along x: as box-like as a wall, but for its small dents."""
    solid, width = Solid(), rng.uniform(0.5, 1.0)
    leaf = leaves(rng, palette, season * 0.5, "hedge")
    outline = np.array([(-0.5, -0.2), (0.5, -0.2), (0.52, 0.5), (0.46, 1.0), (0.0, 1.03), (-0.46, 1.0), (-0.52, 0.5)])
    outline = outline * (width, height)
    cuts = row_cuts(length, 0.8)
    solid.add(row(length, outline, step=0.8, jitter=rng.uniform(-0.06, 0.06, (cuts, len(outline), 2))), leaf)
    return solid.body()


def plant(
    rng: np.random.Generator, palette: Palette, season: float, kind: str, *, far: bool = False
) -> tuple[Body, float]:
    """A plant of a kind and the share of its width that it keeps clear; one seen from ``far`` has fewer triangles."""
    if kind == "pine" or kind == "flat":
        return pine(rng, palette, flat=kind == "flat", far=far), 0.5
    if kind == "poplar":
        return poplar(rng, palette, season), 0.7
    if kind == "palm":
        return palm(rng, palette), 0.25
    if kind == "bush":
        return bush(rng, palette, season), 0.7
    if kind == "grass":
        return tall_grass(rng, palette, season), 0.8
    return tree(rng, palette, season, small=rng.random() < 0.4, far=far), 0.4
