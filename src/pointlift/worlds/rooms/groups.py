"""Furniture that stands together: chairs at tables, what is before a sofa, desks, and a row of kitchen units."""

from __future__ import annotations

import numpy as np

from pointlift.worlds.engine.materials import Palette, pick
from pointlift.worlds.rooms import fittings, seats, storage, surfaces
from pointlift.worlds.rooms.parts import Item, Top
from pointlift.worlds.rooms.plan import Placed, Plan, Space, turn


def set_chairs(plan: Plan, table: Placed, kind: str, ends: bool) -> None:
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


def before_sofa(plan: Plan, rng: np.random.Generator, palette: Palette, sofa: Placed) -> None:
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
        rug(
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


def rug(plan: Plan, rng: np.random.Generator, palette: Palette, at: np.ndarray, yaw: float) -> None:
    """A rug lies under furniture: it heeds only the walls."""
    item = fittings.rug(rng, palette, rng.uniform(1.2, 1.8), rng.uniform(1.6, 2.6))
    space = plan.space_of(item, (float(at[0]), float(at[1]), 0.001), yaw)
    corners = space.corners()
    if (corners > 0.02).all() and (corners < np.array([plan.wide, plan.deep]) - 0.02).all():
        plan.put(item, (float(at[0]), float(at[1]), 0.001), yaw, force=True)


def desks(plan: Plan, rng: np.random.Generator, palette: Palette, count: int) -> None:
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


def kitchen_row(
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
