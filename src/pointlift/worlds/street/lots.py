"""Private ground beside a street: buildings with their drives, boundaries and gardens, and a skyline behind."""

from __future__ import annotations

import numpy as np

from pointlift.worlds.engine.materials import pick
from pointlift.worlds.engine.solids import Body
from pointlift.worlds.street import buildings, furniture, plants, vehicles
from pointlift.worlds.street.ground import Lot
from pointlift.worlds.street.layout import SIDES
from pointlift.worlds.street.site import Site


def furnish_lot(site: Site, rng: np.random.Generator, lot: Lot) -> None:
    """A building with its drive, fence and garden."""
    style, front = site.style, site.cut.front(lot.side)
    yaw = 0.0 if lot.side > 0 else np.pi
    setback = rng.uniform(*style.setback)
    drive = None
    if rng.random() > style.empty:
        kind = pick(rng, style.buildings)
        build, lengths, depths = buildings.KINDS[kind]
        room = lot.end - lot.start - 0.6
        length, depth = min(rng.uniform(*lengths), room), rng.uniform(*depths)
        if rng.random() < style.fill:
            length = min(room, lengths[1] * 1.3)
        if length < lengths[0] * 0.8:
            build, length, depth = buildings.shed, rng.uniform(2.5, 5), rng.uniform(2.2, 4)
        middle = lot.start + length / 2 + 0.3 + rng.random() * max(room - length, 0.0)
        body = build(rng, site.palette, length, depth)
        s, d = middle, lot.side * (front + setback + 0.3)
        site.put(body, "building", s, d, yaw=yaw)
        drive = middle + rng.uniform(-0.3, 0.3) * length
    _yard(site, rng, lot, setback, drive)
    _boundary(site, rng, lot, drive if setback > 3 else None, setback)
    _garden(site, rng, lot, setback)


def _yard(site: Site, rng: np.random.Generator, lot: Lot, setback: float, drive: float | None) -> None:
    """Vehicles, sheds and stores on a lot."""
    front, turned = site.cut.front(lot.side), lot.side * np.pi / 2
    if drive is not None and setback > 4.5:
        if rng.random() < 0.7:
            site.ground.drive_in(lot, drive - 1.6, drive + 1.6)
        if rng.random() < site.style.yard:
            body = vehicles.car(rng, site.palette, pick(rng, vehicles.CAR_KINDS))
            way = turned + (np.pi if rng.random() < 0.5 else 0) + rng.uniform(-0.06, 0.06)
            site.put(body, "car", drive, lot.side * (front + max(setback - 2.9, 2.4)), yaw=way, fit="lean")
    for _ in range(3):
        s, d = rng.uniform(lot.start + 2, lot.end - 2), lot.side * (front + rng.uniform(2, setback + 12))
        if rng.random() > site.style.yard * 0.7:
            continue
        what, yaw = pick(rng, "shed shed car lorry container"), rng.choice([0.0, np.pi / 2, np.pi, -np.pi / 2])
        if what == "car":
            site.put(vehicles.car(rng, site.palette, pick(rng, vehicles.CAR_KINDS)), "car", s, d, yaw=yaw, fit="lean")
        elif what == "lorry" and site.style.yard > 0.8:
            body = vehicles.lorry(rng, site.palette, pick(rng, vehicles.LORRY_KINDS))
            site.put(body, "lorry", s, d, yaw=yaw, fit="lean")
        elif what == "container" and site.style.yard > 0.8:
            site.put(buildings.container(rng, site.palette, 6.1, 2.4), "building", s, d, yaw=yaw)
        elif what == "shed":
            body = buildings.shed(rng, site.palette, rng.uniform(2.5, 6), rng.uniform(2.2, 4))
            site.put(body, "building", s, d, yaw=0.0 if lot.side > 0 else np.pi)


def _boundary(site: Site, rng: np.random.Generator, lot: Lot, gate: float | None, setback: float) -> None:
    """A wall, fence or hedge along the front of a lot, open at its gate, and sometimes along its sides."""
    kind = pick(rng, site.style.boundaries)
    if kind == "none" or setback < 1.2:
        return
    height, d = rng.uniform(0.45, 1.9), lot.side * (site.cut.front(lot.side) + 0.45)

    def piece(length: float) -> tuple[Body, str]:
        if kind == "hedge":
            return plants.hedge(rng, site.palette, site.season, length, height), "vegetation"
        make = furniture.wall if kind == "wall" else furniture.fence
        return make(rng, site.palette, length, height), "barrier"

    spans = [(lot.start + 0.3, lot.end - 0.3)]
    if gate is not None:
        spans = [(lot.start + 0.3, gate - 2.0), (gate + 2.0, lot.end - 0.3)]
    for start, end in spans:
        if end - start > 1.5:
            site.put(*piece(end - start), start, d, fit="bend")
    if rng.random() < 0.5 and setback > 3:
        body, label = piece(min(setback, 9.0))
        flip = body.vertices * (1, lot.side, 1)
        faces = body.faces if lot.side > 0 else body.faces[:, ::-1]
        yaw = lot.side * np.pi / 2
        site.put(Body(flip, faces, body.material_of), label, lot.end - 0.1, d + lot.side * 0.9, yaw=yaw, fit="bend")


def _garden(site: Site, rng: np.random.Generator, lot: Lot, setback: float) -> None:
    depth = setback + 6
    front = site.cut.front(lot.side)
    count = int(site.style.garden * (lot.end - lot.start) * depth / 100 + rng.random())
    for _ in range(count):
        kind = pick(rng, site.style.trees + " bush bush bush grass grass")
        out = rng.uniform(1.0, depth)
        body, spread = plants.plant(rng, site.palette, site.season, kind, far=out > 2.5)
        s, d = rng.uniform(lot.start, lot.end), lot.side * (front + out)
        site.put(body, "vegetation", s, d, yaw=0.0, spread=spread)


def backdrop(site: Site, rng: np.random.Generator) -> None:
    """A second row of buildings and trees, so that the street has a skyline."""
    for side in SIDES:
        s = site.road.start + 8
        while s < site.road.end - 10:
            out = site.cut.front(side) + site.style.setback[1] + rng.uniform(20, 34)
            far = side * min(out, 64.0)
            if not site.in_crossing(s, side, 8.0) and rng.random() < 0.75:
                build, lengths, depths = buildings.KINDS[pick(rng, site.style.buildings)]
                body = build(rng, site.palette, rng.uniform(*lengths), rng.uniform(*depths))
                site.put(body, "building", s, far, yaw=0.0 if side > 0 else np.pi)
            for _ in range(2):
                body, spread = plants.plant(rng, site.palette, site.season, pick(rng, site.style.trees), far=True)
                at, d = s + rng.uniform(-10, 10), far - side * rng.uniform(2, 10)
                if not site.in_crossing(at, side, 2.0):
                    site.put(body, "vegetation", at, d, spread=spread)
            s += rng.uniform(14, 30)
