"""What belongs to walls: doors, windows, curtains and pictures; and other furniture."""

from __future__ import annotations

import numpy as np

from pointlift.data.formats.mesh import Mesh
from pointlift.worlds.engine.materials import COLORS, Palette, pick
from pointlift.worlds.engine.solids import circle, loft, prism, tube
from pointlift.worlds.rooms.parts import Build, Item, cloth, metal, wood
from pointlift.worlds.rooms.seats import FABRICS

DOOR_SIZE = 0.9, 2.05
"""Width and height of a door with its frame."""
GLOW = {"lamp": 3.0, "daylight": 1.7, "screen": 0.5}
"""Words of materials that shine by themselves, and how much: factors on their colour."""


def door(rng: np.random.Generator, palette: Palette) -> Item:
    """A closed door in its frame, with panels or without; its back on the wall."""
    build, (wide, high) = Build(), DOOR_SIZE
    leaf = wood(rng, palette, "brown brown white white beige grey")
    frame = leaf if rng.random() < 0.5 else palette.make(rng, "white", "painted", vary=0.1)
    half = wide / 2
    for y in ((-half, -half + 0.07), (half - 0.07, half)):
        build.block(frame, (0, 0.06), y, (0, high))
    build.block(frame, (0, 0.06), (-half, half), (high - 0.07, high))
    build.block(leaf, (0, 0.035), (-half + 0.07, half - 0.07), (0.005, high - 0.07))
    for low, top in ((0.2, 0.9), (1.05, 1.8)) if rng.random() < 0.5 else ():
        build.block(leaf, (0.035, 0.045), (-half + 0.17, half - 0.17), (low, top))
    side = rng.choice([-1, 1])
    y = side * (half - 0.13)
    build.add(tube([(0.035, y, 1.02), (0.09, y, 1.02), (0.09, y - side * 0.11, 1.02)], 0.012, 6), metal(rng, palette))
    return build.item("door")


def window(rng: np.random.Generator, palette: Palette, wide: float, high: float) -> Item:
    """A frame with two or more panes and the daylight behind them; z = 0 is its sill."""
    build = Build()
    frame = palette.make(rng, pick(rng, "white white white brown grey"), "painted", vary=0.1)
    view = pick(rng, "white white beige silver")
    outside = palette.make(
        rng, view, "glass", "daylight", texture="noise", scale=0.9, second=pick(rng, "green blue grey")
    )
    y, rim = wide / 2, rng.uniform(0.04, 0.07)
    build.block(outside, (0, 0.012), (-y + rim, y - rim), (rim, high - rim))
    for edge in (-y, y - rim):
        build.block(frame, (0, 0.06), (edge, edge + rim), (0, high))
    for edge in (0, high - rim):
        build.block(frame, (0, 0.06), (-y, y), (edge, edge + rim))
    for place in np.linspace(-y, y, 1 + max(2, round(wide / 0.7)))[1:-1]:
        build.block(frame, (0, 0.05), (place - rim / 2, place + rim / 2), (rim, high - rim))
    if rng.random() < 0.35:
        build.block(frame, (0, 0.05), (-y + rim, y - rim), (0.65 * high, 0.65 * high + rim))
    build.block(frame, (0, 0.12), (-y - 0.04, y + 0.04), (-0.03, 0))
    return build.item("window")


def folds(rng: np.random.Generator, wide: float, high: float, deep: float) -> Mesh:
    """A cloth that hangs in folds along y, from z = 0 to ``high``."""
    count = max(5, int(wide / 0.02))
    y = np.linspace(-wide / 2, wide / 2, count)
    phase = 2 * np.pi * (y / rng.uniform(0.09, 0.16) + 0.35 * np.sin(3 * y + rng.uniform(0, 6)))
    rings = np.zeros((2, 2 * count, 3))
    for row, amount in enumerate((1.0, 0.6)):
        x = 0.4 * deep * amount * np.sin(phase)
        rings[row, :, 0] = np.concatenate([x + 0.004, x[::-1] - 0.004])
        rings[row, :, 1] = np.concatenate([y, y[::-1]])
        rings[row, :, 2] = row * high
    return loft(rings, capped=False)


def curtain(rng: np.random.Generator, palette: Palette, wide: float, high: float, open_: bool = True) -> Item:
    """Two curtains on a rod, drawn to the sides of a window, or one across all of it; ``high`` is the rod's height."""
    build, rod = Build(), metal(rng, palette)
    skin = palette.make(rng, pick(rng, FABRICS), "cloth", scale=0.04, vary=0.4)
    bottom = rng.choice([0.04, 0.04, 0.5 * high])
    build.add(tube([(0, -wide / 2 - 0.03, high), (0, wide / 2 + 0.03, high)], 0.012, 6), rod)
    share = rng.uniform(0.16, 0.28) * wide if open_ else 0.5 * wide
    for side in (-1, 1):
        piece = folds(rng, share, high - bottom, 0.09)
        build.add(piece.moved((0, side * (wide - share) / 2, bottom)), skin)
    return build.item("curtain")


def shower_curtain(rng: np.random.Generator, palette: Palette, length: float) -> Item:
    """A curtain on a rod along y, drawn across part of a tub of that length."""
    build, high = Build(), rng.uniform(1.9, 2.05)
    color, second = pick(rng, "white white beige blue green grey orange"), pick(rng, "white blue green red grey")
    texture = pick(rng, "plain stripes panels noise")
    skin = palette.make(rng, color, "plastic", texture=texture, scale=rng.uniform(0.15, 0.4), second=second)
    build.add(tube([(0, -length / 2, high), (0, length / 2, high)], 0.012, 6), metal(rng, palette))
    wide = length * rng.uniform(0.3, 0.6)
    side = rng.choice([-1, 1])
    build.add(folds(rng, wide, high - 0.25, 0.08).moved((0, side * (length - wide - 0.04) / 2, 0.25)), skin)
    return build.item("shower curtain")


def picture(rng: np.random.Generator, palette: Palette) -> Item:
    """A framed picture: shapes of some colours on a ground; its back on the wall, z = 0 its lower edge."""
    build, wide, high = Build(), rng.uniform(0.25, 1.0), rng.uniform(0.3, 0.8)
    frame = wood(rng, palette, "brown black white silver grey") if rng.random() < 0.8 else None
    colors = list(COLORS)
    ground = palette.make(
        rng,
        pick(rng, "white beige blue grey"),
        "painted",
        texture="noise",
        scale=rng.uniform(0.1, 0.5),
        second=str(rng.choice(colors)),
    )
    y, rim = wide / 2, 0.03 if frame is not None else 0.0
    build.block(ground, (0, 0.015), (-y, y), (0, high))
    for _ in range(int(rng.integers(2, 6))):
        tone = palette.make(rng, str(rng.choice(colors)), "painted")
        a, b = np.sort(rng.uniform(-y + rim, y - rim, 2))
        low, top = np.sort(rng.uniform(rim, high - rim, 2))
        if rng.random() < 0.5:
            size = min(b - a, top - low) / 2
            spot = tube(
                [(0.014, 0.5 * (a + b), 0.5 * (low + top)), (0.018, 0.5 * (a + b), 0.5 * (low + top))], size, 14
            )
            build.add(spot, tone)
        else:
            build.block(tone, (0.014, 0.018), (a, b + 0.01), (low, top + 0.01))
    if frame is not None:
        for edge in (-y, y - rim):
            build.block(frame, (0, 0.03), (edge, edge + rim), (0, high))
        for edge in (0, high - rim):
            build.block(frame, (0, 0.03), (-y, y), (edge, edge + rim))
    return build.item("picture")


def radiator(rng: np.random.Generator, palette: Palette, wide: float) -> Item:
    """Ribs along a wall."""
    build, high = Build(), rng.uniform(0.45, 0.65)
    skin = palette.make(rng, "white", "painted", vary=0.1)
    for y in np.arange(-wide / 2 + 0.03, wide / 2 - 0.02, 0.06):
        build.pad(skin, (-0.05, 0.05), (y - 0.022, y + 0.022), (0.12, 0.12 + high), 0.012)
    for z in (0.16, 0.08 + high):
        build.add(tube([(0, -wide / 2, z), (0, wide / 2, z)], 0.018, 6), skin)
    return build.item("otherfurniture")


def other(rng: np.random.Generator, palette: Palette) -> Item:
    """A bin, a pouffe, a laundry basket or a coat stand."""
    kind = pick(rng, "bin bin pouffe basket stand")
    build = Build()
    if kind == "pouffe":
        skin = cloth(rng, palette, FABRICS)
        if rng.random() < 0.5:
            half = rng.uniform(0.2, 0.32)
            build.pad(skin, (-half, half), (-half, half), (0.02, rng.uniform(0.35, 0.45)), 0.06)
        else:
            build.add(prism(rng.uniform(0.22, 0.3) * circle(16), rng.uniform(0.35, 0.45)), skin)
    elif kind == "stand":
        skin = wood(rng, palette)
        build.add(tube([(0, 0, 0), (0, 0, 1.7)], 0.025, 8), skin)
        build.add(prism(0.2 * circle(12), 0.03), skin)
        for angle in np.arange(4) * np.pi / 2 + 0.4:
            arm = 0.16 * np.cos(angle), 0.16 * np.sin(angle)
            build.add(tube([(0, 0, 1.5), (*arm, 1.62)], 0.014, 5), skin)
            if rng.random() < 0.6:
                coat = cloth(rng, palette, FABRICS)
                build.add(tube([(*arm, 1.6), (*arm, rng.uniform(0.7, 1.0))], [0.05, 0.13], 8, flatten=0.6), coat)
    else:
        radius, high = (rng.uniform(0.11, 0.17), rng.uniform(0.25, 0.4)) if kind == "bin" else (0.22, 0.55)
        skin = palette.make(rng, pick(rng, "grey black white silver blue brown beige red"), pick(rng, "plastic metal"))
        ring = circle(14)
        levels = [(0.8, 0.0), (1.0, high), (0.93, high), (0.75, 0.03)]
        build.add(loft(np.stack([np.column_stack([radius * s * ring, np.full(14, z)]) for s, z in levels])), skin)
    return build.item("otherfurniture")


# ---- not of any class


def ceiling_lamp(rng: np.random.Generator, palette: Palette) -> Item:
    """A lamp that hangs down from z = 0 or lies flat below it."""
    build, shade = Build(), palette.fixed("white", "plastic", "lamp")
    if rng.random() < 0.5:
        build.add(prism(rng.uniform(0.15, 0.25) * circle(16), 0.08, (0, 0, -0.09)), shade)
    else:
        drop = rng.uniform(0.3, 0.55)
        build.add(tube([(0, 0, 0), (0, 0, -drop)], 0.01, 5), palette.fixed("black", "plastic"))
        build.add(prism(rng.uniform(0.2, 0.26) * circle(16), 0.2, (0, 0, -drop - 0.2), top_scale=0.6), shade)
    return build.item(None)


def floor_lamp(rng: np.random.Generator, palette: Palette) -> Item:
    """A lamp on a tall stand."""
    build, stand, high = Build(), metal(rng, palette), rng.uniform(1.35, 1.65)
    build.add(prism(0.14 * circle(12), 0.03), stand)
    build.add(tube([(0, 0, 0.02), (0, 0, high)], 0.014, 6), stand)
    build.add(
        prism(0.2 * circle(14), 0.26, (0, 0, high - 0.05), top_scale=0.7), palette.fixed("beige", "cloth", "lamp")
    )
    return build.item(None)


def rug(rng: np.random.Generator, palette: Palette, x: float, y: float) -> Item:
    """A flat rug, with a border or without."""
    build, skin = Build(), cloth(rng, palette, FABRICS, 0.05)
    if rng.random() < 0.5:
        border = cloth(rng, palette, FABRICS, 0.05)
        build.block(border, (-x / 2, x / 2), (-y / 2, y / 2), (0.0, 0.008))
        x, y = x - 0.25, y - 0.25
    build.block(skin, (-x / 2, x / 2), (-y / 2, y / 2), (0.0, 0.011))
    return build.item(None)


def screen(rng: np.random.Generator, palette: Palette, wide: float) -> Item:
    """A television or monitor on its foot."""
    build, case = Build(), palette.fixed("black", "plastic")
    high = 0.57 * wide
    lit = rng.random() < 0.3
    glass = (
        palette.make(rng, pick(rng, "blue green white purple"), "glass", "screen")
        if lit
        else palette.fixed("black", "glass")
    )
    build.block(case, (-0.08, 0.08), (-0.2 * wide, 0.2 * wide), (0, 0.015))
    build.block(case, (-0.03, 0.0), (-0.04, 0.04), (0, 0.1))
    build.block(case, (-0.02, 0.015), (-wide / 2, wide / 2), (0.07, 0.07 + high))
    build.block(glass, (0.015, 0.018), (-wide / 2 + 0.015, wide / 2 - 0.015), (0.085, 0.055 + high))
    return build.item(None)


def plant(rng: np.random.Generator, palette: Palette, high: float) -> Item:
    """Leaves over a pot."""
    build, radius = Build(), 0.16 * high + 0.03
    pot = palette.make(rng, pick(rng, "white brown grey orange black"), "plastic")
    leaf = palette.make(rng, "green", "plastic", vary=0.5)
    build.add(prism(0.8 * radius * circle(12), 0.3 * high, top_scale=1.25), pot)
    for _ in range(int(rng.integers(9, 16))):
        turn, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 1.6) * radius
        top = rng.uniform(0.6, 1.0) * high
        tip = reach * np.cos(turn), reach * np.sin(turn), top
        middle = 0.45 * tip[0], 0.45 * tip[1], 0.25 * high + 0.6 * (top - 0.25 * high)
        build.add(tube([(0, 0, 0.28 * high), middle, tip], [0.01, 0.06 * high + 0.01, 0.004], 5, flatten=0.3), leaf)
    return build.item(None)


def thing(rng: np.random.Generator, palette: Palette) -> Item:
    """Something small that stands about: books, cups, bottles, vases, boxes, bowls, a laptop or a table lamp."""
    build = Build()
    kind = pick(rng, "books books cup cup bottle bottle vase box bowl laptop lamp paper plant")
    tone = palette.make(rng, str(rng.choice(list(COLORS))), pick(rng, "plastic painted plastic"), vary=0.4)
    ring = circle(12)
    if kind == "plant":
        return plant(rng, palette, rng.uniform(0.2, 0.4))
    if kind == "books":
        z = 0.0
        for _ in range(int(rng.integers(1, 5))):
            tone, thick = palette.make(rng, str(rng.choice(list(COLORS))), "plastic"), rng.uniform(0.015, 0.04)
            x, y = rng.uniform(0.07, 0.11), rng.uniform(0.09, 0.15)
            build.block(tone, (-x, x), (-y, y), (z, z + thick))
            z += thick
    elif kind in ("cup", "bowl"):
        radius, high = (0.04, 0.1) if kind == "cup" else (rng.uniform(0.08, 0.14), 0.07)
        levels = [(0.7, 0.0), (1.0, high), (0.88, high), (0.6, 0.02)]
        build.add(loft(np.stack([np.column_stack([radius * s * ring, np.full(12, z)]) for s, z in levels])), tone)
    elif kind in ("bottle", "vase"):
        radius, high = rng.uniform(0.03, 0.07), rng.uniform(0.18, 0.34)
        radii = (
            [radius, radius, 0.35 * radius, 0.4 * radius]
            if kind == "bottle"
            else [0.6 * radius, radius, 0.5 * radius, 0.8 * radius]
        )
        build.add(tube([(0, 0, 0), (0, 0, 0.6 * high), (0, 0, 0.8 * high), (0, 0, high)], radii, 12), tone)
    elif kind == "laptop":
        build.block(tone, (-0.11, 0.11), (-0.16, 0.16), (0, 0.015))
        build.block(tone, (-0.125, -0.11), (-0.16, 0.16), (0.01, 0.22))
        build.block(palette.fixed("blue", "glass", "screen"), (-0.111, -0.108), (-0.15, 0.15), (0.025, 0.21))
    elif kind == "lamp":
        build.add(tube([(0, 0, 0), (0, 0, 0.25)], [0.06, 0.015], 10), tone)
        build.add(prism(0.11 * ring, 0.14, (0, 0, 0.2), top_scale=0.7), palette.fixed("beige", "cloth", "lamp"))
    elif kind == "paper":
        build.block(palette.fixed("white", "plastic"), (-0.105, 0.105), (-0.15, 0.15), (0, 0.006))
    else:
        x, y, z = rng.uniform(0.04, 0.12, 3)
        build.block(tone, (-x, x), (-y, y), (0, 2 * z))
    return build.item(None)


def storage_box(rng: np.random.Generator, palette: Palette) -> Item:
    """A carton, crate or bag on the floor."""
    build, (x, y, z) = Build(), rng.uniform((0.12, 0.15, 0.2), (0.22, 0.3, 0.45))
    skin = palette.make(rng, pick(rng, "beige brown grey blue white green"), "plastic", vary=0.3)
    if rng.random() < 0.5:
        build.block(skin, (-x, x), (-y, y), (0, z))
    else:
        build.pad(skin, (-x, x), (-y, y), (0, z), 0.08)
    return build.item(None)
