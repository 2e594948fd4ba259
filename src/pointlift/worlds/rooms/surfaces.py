"""Tables, desks, kitchen counters and what stands in a bathroom."""

from __future__ import annotations

import numpy as np

from pointlift.worlds.engine.materials import Palette, pick
from pointlift.worlds.engine.solids import circle, loft, prism, tube
from pointlift.worlds.rooms.parts import Build, Item, Top, metal, wood
from pointlift.worlds.rooms.seats import legs
from pointlift.worlds.rooms.storage import fronts


def table(rng: np.random.Generator, palette: Palette, kind: str = "dining") -> Item:
    """A dining table, a coffee table or a side table: rectangular or round, on four legs or one."""
    sizes = {"dining": ((0.75, 1.0), (1.1, 2.0), (0.71, 0.77)), "coffee": ((0.45, 0.7), (0.7, 1.2), (0.34, 0.48))}
    deep, wide, high = (rng.uniform(*span) for span in sizes.get(kind, ((0.38, 0.5), (0.38, 0.5), (0.45, 0.62))))
    build, top = Build(), wood(rng, palette)
    if rng.random() < 0.12:
        top = palette.make(rng, pick(rng, "white grey black"), "glass")
    base = top if rng.random() < 0.5 else metal(rng, palette)
    thick = rng.uniform(0.025, 0.05)
    if rng.random() < (0.25 if kind == "dining" else 0.4):  # round
        radius = min(0.5 * deep + 0.1, 0.6)
        build.add(prism(radius * circle(20), thick, (0, 0, high - thick)), top)
        build.add(tube([(0, 0, 0.03), (0, 0, high - thick)], 0.05, 10), base)
        build.add(prism(0.55 * radius * circle(14), 0.04), base)
        return build.item("table", Top(-0.6 * radius, 0.6 * radius, -0.6 * radius, 0.6 * radius, high))
    x, y = (-deep / 2, deep / 2), (-wide / 2, wide / 2)
    build.block(top, x, y, (high - thick, high))
    legs(build, base, (x[0] + 0.03, x[1] - 0.03), (y[0] + 0.03, y[1] - 0.03), high - thick, rng.uniform(0.04, 0.08))
    if kind == "coffee" and rng.random() < 0.5:
        build.block(top, (x[0] + 0.04, x[1] - 0.04), (y[0] + 0.04, y[1] - 0.04), (0.12, 0.14))
    if kind == "dining" and rng.random() < 0.5:
        build.block(base, (x[0] + 0.06, x[1] - 0.06), (y[0] + 0.06, y[1] - 0.06), (high - thick - 0.08, high - thick))
    return build.item("table", Top(x[0], x[1], y[0], y[1], high))


def desk(rng: np.random.Generator, palette: Palette) -> Item:
    """A desk: a top on legs, panels or drawers; some are as plain as a table."""
    deep, wide, high = rng.uniform(0.6, 0.8), rng.uniform(1.0, 1.7), rng.uniform(0.71, 0.77)
    build, top = Build(), wood(rng, palette)
    base = top if rng.random() < 0.6 else metal(rng, palette)
    x, y = (-deep / 2, deep / 2), (-wide / 2, wide / 2)
    build.block(top, x, y, (high - 0.03, high))
    kind = pick(rng, "legs panels drawers drawers")
    if kind == "legs":
        legs(build, base, (x[0] + 0.02, x[1] - 0.02), (y[0] + 0.02, y[1] - 0.02), high - 0.03, 0.05)
    else:
        for edge in (y[0], y[1] - 0.03):
            build.block(base, (x[0] + 0.02, x[1] - 0.02), (edge, edge + 0.03), (0, high - 0.03))
        build.block(base, (x[0] + 0.02, x[0] + 0.04), (y[0], y[1]), (0.3, high - 0.03))
    if kind == "drawers":
        side = y[0] + 0.03 if rng.random() < 0.5 else y[1] - 0.45
        build.block(base, (x[0] + 0.04, x[1] - 0.04), (side, side + 0.42), (0.06, high - 0.03))
        fronts(rng, build, palette, base, x[1] - 0.04, (side, side + 0.42), (0.06, high - 0.04), 1, 3)
    return build.item("desk", Top(x[0], x[1] - 0.05, y[0], y[1], high))


HOLE = 0.17, 0.22
"""Half sides of the hole for a sink in a counter."""


def counter(
    rng: np.random.Generator, palette: Palette, wide: float, front: int, slab: int, hole: float
) -> tuple[Item, Item]:
    """A kitchen counter's slab (counter) and the cupboards below it (cabinet); ``hole`` is y of its sink."""
    deep, high = 0.6, 0.9
    x, y = (-deep / 2, deep / 2), (-wide / 2, wide / 2)
    top, below = Build(), Build()
    edge = x[1] + 0.02
    for span_x, span_y in (
        ((x[0], edge), (y[0], hole - HOLE[1])),
        ((x[0], edge), (hole + HOLE[1], y[1])),
        ((x[0], -HOLE[0]), (hole - HOLE[1], hole + HOLE[1])),
        ((HOLE[0], edge), (hole - HOLE[1], hole + HOLE[1])),
    ):
        top.block(slab, span_x, span_y, (high - 0.04, high))
    if rng.random() < 0.6:
        top.block(slab, (x[0], x[0] + 0.02), y, (high, high + rng.uniform(0.04, 0.12)))
    below.block(palette.fixed("black", "plastic"), (x[0], x[1] - 0.06), y, (0.0, 0.1))
    below.block(front, (x[0], x[1] - 0.02), y, (0.1, high - 0.2))  # the sink hangs into it from above
    for side in (y[0], y[1] - 0.02):
        below.block(front, (x[0], x[1] - 0.02), (side, side + 0.02), (high - 0.2, high - 0.04))
    columns = max(1, round(wide / 0.55))
    fronts(rng, below, palette, front, x[1] - 0.02, y, (0.11, high - 0.04), columns, int(rng.integers(1, 3)))
    left, right = (
        Top(x[0] + 0.1, x[1] - 0.05, y[0] + 0.05, hole - 0.3, high),
        Top(x[0] + 0.1, x[1] - 0.05, hole + 0.3, y[1] - 0.05, high),
    )
    return top.item("counter", left, right), below.item("cabinet")


def basin(rng: np.random.Generator, palette: Palette, kind: str) -> Item:
    """A sink: let into a counter (kitchen), a bowl on a cabinet (vessel), or on a pedestal or pipe."""
    build, tap = Build(), palette.fixed("silver", "metal")
    skin = tap if kind == "kitchen" else palette.fixed("white", "painted")
    x, y = (HOLE[0] + 0.02, HOLE[1] + 0.02)
    levels = [(0.88, -0.15), (0.9, 0.004), (1.0, 0.004), (1.0, 0.012), (0.86, 0.012), (0.8, -0.14)]
    high = 0.012
    if kind == "vessel":
        x, y, high = rng.uniform(0.16, 0.2), rng.uniform(0.19, 0.26), 0.13
        levels = [(0.6, 0.0), (1.0, high), (0.93, high), (0.55, 0.02)]
    elif kind == "pedestal":
        x, y, high = rng.uniform(0.2, 0.24), rng.uniform(0.25, 0.32), rng.uniform(0.8, 0.88)
        levels = [(0.7, high - 0.17), (1.0, high - 0.06), (1.0, high), (0.86, high), (0.6, high - 0.13)]
        if rng.random() < 0.6:
            build.add(tube([(-0.05, 0, 0), (-0.05, 0, high - 0.15)], [0.1, 0.08], 10), skin)
        else:
            build.add(tube([(-0.1, 0, 0.45), (-0.1, 0, high - 0.15)], 0.03, 8), tap)
    outline = _rounded(x, y)
    build.add(loft(np.stack([np.column_stack([s * outline, np.full(len(outline), z)]) for s, z in levels])), skin)
    build.add(prism(0.03 * circle(8), 0.003, (0, 0, levels[-1][1])), palette.fixed("black", "metal"))
    back = -x + 0.02 if kind != "vessel" else -x - 0.02
    start = 0.0 if kind == "vessel" else high
    build.add(tube([(back, 0, start), (back, 0, high + 0.17), (back + 0.14, 0, high + 0.19)], 0.014, 6), tap)
    return build.item("sink")


def _rounded(x: float, y: float) -> np.ndarray:
    """A rectangle with round corners, half sides x and y."""
    ring = circle(20)
    bulged = ring / np.maximum(np.abs(ring).max(axis=1, keepdims=True), 1e-9)
    return (0.45 * ring + 0.55 * bulged) * (x, y)


def toilet(rng: np.random.Generator, palette: Palette) -> Item:
    """A bowl, a seat with or without its lid up, and a cistern."""
    build, skin = Build(), palette.fixed(pick(rng, "white white white white beige"), "painted")
    wide, deep, high = rng.uniform(0.17, 0.2), rng.uniform(0.3, 0.36), rng.uniform(0.39, 0.44)
    bowl = circle(18) * (0.24, wide)
    levels = [(0.62, 0.0), (0.6, 0.12), (0.85, 0.28), (1.0, high - 0.03), (1.0, high), (0.72, high), (0.5, high - 0.1)]
    rings = np.stack([np.column_stack([scale * bowl + (deep - 0.24, 0), np.full(18, z)]) for scale, z in levels])
    build.add(loft(rings), skin)
    build.block(skin, (-deep, deep - 0.35), (-0.11, 0.11), (0.0, high - 0.05))
    build.pad(skin, (-deep, -deep + 0.18), (-wide, wide), (high - 0.05, high + rng.uniform(0.32, 0.42)), 0.03)
    if rng.random() < 0.5:
        build.add(prism(bowl * 1.02, 0.03, (deep - 0.24, 0, high)), skin)
    else:
        build.pad(skin, (-deep + 0.19, -deep + 0.22), (-wide, wide), (high, high + 0.38), 0.02)
    return build.item("toilet")


def bathtub(rng: np.random.Generator, palette: Palette, length: float) -> Item:
    """A tub along y, open at the top."""
    build, skin = Build(), palette.fixed(pick(rng, "white white white white beige"), "painted")
    x, y, high = rng.uniform(0.35, 0.4), length / 2, rng.uniform(0.5, 0.6)
    levels = [((x, y), 0.0), ((x, y), high), ((x - 0.06, y - 0.06), high), ((x - 0.13, y - 0.18), 0.12)]
    corners = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])
    steps = [(corners + np.roll(corners, -1, 0)) / 2, corners]
    outline = np.stack([steps[1], steps[0]], 1).reshape(-1, 2)
    rings = np.stack([np.column_stack([outline * half, np.full(8, z)]) for half, z in levels])
    build.add(loft(rings), skin)
    tap = palette.fixed("silver", "metal")
    build.add(tube([(0, -y + 0.02, high), (0, -y + 0.02, high + 0.14), (0, -y + 0.14, high + 0.15)], 0.02, 6), tap)
    return build.item("bathtub")
