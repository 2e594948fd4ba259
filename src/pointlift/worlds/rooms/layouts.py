"""What stands in which kind of room, and how: furniture to walls, chairs to tables, doors kept free."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pointlift.worlds.engine.materials import Palette, pick
from pointlift.worlds.rooms import fittings, seats, storage, surfaces
from pointlift.worlds.rooms.classes import LABELS
from pointlift.worlds.rooms.parts import Item, Top
from pointlift.worlds.rooms.plan import Placed, Plan, Space, shell, turn
from pointlift.worlds.street.site import Streams


def furnished(seed: int, kind: str) -> Plan:
    """The room of a seed and kind, with all that is in it; always the same."""
    random = Streams(seed, kind)
    size, (wide, deep) = random("size"), SIZES[kind]
    plan = Plan(random, size.uniform(*wide), size.uniform(*deep), size.uniform(2.4, 2.9))
    shell(plan, tiled=kind == "bathroom")
    _door(plan)
    _window(plan, kind)
    LAYOUTS[kind](plan, plan.rng, plan.palette)
    _extras(plan, kind)
    _pictures(plan, int(plan.rng.integers(0, 2)) if kind == "bathroom" else int(plan.rng.integers(1, 5)))
    _clutter(plan, kind)
    _ceiling_lamp(plan)
    return plan


# ---- fittings of every room


def _door(plan: Plan) -> None:
    door = fittings.door(plan.random("door"), plan.palette)
    placed = plan.at_wall(door, int(plan.rng.integers(4)), front=0.85)
    assert placed is not None
    plan.free[-1] = plan.free[-1]._replace(half_y=0.45, high=2.1)  # nothing tall is hung before it either


def _window(plan: Plan, kind: str) -> None:
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


def _pictures(plan: Plan, count: int) -> None:
    rng = plan.random("pictures")
    for _ in range(count):
        item = fittings.picture(rng, plan.palette)
        z = rng.uniform(1.25, 1.5)
        if z + float(item.high[2]) < plan.high - 0.1:
            plan.at_wall(item, z=z, margin=0.06)


def _ceiling_lamp(plan: Plan) -> None:
    rng = plan.random("lamp")
    lamp = fittings.ceiling_lamp(rng, plan.palette)
    x, y = plan.wide * rng.uniform(0.4, 0.6), plan.deep * rng.uniform(0.4, 0.6)
    plan.put(lamp, (x, y, plan.high), 0.0, force=True)
    plan.lamp = np.array([x, y, plan.high + float(lamp.low[2]) - 0.04])


def _clutter(plan: Plan, kind: str) -> None:
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


EXTRAS = {
    "living": "bookshelf bookshelf sideboard chest armchair dining table desk",
    "bedroom": "bookshelf chest sideboard dining armchair",
    "office": "bookshelf bookshelf file chest office table",
    "kitchen": "sideboard tall bookshelf stool dining refrigerator",
    "bathroom": "nightstand file stool",
}
"""Single pieces that may stand along a wall of each kind of room besides its usual furniture."""


def _extras(plan: Plan, kind: str) -> None:
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


# ---- groups


def _set_chairs(plan: Plan, table: Placed, kind: str, ends: bool) -> None:
    """Chairs of one kind around a table, pushed in a little or drawn back."""
    rng, space = plan.rng, table.space
    looks = int(rng.integers(1 << 30))
    along = max(1, int(2 * space.half_y / 0.62))
    spots = [(side, y) for side in (-1, 1) for y in (np.arange(along) + 0.5) / along * 2 * space.half_y - space.half_y]
    for side, y in spots:
        if rng.random() < 0.88:
            _one_chair(plan, table, looks, kind, side * space.half_x, float(y), 0.0 if side < 0 else np.pi)
    for side in (-1, 1) if ends else ():
        if rng.random() < 0.6:
            _one_chair(plan, table, looks, kind, 0.0, side * space.half_y, np.pi / 2 if side < 0 else -np.pi / 2)


def _one_chair(plan: Plan, table: Placed, looks: int, kind: str, x: float, y: float, yaw: float) -> None:
    """Chairs of one ``looks`` are alike: each is made anew from the same draws."""
    chair = seats.chair(np.random.default_rng(looks), plan.palette, kind)
    for back in (plan.rng.uniform(0.0, 0.25), 0.35, 0.5):
        outward = np.array([-np.cos(yaw), -np.sin(yaw)])
        spot = table.at(*(np.array([x, y]) + (back + 0.05) * outward))
        turned = table.yaw + yaw + plan.rng.normal(0, 0.12)
        position = float(spot[0]), float(spot[1]), 0.0
        space = plan.space_of(chair, position, turned)
        # a seat may go under the table's top, its back may not
        others = [p.space for p in plan.placed if p is not table]
        legs = table.space._replace(half_x=table.space.half_x - 0.2, half_y=table.space.half_y - 0.2)
        backrest = _backrest(space, chair.low[0], position, turned)
        near = [*others, *plan.free[:1], legs]
        blocked = backrest.meets(table.space, 0.02) or any(space.meets(other, 0.02) for other in near)
        if plan.inside(space) and not blocked:
            plan.put(chair, position, turned, force=True)
            return


def _backrest(space: Space, low: float, position: tuple[float, float, float], yaw: float) -> Space:
    at = turn(np.array([[low + 0.05, 0.0]]), yaw)[0] + position[:2]
    return Space(float(at[0]), float(at[1]), 0.06, space.half_y, yaw, 0.4, space.high)


def _living(plan: Plan, rng: np.random.Generator, palette: Palette) -> None:
    wall = int(rng.integers(4))
    sofa = None
    for number in (wall, wall + 1, wall + 2, wall + 3):
        sofa = sofa or plan.at_wall(seats.sofa(rng, palette), number % 4, off=0.03, front=0.3)
    if sofa is not None:
        del plan.free[-1]
        _before_sofa(plan, rng, palette, sofa)
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
            _set_chairs(plan, table, "dining", ends=False)


def _before_sofa(plan: Plan, rng: np.random.Generator, palette: Palette, sofa: Placed) -> None:
    """A low table, a television across, an armchair at the side and a rug below."""
    reach = sofa.space.half_x
    stand = storage.cabinet(rng, palette, "stand")
    across = (round(sofa.yaw / (np.pi / 2)) - 1 + 2) % 4
    side = plan.walls[across]
    s = float(np.clip((np.array([sofa.space.x, sofa.space.y]) - side.start) @ side.along, 1.0, side.length - 1.0))
    if rng.random() < 0.8:
        base = plan.at_wall(stand, across, place=s, front=0.2) or plan.at_wall(stand, across, front=0.2)
        if base is not None:
            wide = min(rng.uniform(0.8, 1.3), 2 * base.space.half_y)
            screen = fittings.screen(rng, palette, wide)
            plan.put(screen, (*base.at(0, 0).tolist(), float(stand.high[2])), base.yaw)  # type: ignore[arg-type]
    table = surfaces.table(rng, palette, "coffee")
    gap = reach + rng.uniform(0.3, 0.45) + float(table.high[0])
    placed = plan.put(table, (*sofa.at(gap, rng.uniform(-0.2, 0.2)).tolist(), 0.0), sofa.yaw, 0.1)  # type: ignore[arg-type]
    if rng.random() < 0.6:
        chair = seats.chair(rng, palette, "armchair")
        turned = sofa.yaw + rng.choice([-1, 1]) * rng.uniform(1.0, 1.6)
        away = sofa.space.half_y + rng.uniform(0.1, 0.5)
        spot = sofa.at(gap + rng.uniform(-0.1, 0.5), away if np.sin(turned - sofa.yaw) < 0 else -away)
        plan.put(chair, (float(spot[0]), float(spot[1]), 0.0), turned, 0.1)
    if rng.random() < 0.7:
        _rug(
            plan,
            rng,
            palette,
            sofa.at(gap, 0.0) if placed is None else np.array([placed.space.x, placed.space.y]),
            sofa.yaw,
        )
    if rng.random() < 0.5:
        beside = sofa.space.half_y + 0.32
        item = surfaces.table(rng, palette, "side")
        spot = sofa.at(-0.05, beside * rng.choice([-1, 1]))
        plan.put(item, (float(spot[0]), float(spot[1]), 0.0), sofa.yaw, 0.02)


def _rug(plan: Plan, rng: np.random.Generator, palette: Palette, at: np.ndarray, yaw: float) -> None:
    """A rug lies under furniture: it heeds only the walls."""
    item = fittings.rug(rng, palette, rng.uniform(1.2, 1.8), rng.uniform(1.6, 2.6))
    space = plan.space_of(item, (float(at[0]), float(at[1]), 0.001), yaw)
    corners = space.corners()
    if (corners > 0.02).all() and (corners < np.array([plan.wide, plan.deep]) - 0.02).all():
        plan.put(item, (float(at[0]), float(at[1]), 0.001), yaw, force=True)


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
            _rug(plan, rng, palette, bed.at(bed.space.half_x * 0.8, 0.0), bed.yaw)
    plan.at_wall(storage.cabinet(rng, palette, "wardrobe"), front=0.5)
    if rng.random() < 0.8:
        plan.at_wall(storage.cabinet(rng, palette, "chest"), front=0.4)
    if rng.random() < 0.55:
        _desk(plan, rng, palette, 1)
    if rng.random() < 0.4:
        plan.at_wall(storage.bookshelf(rng, palette), front=0.4)
    if rng.random() < 0.6:
        plan.somewhere(seats.chair(rng, palette, pick(rng, "armchair dining stool")))


def _desk(plan: Plan, rng: np.random.Generator, palette: Palette, count: int) -> None:
    """Desks, each with a chair and mostly a monitor."""
    for _ in range(count):
        base = plan.at_wall(surfaces.desk(rng, palette), off=0.02, front=0.7)
        if base is None:
            continue
        del plan.free[-1]
        looks, kind = int(rng.integers(1 << 30)), pick(rng, "office office dining")
        _one_chair(plan, base, looks, kind, base.space.half_x, rng.uniform(-0.2, 0.2), np.pi)
        top = base.item.tops[0]
        for _ in range(int(rng.integers(0, 3))):
            spot = Top(-0.12, 0.14, top.y0 + 0.02, top.y1 - 0.02, top.z)
            screen = fittings.screen(rng, palette, rng.uniform(0.42, 0.6))
            at = base.at(-0.1, rng.uniform(spot.y0 + 0.3, spot.y1 - 0.3))
            plan.put(screen, (float(at[0]), float(at[1]), spot.z), base.yaw + rng.normal(0, 0.15), 0.01)


def _office(plan: Plan, rng: np.random.Generator, palette: Palette) -> None:
    _desk(plan, rng, palette, int(rng.integers(2, 5)))
    plan.at_wall(storage.bookshelf(rng, palette), front=0.4)
    for _ in range(int(rng.integers(1, 4))):
        plan.at_wall(storage.cabinet(rng, palette, pick(rng, "file file file tall")), front=0.4)
    if rng.random() < 0.6:
        plan.at_wall(storage.bookshelf(rng, palette), front=0.4)
    if rng.random() < 0.55:
        table = plan.somewhere(surfaces.table(rng, palette, "dining"), 0.55, quarter=True)
        if table is not None:
            _set_chairs(plan, table, pick(rng, "dining office stool"), ends=False)
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
            _kitchen_row(plan, rng, palette, cupboard, top, wide, front, number, hole)
            break
    if not any(p.item.label == LABELS["refrigerator"] for p in plan.placed):
        plan.at_wall(storage.refrigerator(rng, palette), off=0.03, front=0.5)
    table = None
    for margin in (0.6, 0.5, 0.4, 0.25):
        table = table or plan.somewhere(surfaces.table(rng, palette, "dining"), margin, quarter=True)
    if table is not None:
        _set_chairs(plan, table, pick(rng, "dining dining dining stool"), ends=rng.random() < 0.5)
    if rng.random() < 0.5:
        plan.at_wall(storage.cabinet(rng, palette, pick(rng, "sideboard tall")), front=0.4)
    if rng.random() < 0.2:
        plan.at_wall(storage.bookshelf(rng, palette), front=0.4)


def _kitchen_row(
    plan: Plan,
    rng: np.random.Generator,
    palette: Palette,
    cupboard: Placed,
    top: Item,
    wide: float,
    front: int,
    number: int,
    hole: float,
) -> None:
    """The slab, its sink, the refrigerator beside and cupboards above."""
    slab = plan.put(top, cupboard.position, cupboard.yaw, force=True)  # type: ignore[arg-type]
    assert slab is not None
    sink = surfaces.basin(rng, palette, "kitchen")
    plan.put(sink, (*slab.at(0.0, hole).tolist(), 0.9), slab.yaw, force=True)  # type: ignore[arg-type]
    for side in (rng.choice([-1, 1]), -1, 1):
        item = storage.refrigerator(rng, palette)
        away = side * (wide / 2 + float(item.high[1]) + 0.02)
        spot = slab.at(float(cupboard.item.low[0] - item.low[0]) + 0.02, away)
        if plan.put(item, (float(spot[0]), float(spot[1]), 0.0), slab.yaw, 0.005) is not None:
            break
    share = wide * rng.uniform(0.6, 1.0)
    shelf = storage.wall_cabinet(rng, palette, share, front)
    side = plan.walls[number]
    s = float((np.array(slab.position[:2]) - side.start) @ side.along) + rng.uniform(-0.5, 0.5) * (wide - share)
    if rng.random() < 0.85:
        plan.at_wall(shelf, number, place=s, z=1.42, margin=0.005)


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
        _rug(plan, rng, palette, np.array([plan.wide, plan.deep]) / 2, 0.0)


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
