"""What stands along a street: poles, barriers and cones."""

from __future__ import annotations

import numpy as np

from pointlift.data.formats.mesh import Mesh
from pointlift.worlds.engine.materials import Palette, pick
from pointlift.worlds.engine.solids import Body, Solid, box, circle, frustum, loft, row, tube


def _disc(radius: float, thickness: float, at: tuple[float, float, float], sides: int) -> Mesh:
    """An upright plate across x with ``sides`` corners."""
    return tube([(at[0] - thickness / 2, *at[1:]), (at[0] + thickness / 2, *at[1:])], radius, sides)


def lamp(rng: np.random.Generator, palette: Palette, *, reach: float | None = None) -> Body:
    """A street lamp, thin or thick, with an arm of ``reach`` metres towards +y, or a lantern on a short post."""
    solid, lantern = Solid(), rng.random() < 0.3
    height = rng.uniform(3.2, 4.5) if lantern else rng.uniform(5.5, 9.5)
    radius = rng.uniform(0.05, 0.13)
    color = pick(rng, "grey grey silver black green brown white")
    metal = palette.make(rng, color, pick(rng, "metal metal concrete painted"), "lamp")
    light = palette.fixed("white", "glass", "light", "lamp")
    solid.add(tube([(0, 0, -0.3), (0, 0, height)], [radius, radius * 0.65], 8), metal)
    solid.add(tube([(0, 0, -0.2), (0, 0, 0.7)], radius * 1.4, 8), metal)
    if lantern:
        solid.add(frustum((0.22, 0.22), (0.4, 0.4), 0.5, (0, 0, height)), light)
        solid.add(frustum((0.46, 0.46), (0.1, 0.1), 0.2, (0, 0, height + 0.5)), metal)
        return solid.body()
    out = rng.uniform(0.8, 2.2) if reach is None else reach
    for side in (1, -1) if rng.random() < 0.15 else (1,):
        solid.add(tube([(0, 0, height - 0.1), (0, side * out, height + 0.25)], radius * 0.5, 6), metal)
        solid.add(box((0.25, 0.7, 0.14), (0, side * out, height + 0.2)), metal)
        solid.add(box((0.2, 0.55, 0.04), (0, side * out, height + 0.16)), light)
    return solid.body()


def sign(rng: np.random.Generator, palette: Palette) -> Body:
    """A traffic sign or a name plate on one post, or a board on two."""
    solid = Solid()
    post = palette.make(rng, pick(rng, "grey silver green"), "metal", "sign")
    height = rng.uniform(2.1, 3.0)
    shape = pick(rng, "round round triangle square plate board")
    if shape == "board":
        wide = rng.uniform(1.6, 2.8)
        for y in (-wide * 0.35, wide * 0.35):
            solid.add(tube([(0, y, -0.3), (0, y, height)], 0.045, 6), post)
        face = palette.make(rng, pick(rng, "blue green white yellow"), "reflective", "sign")
        solid.add(box((0.05, wide, wide * 0.5), (-0.07, 0, height - wide * 0.5)), face)
        return solid.body()
    solid.add(tube([(0, 0, -0.3), (0, 0, height)], rng.uniform(0.028, 0.05), 6), post)
    rim, middle = palette.fixed("red", "reflective", "sign"), palette.fixed("white", "reflective", "sign")
    blue = palette.make(rng, pick(rng, "blue blue yellow white green"), "reflective", "sign")
    size, z = rng.uniform(0.28, 0.42), height - 0.35
    if shape == "round":
        solid.add(_disc(size, 0.03, (-0.06, 0, z), 14), rim if rng.random() < 0.6 else blue)
        solid.add(_disc(size * 0.72, 0.03, (-0.075, 0, z), 14), middle if rng.random() < 0.7 else blue)
    elif shape == "triangle":
        for scale, shift, face in ((1.25, -0.06, rim), (0.85, -0.08, middle)):
            corners = np.array([(0, 1), (-0.87, -0.5), (0.87, -0.5)]) * size * scale
            rings = np.zeros((2, 3, 3))
            rings[:, :, 1:] = corners + np.array([0, z])
            rings[:, :, 0] = np.array([[shift - 0.015], [shift + 0.015]])
            solid.add(loft(rings), face)
    else:
        wide = size * (1.7 if shape == "square" else 2.6)
        solid.add(box((0.03, wide, size * (1.7 if shape == "square" else 0.8)), (-0.06, 0, z - size * 0.6)), blue)
    return solid.body()


def traffic_light(rng: np.random.Generator, palette: Palette) -> Body:
    """A signal with three lights, on a post."""
    solid, height = Solid(), rng.uniform(2.6, 3.4)
    post = palette.make(rng, pick(rng, "grey green black yellow"), "metal", "signal")
    case = palette.make(rng, pick(rng, "black black green yellow"), "plastic", "signal")
    solid.add(tube([(0, 0, -0.3), (0, 0, height)], 0.07, 8), post)
    solid.add(box((0.3, 0.32, 0.95), (-0.05, 0, height - 0.75)), case)
    lit = int(rng.integers(2))
    for index, color in enumerate(("green", "yellow", "red")):
        lens = palette.fixed(color if index == 2 * lit else "black", "glass", "light", "signal")
        solid.add(_disc(0.1, 0.04, (-0.21, 0, height - 0.6 + 0.3 * index), 10), lens)
    return solid.body()


def bollard(rng: np.random.Generator, palette: Palette) -> Body:
    """A short post; the thick ones are much like a barrel."""
    solid, radius = Solid(), rng.uniform(0.05, 0.17)
    height = rng.uniform(0.6, 1.15)
    skin = palette.make(
        rng, pick(rng, "grey black white red brown yellow silver"), pick(rng, "metal concrete painted wood"), "bollard"
    )
    solid.add(
        tube([(0, 0, -0.2), (0, 0, height), (0, 0, height + radius * 0.6)], [radius, radius, radius * 0.4], 8), skin
    )
    if rng.random() < 0.5:
        band = palette.fixed(pick(rng, "white red"), "reflective", "bollard")
        solid.add(tube([(0, 0, height - 0.25), (0, 0, height - 0.12)], radius * 1.06, 8), band)
    return solid.body()


def mast(rng: np.random.Generator, palette: Palette) -> Body:
    """A thick pole: a wooden telephone mast with its bar, a bare column as thick as a trunk, or one for posters."""
    solid, kind = Solid(), pick(rng, "wood wood steel steel poster")
    if kind == "poster":
        radius, height = rng.uniform(0.4, 0.65), rng.uniform(2.4, 3.3)
        skin = palette.make(
            rng, pick(rng, "white yellow grey green blue"), "plastic", "mast", texture="panels", second="red"
        )
        solid.add(tube([(0, 0, -0.2), (0, 0, height), (0, 0, height + 0.4)], [radius, radius, radius * 0.5], 14), skin)
        return solid.body()
    height, radius = rng.uniform(6, 10), rng.uniform(0.12, 0.24)
    look = "wood" if kind == "wood" else pick(rng, "metal rusty concrete")
    skin = palette.make(rng, pick(rng, "brown brown grey" if kind == "wood" else "grey green brown"), look, "mast")
    solid.add(tube([(0, 0, -0.3), (0, 0, height)], [radius, radius * 0.75], 8), skin)
    for z in (height - 0.5, height - 1.1) if kind == "wood" else ():
        solid.add(box((0.12, rng.uniform(1.2, 2.0), 0.12), (0, 0, z)), skin)
    return solid.body()


def cone(rng: np.random.Generator, palette: Palette, kind: str) -> Body:
    """A traffic cone, or a barrel with bands."""
    solid = Solid()
    color = (
        pick(rng, "orange orange orange red yellow green")
        if kind == "cone"
        else pick(rng, "orange orange red blue green white")
    )
    band = palette.fixed("white", "reflective")
    if kind == "cone":
        height, radius = rng.uniform(0.45, 1.0), rng.uniform(0.12, 0.19)
        skin = palette.make(rng, color, "plastic")
        solid.add(
            box((radius * 2.6, radius * 2.6, 0.05)), palette.fixed("black", "rubber") if rng.random() < 0.5 else skin
        )
        solid.add(tube([(0, 0, 0.04), (0, 0, height)], [radius, 0.035], 10), skin)
        middle = radius * 0.5
        solid.add(tube([(0, 0, height * 0.5), (0, 0, height * 0.72)], [middle + 0.03, middle * 0.72 + 0.01], 10), band)
        return solid.body()
    height, radius = rng.uniform(0.8, 1.1), rng.uniform(0.22, 0.32)
    skin = palette.make(rng, color, pick(rng, "plastic plastic metal rusty"), "barrel")
    solid.add(
        tube([(0, 0, 0), (0, 0, height), (0, 0, height + 0.03)], [radius * 1.05, radius * 0.92, radius * 0.6], 12), skin
    )
    for z in (0.4, 0.72):
        solid.add(tube([(0, 0, height * z), (0, 0, height * (z + 0.14))], radius * 1.04, 12), band)
    return solid.body()


def wall(rng: np.random.Generator, palette: Palette, length: float, height: float) -> Body:
    """A garden wall along x, with or without a coping."""
    solid, half = Solid(), rng.uniform(0.08, 0.22)
    look = pick(rng, "brick stone plaster concrete")
    color = pick(
        rng,
        {"brick": "red brown beige", "stone": "grey beige", "plaster": "white beige grey", "concrete": "grey"}[look],
    )
    skin = palette.make(rng, color, look, "wall")
    solid.add(row(length, np.array([(-half, -0.4), (half, -0.4), (half, height), (-half, height)])), skin)
    if rng.random() < 0.5:
        top = palette.make(rng, pick(rng, "grey white red"), "concrete", "wall")
        half += 0.05
        outline = [(-half, height - 0.01), (half, height - 0.01), (half, height + 0.07), (-half, height + 0.07)]
        solid.add(row(length, np.array(outline)), top)
    return solid.body()


def fence(rng: np.random.Generator, palette: Palette, length: float, height: float) -> Body:
    """A fence along x: closed boards, single pickets or rails between posts."""
    solid, kind = Solid(), pick(rng, "boards pickets rails panel")
    look = "wood" if kind == "boards" else pick(rng, "wood metal painted")
    color = pick(rng, "brown brown white green grey" if look == "wood" else "green grey black white silver")
    skin = palette.make(rng, color, look, "fence")
    for x in np.arange(0, length + 0.01, 2.0):
        solid.add(box((0.1, 0.1, height + 0.25), (x, 0, -0.2)), skin)
    if kind in ("boards", "panel"):
        outline = np.array([(-0.025, 0.06), (0.025, 0.06), (0.025, height), (-0.025, height)])
        solid.add(row(length, outline), skin)
        return solid.body()
    for z in (0.25, 0.9) if kind == "pickets" else (0.3, 0.6, 0.95):
        low, high = z * height - 0.04, z * height + 0.04
        solid.add(row(length, np.array([(-0.02, low), (0.02, low), (0.02, high), (-0.02, high)])), skin)
    for x in np.arange(0.2, length, 0.25) if kind == "pickets" else ():
        solid.add(box((0.09, 0.03, height - 0.08), (x, 0.03, 0.05)), skin)
    return solid.body()


def guard_rail(rng: np.random.Generator, palette: Palette, length: float) -> Body:
    """A steel guard rail on posts along x."""
    solid = Solid()
    steel = palette.make(rng, pick(rng, "silver grey grey brown"), pick(rng, "metal metal rusty"), "rail")
    outline = np.array([(-0.05, 0.45), (0.02, 0.47), (-0.02, 0.6), (0.02, 0.73), (-0.05, 0.75), (-0.07, 0.6)])
    solid.add(row(length, outline), steel)
    for x in np.arange(0.3, length, 2.0):
        solid.add(box((0.12, 0.08, 0.9), (x, 0.07, -0.2)), steel)
    return solid.body()


def jersey(rng: np.random.Generator, palette: Palette, length: float) -> Body:
    """Concrete or plastic barrier elements along x."""
    solid, height = Solid(), rng.uniform(0.75, 1.05)
    outline = np.array(
        [(-0.3, 0), (0.3, 0), (0.28, 0.2), (0.12, 0.45), (0.09, height), (-0.09, height), (-0.12, 0.45), (-0.28, 0.2)]
    )
    plastic = rng.random() < 0.4
    colors = [
        palette.make(
            rng,
            pick(rng, "red white" if plastic else "grey grey white beige"),
            "plastic" if plastic else "concrete",
            "jersey",
        )
        for _ in range(2)
    ]
    for index, x in enumerate(np.arange(0, length - 1.4, 1.6)):
        element = row(1.52, outline)
        solid.add(element.moved((x, 0, 0)), colors[index % 2])
    return solid.body()


def board(rng: np.random.Generator, palette: Palette) -> Body:
    """A striped construction board on two feet, across x."""
    solid, wide = Solid(), rng.uniform(1.0, 2.2)
    stripes = palette.make(rng, pick(rng, "red red orange"), "striped", "board")
    feet = palette.fixed("black", "rubber", "board")
    for y in (-wide * 0.4, wide * 0.4):
        solid.add(box((0.5, 0.18, 0.1), (0, y, 0)), feet)
        solid.add(box((0.05, 0.05, 1.05), (0, y, 0.05)), palette.fixed("grey", "metal", "board"))
    for z in (0.8, 0.4) if rng.random() < 0.6 else (0.75,):
        solid.add(box((0.06, wide, 0.25), (0, 0, z)), stripes)
    return solid.body()


def heap(rng: np.random.Generator, palette: Palette) -> Body:
    """A heap of gravel, sand or earth: terrain, though it stands as high as a car."""
    solid, height, radius = Solid(), rng.uniform(0.4, 1.4), rng.uniform(0.8, 2.0)
    look = pick(rng, "gravel sand dirt")
    color = {"gravel": "grey", "sand": "beige", "dirt": "brown"}[look]
    rings = np.zeros((3, 9, 3))
    for index, (share, z) in enumerate(((1.0, -0.1), (0.55, 0.6), (0.1, 1.0))):
        rings[index, :, :2] = circle(9) * radius * share * rng.uniform(0.8, 1.15, (9, 1))
        rings[index, :, 2] = z * height
    solid.add(loft(rings), palette.make(rng, color, look))
    return solid.body()
