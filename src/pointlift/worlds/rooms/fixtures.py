"""What every room has besides its own furniture: a door, windows, pictures, a lamp, clutter and single pieces."""

from __future__ import annotations

import numpy as np

from pointlift.worlds.engine.materials import pick
from pointlift.worlds.rooms import fittings, seats, storage, surfaces
from pointlift.worlds.rooms.plan import Placed, Plan, Space

EXTRAS = {
    "living": "bookshelf bookshelf sideboard chest armchair dining table desk",
    "bedroom": "bookshelf chest sideboard dining armchair",
    "office": "bookshelf bookshelf file chest office table",
    "kitchen": "sideboard tall bookshelf stool dining refrigerator",
    "bathroom": "nightstand file stool",
}
"""Single pieces that may stand along a wall of each kind of room besides its usual furniture."""


def put_door(plan: Plan) -> None:
    """A door somewhere in a wall, with free floor before it."""
    door = fittings.door(plan.random("door"), plan.palette)
    placed = plan.at_wall(door, int(plan.rng.integers(4)), front=0.85)
    assert placed is not None
    plan.free[-1] = plan.free[-1]._replace(half_y=0.45, high=2.1)  # nothing tall is hung before it either


def put_windows(plan: Plan, kind: str) -> None:
    """One window or two, mostly with a curtain or a radiator."""
    rng, small = plan.random("window"), kind == "bathroom"
    lowest = {"bathroom": 1.2, "kitchen": 1.06}.get(kind, 0.75)  # above a kitchen's counter
    for number in range(1 if small or rng.random() < 0.6 else 2):
        sill = lowest + rng.uniform(0.0, 0.2)
        high = min(rng.uniform(0.6, 0.8) if small else rng.uniform(1.1, 1.4), plan.high - sill - 0.2)
        wide = rng.uniform(0.5, 0.8) if small else rng.uniform(1.0, 2.2)
        window = fittings.window(rng, plan.palette, wide, high)
        placed = plan.at_wall(window, int(plan.rng.integers(4)) if number == 0 else None, z=sill)
        if placed is None:
            continue
        plan.windows.append(placed)
        # tall furniture keeps away from the pane
        x, y = placed.at(0.35, 0.0).tolist()
        before = Space(x, y, 0.2, wide / 2, placed.yaw, sill, sill + high)
        if not small and rng.random() < 0.7:
            _hang_curtain(plan, rng, placed, wide, min(sill + high + 0.12, plan.high - 0.08))
        plan.free.append(before)
        if not small and rng.random() < 0.5:
            radiator = fittings.radiator(rng, plan.palette, min(wide, rng.uniform(0.7, 1.2)))
            plan.put(radiator, (*placed.at(0.08, 0.0).tolist(), 0.0), placed.yaw)  # type: ignore[arg-type]


def _hang_curtain(plan: Plan, rng: np.random.Generator, window: Placed, wide: float, rod: float) -> None:
    drawn = rng.random() < 0.85
    for more in (rng.uniform(0.3, 0.6), 0.15, 0.0):
        cloth = fittings.curtain(rng, plan.palette, wide + more, rod, drawn)
        x, y = window.at(0.19, 0.0).tolist()
        if plan.put(cloth, (x, y, 0.0), window.yaw, 0.0) is not None:
            return


def put_pictures(plan: Plan, count: int) -> None:
    """At most ``count`` pictures at eye level, where walls are free."""
    rng = plan.random("pictures")
    for _ in range(count):
        item = fittings.picture(rng, plan.palette)
        z = rng.uniform(1.25, 1.5)
        if z + float(item.high[2]) < plan.high - 0.1:
            plan.at_wall(item, z=z, margin=0.06)


def put_ceiling_lamp(plan: Plan) -> None:
    """A lamp below about the middle of the ceiling."""
    rng = plan.random("lamp")
    lamp = fittings.ceiling_lamp(rng, plan.palette)
    x, y = plan.wide * rng.uniform(0.4, 0.6), plan.deep * rng.uniform(0.4, 0.6)
    plan.put(lamp, (x, y, plan.high), 0.0, force=True)
    plan.lamp = np.array([x, y, plan.high + float(lamp.low[2]) - 0.04])


def put_clutter(plan: Plan, kind: str) -> None:
    """Things on tops, a plant, boxes and a bin."""
    rng, palette = plan.random("clutter"), plan.palette
    share = {"bathroom": 0.6, "bedroom": 0.8}.get(kind, 1.0)
    for base in list(plan.placed):
        for _ in range(int(rng.poisson(1.6 * share * min(_area(base), 1.5)))):
            plan.on_top(base, fittings.thing(rng, palette))
    for chance, make in (
        (0.45, lambda: fittings.plant(rng, palette, rng.uniform(0.5, 1.3))),
        (0.55, lambda: fittings.other(rng, palette)),
        (0.4, lambda: fittings.other(rng, palette)),
        (0.35, lambda: fittings.storage_box(rng, palette)),
        (0.25, lambda: fittings.floor_lamp(rng, palette)),
    ):
        if rng.random() < chance * (0.6 if kind == "bathroom" else 1.0):
            plan.at_wall(make(), off=float(rng.uniform(0.03, 0.15)), margin=0.05)


def put_extras(plan: Plan, kind: str) -> None:
    """A few of `EXTRAS` along the walls, where there is room."""
    rng = plan.random("extras")
    for _ in range(2 if kind == "bathroom" else 4):
        what = pick(rng, EXTRAS[kind])
        if rng.random() < 0.35:
            continue
        if what in ("dining", "office", "stool", "armchair"):
            item = seats.chair(rng, plan.palette, what)
        elif what in ("bookshelf", "refrigerator"):
            item = {"bookshelf": storage.bookshelf, "refrigerator": storage.refrigerator}[what](rng, plan.palette)
        elif what in ("table", "desk"):
            item = surfaces.desk(rng, plan.palette) if what == "desk" else surfaces.table(rng, plan.palette, "side")
        else:
            item = storage.cabinet(rng, plan.palette, what)
        plan.at_wall(item, off=0.02, front=0.3, margin=0.03)


def _area(base: Placed) -> float:
    return sum(max(0.0, (top.x1 - top.x0) * (top.y1 - top.y0)) for top in base.item.tops)
