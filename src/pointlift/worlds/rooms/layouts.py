"""What stands in which kind of room: furniture to walls, and doors kept free."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pointlift.worlds.engine.materials import Palette, pick
from pointlift.worlds.engine.streams import Streams
from pointlift.worlds.rooms import fittings, fixtures, groups, seats, storage, surfaces
from pointlift.worlds.rooms.classes import LABELS
from pointlift.worlds.rooms.plan import Plan, shell


def furnished(seed: int, kind: str) -> Plan:
    """The room of a seed and kind, with all that is in it; always the same."""
    random = Streams(seed, kind)
    size, (wide, deep) = random("size"), SIZES[kind]
    plan = Plan(random, size.uniform(*wide), size.uniform(*deep), size.uniform(2.4, 2.9))
    shell(plan, tiled=kind == "bathroom")
    fixtures.put_door(plan)
    fixtures.put_windows(plan, kind)
    LAYOUTS[kind](plan, plan.rng, plan.palette)
    fixtures.put_extras(plan, kind)
    fixtures.put_pictures(plan, int(plan.rng.integers(0, 2)) if kind == "bathroom" else int(plan.rng.integers(1, 5)))
    fixtures.put_clutter(plan, kind)
    fixtures.put_ceiling_lamp(plan)
    return plan


def _living(plan: Plan, rng: np.random.Generator, palette: Palette) -> None:
    wall = int(rng.integers(4))
    sofa = None
    for number in (wall, wall + 1, wall + 2, wall + 3):
        sofa = sofa or plan.at_wall(seats.sofa(rng, palette), number % 4, off=0.03, front=0.3)
    if sofa is not None:
        del plan.free[-1]
        groups.before_sofa(plan, rng, palette, sofa)
    if rng.random() < 0.85:
        plan.at_wall(storage.bookshelf(rng, palette), front=0.4)
    if rng.random() < 0.4:
        plan.at_wall(storage.cabinet(rng, palette, pick(rng, "sideboard chest")), front=0.4)
    if rng.random() < 0.35:
        plan.at_wall(storage.bookshelf(rng, palette), front=0.4)
    if rng.random() < 0.4:
        side = plan.at_wall(seats.sofa(rng, palette), off=0.03, front=0.3)
        if side is None:
            plan.somewhere(seats.chair(rng, palette, "armchair"))
    if rng.random() < 0.5:
        table = plan.somewhere(surfaces.table(rng, palette, "dining"), 0.5, quarter=True)
        if table is not None:
            groups.set_chairs(plan, table, "dining", ends=False)


def _bedroom(plan: Plan, rng: np.random.Generator, palette: Palette) -> None:
    bed = None
    for _ in range(4):
        bed = bed or plan.at_wall(seats.bed(rng, palette), off=0.07, front=0.35)
    if bed is not None:
        stand = int(rng.integers(1 << 30))
        for side in (-1, 1):
            if rng.random() < 0.75:
                item = storage.cabinet(np.random.default_rng(stand), palette, "nightstand")
                half = float(item.high[1])
                away = side * (bed.space.half_y + half + 0.06)
                spot = bed.at(float(bed.item.low[0]) + 0.25, away)
                plan.put(item, (float(spot[0]), float(spot[1]), 0.0), bed.yaw, 0.01)
        if rng.random() < 0.5:
            groups.rug(plan, rng, palette, bed.at(bed.space.half_x * 0.8, 0.0), bed.yaw)
    plan.at_wall(storage.cabinet(rng, palette, "wardrobe"), front=0.5)
    if rng.random() < 0.8:
        plan.at_wall(storage.cabinet(rng, palette, "chest"), front=0.4)
    if rng.random() < 0.55:
        groups.desks(plan, rng, palette, 1)
    if rng.random() < 0.4:
        plan.at_wall(storage.bookshelf(rng, palette), front=0.4)
    if rng.random() < 0.6:
        plan.somewhere(seats.chair(rng, palette, pick(rng, "armchair dining stool")))


def _office(plan: Plan, rng: np.random.Generator, palette: Palette) -> None:
    groups.desks(plan, rng, palette, int(rng.integers(2, 5)))
    plan.at_wall(storage.bookshelf(rng, palette), front=0.4)
    for _ in range(int(rng.integers(1, 4))):
        plan.at_wall(storage.cabinet(rng, palette, pick(rng, "file file file tall")), front=0.4)
    if rng.random() < 0.6:
        plan.at_wall(storage.bookshelf(rng, palette), front=0.4)
    if rng.random() < 0.55:
        table = plan.somewhere(surfaces.table(rng, palette, "dining"), 0.55, quarter=True)
        if table is not None:
            groups.set_chairs(plan, table, pick(rng, "dining office stool"), ends=False)
    if rng.random() < 0.25:
        plan.at_wall(seats.sofa(rng, palette), off=0.03, front=0.3)


def _kitchen(plan: Plan, rng: np.random.Generator, palette: Palette) -> None:
    front = palette.make(
        rng, pick(rng, "white white beige brown grey blue green red"), pick(rng, "painted wood plastic"), vary=0.2
    )
    slab = palette.make(rng, pick(rng, "grey black brown white beige"), pick(rng, "painted wood concrete"), scale=0.15)
    wide = 0.0
    for attempt in range(24):
        wide = rng.uniform(1.8, 3.4) if attempt < 12 else rng.uniform(1.3, 1.8)
        number, hole = int(rng.integers(4)), rng.uniform(-wide / 2 + 0.4, wide / 2 - 0.4)
        top, below = surfaces.counter(rng, palette, wide, front, slab, hole)
        cupboard = plan.at_wall(below, number, front=0.7)
        if cupboard is not None:
            groups.kitchen_row(plan, rng, palette, cupboard, top, wide, front, number, hole)
            break
    if not any(p.item.label == LABELS["refrigerator"] for p in plan.placed):
        plan.at_wall(storage.refrigerator(rng, palette), off=0.03, front=0.5)
    table = None
    for margin in (0.6, 0.5, 0.4, 0.25):
        table = table or plan.somewhere(surfaces.table(rng, palette, "dining"), margin, quarter=True)
    if table is not None:
        groups.set_chairs(plan, table, pick(rng, "dining dining dining stool"), ends=rng.random() < 0.5)
    if rng.random() < 0.5:
        plan.at_wall(storage.cabinet(rng, palette, pick(rng, "sideboard tall")), front=0.4)
    if rng.random() < 0.2:
        plan.at_wall(storage.bookshelf(rng, palette), front=0.4)


def _bathroom(plan: Plan, rng: np.random.Generator, palette: Palette) -> None:
    tub = None
    for attempt in range(12):
        length = rng.uniform(1.55, 1.75) if attempt < 6 else 1.4
        tub = tub or plan.at_wall(surfaces.bathtub(rng, palette, length), off=0.005, front=0.25)
    if tub is not None:
        del plan.free[-1]
        length = 2 * tub.space.half_y
        if rng.random() < 0.8:
            cloth = fittings.shower_curtain(rng, palette, length)
            spot = tub.at(tub.space.half_x + 0.05, 0.0)
            plan.put(cloth, (float(spot[0]), float(spot[1]), 0.0), tub.yaw, 0.0)
    plan.at_wall(surfaces.toilet(rng, palette), off=0.01, front=0.45, margin=0.12)
    if rng.random() < 0.5:
        vanity = plan.at_wall(storage.cabinet(rng, palette, "vanity"), front=0.4)
        if vanity is not None:
            at = (*vanity.at(0.04, 0.0).tolist(), float(vanity.item.high[2]))
            plan.put(surfaces.basin(rng, palette, "vessel"), at, vanity.yaw, force=True)  # type: ignore[arg-type]
    else:
        plan.at_wall(surfaces.basin(rng, palette, "pedestal"), off=0.005, front=0.45)
    if rng.random() < 0.4:
        plan.at_wall(storage.cabinet(rng, palette, pick(rng, "nightstand file chest")), front=0.2)
    if rng.random() < 0.5:
        groups.rug(plan, rng, palette, np.array([plan.wide, plan.deep]) / 2, 0.0)


SIZES = {
    "living": ((3.8, 5.2), (3.8, 4.8)),
    "bedroom": ((3.2, 4.3), (3.2, 4.1)),
    "office": ((3.6, 5.2), (3.4, 4.6)),
    "kitchen": ((3.6, 4.6), (3.5, 4.4)),
    "bathroom": ((2.3, 3.0), (2.3, 2.9)),
}
"""Of each kind of room: least and greatest width and depth, metres."""
LAYOUTS: dict[str, Callable[[Plan, np.random.Generator, Palette], None]] = {
    "living": _living,
    "bedroom": _bedroom,
    "office": _office,
    "kitchen": _kitchen,
    "bathroom": _bathroom,
}
