"""Fills a site: works, buildings and their gardens, parked and moving vehicles, what lines the kerb, and people."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pointlift.worlds.engine.materials import pick
from pointlift.worlds.engine.solids import Body, Mesh, loft
from pointlift.worlds.engine.world import EGO
from pointlift.worlds.street import buildings, furniture, people, plants, vehicles
from pointlift.worlds.street.layout import LABELS, SIDES, Lot
from pointlift.worlds.street.site import CLEARANCE, Site

CARS = "hatchback hatchback hatchback saloon saloon estate estate suv suv van van pickup"
LOADS = "truck truck flatbed tanker container"
CYCLES = "bicycle bicycle bicycle motorcycle scooter"
REACH_OF_TRAFFIC = 170.0
"""How far before and behind the start traffic may come from, metres."""
EGO_LENGTH = (-2.6, 1.6)
"""Range of x that the ego vehicle's own body covers, metres."""


def furnish(site: Site) -> None:
    """Everything, in the order in which it claims its place."""
    _markings(site, site.random("markings"))
    _ego(site)
    _works(site, site.random("works"))
    _rare(site, site.random("rare"))
    for lot in site.lots:
        _lot(site, site.random(f"lot {lot.side} {lot.start:.1f}"), lot)
    _rails(site, site.random("rails"))
    _kerb(site, site.random("kerb"))
    _parked(site, site.random("parked"))
    _walkers(site, site.random("walkers"))
    _traffic(site, site.random("traffic"))
    _backdrop(site, site.random("backdrop"))


def _ego(site: Site) -> None:
    body = vehicles.car(site.random("ego body"), site.palette, "estate")
    x = body.vertices[:, 0]
    scale = (EGO_LENGTH[1] - EGO_LENGTH[0]) / float(x.max() - x.min())
    vertices = body.vertices * (scale, 1, min(1.0, 1.5 / float(body.vertices[:, 2].max())))
    vertices[:, 0] += sum(EGO_LENGTH) / 2
    site.move([Body(vertices, body.faces, body.material_of)], EGO, site.ego, site.cut.ego, yaw=0.0)


def _strip(site: Site, s: tuple[float, float], d: tuple[float, float], step: float = 2.0) -> Mesh:
    """A thin patch a little above the road; its sides close it, so that it is a slab."""
    cuts = max(int(np.ceil((s[1] - s[0]) / step)), 1) + 1
    along = np.linspace(*s, cuts)
    rings = [site.road.point(along, np.full(cuts, across), rise) for across, rise in
             ((d[0], 0.0), (d[1], 0.0), (d[1], 0.014), (d[0], 0.014))]  # fmt: skip
    return loft(np.stack(rings, 1))


def _markings(site: Site, rng: np.random.Generator) -> None:
    """Lane lines, edge lines, stop lines and zebras; a few patches of newer or older surface."""
    cut, road = site.cut, site.road
    color = pick(rng, "white white white yellow")
    paint = site.palette.make(rng, color, "painted", "marking", vary=0.35)
    inner = [middle for middle, _ in cut.lanes]
    between = sorted({round(middle + side * cut.lane_width / 2, 3) for middle in inner for side in SIDES})
    dash, gap = rng.uniform(2.5, 4.5), rng.uniform(3, 7)
    mouths = [(crossing.s - crossing.half - 1, crossing.s + crossing.half + 1) for crossing in site.crossings]
    strips = []
    for index, d in enumerate(between):
        outer = index in (0, len(between) - 1)
        if rng.random() < (0.45 if outer else 0.1):
            continue
        length, pause = (6.0, 0.0) if outer or rng.random() < 0.15 else (dash, gap)
        for s in np.arange(road.start, road.end - length, length + pause):
            if not any(a < s + length and s < b for a, b in mouths):
                strips.append(((s, s + length), (d - 0.06, d + 0.06)))
    for crossing in site.crossings:
        low, high = -cut.edges[0] + 0.3, cut.edges[1] - 0.3
        for at in (crossing.s - crossing.half - 3.2, crossing.s + crossing.half + 0.8):
            if rng.random() < 0.7:
                strips += [((at, at + 2.4), (d, d + 0.45)) for d in np.arange(low, high - 0.45, 0.95)]
    for s_span, d_span in strips:
        _road_patch(site, s_span, d_span, paint)
    for _ in range(int(rng.integers(4, 14))):
        worn = site.palette.make(rng, pick(rng, "grey black"), "asphalt", vary=0.4)
        s, size = rng.uniform(road.start, road.end - 10), rng.uniform((0.5, 0.4), (7, 2.0))
        d = rng.uniform(-cut.edges[0], cut.edges[1] - size[1])
        _road_patch(site, (s, s + size[0]), (d, d + size[1]), worn, lift=-0.006)


def _road_patch(
    site: Site, s: tuple[float, float], d: tuple[float, float], material: int, *, lift: float = 0.0
) -> None:
    mesh = _strip(site, s, d)
    site.decals.append((mesh.moved((0, 0, lift)), material, (s[0] + s[1]) / 2))


def _works(site: Site, rng: np.random.Generator) -> None:
    """One to three construction zones beside the path: cones or barrels in a row, boards, barriers, heaps."""
    count = int(rng.integers(2, 4))
    for index in range(count):
        side = SIDES[int(rng.integers(2))]
        start = (index + rng.uniform(0.1, 0.7)) / count * (site.length + 40)
        length = rng.uniform(7, 16)
        near = _beside(site, side) + rng.uniform(0.1, 0.5)
        kind = "cone" if rng.random() < 0.6 else "barrel"
        body = furniture.cone(rng, site.palette, kind)
        for s in np.arange(start, start + length, rng.uniform(1.5, 3.0)):
            other = furniture.cone(rng, site.palette, "barrel" if kind == "cone" else "cone")
            site.put(body if rng.random() < 0.8 else other, "cone", s, side * (near + rng.uniform(0.2, 0.6)))
        for s in (start - 1.2, start + length + 0.8):
            board = furniture.board(rng, site.palette)
            site.put(board, "barrier", s, side * (near + 1.5), yaw=rng.uniform(-0.3, 0.3))
        if rng.random() < 0.5:
            site.put(furniture.jersey(rng, site.palette, length), "barrier", start, side * (near + 1.6), fit="bend")
        for _ in range(int(rng.integers(0, 3))):
            at = start + rng.uniform(1, length - 1)
            site.put(furniture.heap(rng, site.palette), "terrain", at, side * (near + rng.uniform(2.4, 5)))


def _beside(site: Site, side: int) -> float:
    """Distance from the axis to where things may stand on a side: in the parking lane or beyond the kerb."""
    index = (side + 1) // 2
    width = site.cut.edges[index] - (2.1 if site.cut.parking[index] else -0.15)
    return max(width, side * site.cut.ego + CLEARANCE + 0.1)


def _rare(site: Site, rng: np.random.Generator) -> None:
    """Two of each kind that chance alone would often leave out, beside the path where they can be seen."""
    makers: list[tuple[str, Callable[[], Body], int]] = [
        ("lorry", lambda: vehicles.lorry(rng, site.palette, pick(rng, LOADS)), 1),
        ("bus", lambda: vehicles.bus(rng, site.palette), 1),
        ("two-wheeler", lambda: people.two_wheeler(rng, site.palette, pick(rng, CYCLES), ridden=rng.random() < 0.4), 3),
        ("pedestrian", lambda: people.person(rng, site.palette)[0], 3),
        ("car", lambda: vehicles.car(rng, site.palette, pick(rng, CARS)), 3),
    ]
    for label, make, count in makers:
        done = 0
        for _ in range(40):
            body, side = make(), SIDES[int(rng.integers(2))]
            s = rng.uniform(2, site.length + 30)
            half = float(np.ptp(body.vertices[:, 1])) / 2
            if site.in_crossing(s, side, 7.0):
                continue
            yaw = 0.0 if side * site.cut.hand < 0 else np.pi
            if label == "pedestrian":
                yaw = rng.uniform(0, 2 * np.pi)
            d = side * (_beside(site, side) + half + rng.uniform(0.15, 0.6))
            done += site.put(body, label, s, d, yaw=yaw, fit="lean")
            if done == count:
                break


def _lot(site: Site, rng: np.random.Generator, lot: Lot) -> None:
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
            body = vehicles.car(rng, site.palette, pick(rng, CARS))
            way = turned + (np.pi if rng.random() < 0.5 else 0) + rng.uniform(-0.06, 0.06)
            site.put(body, "car", drive, lot.side * (front + max(setback - 2.9, 2.4)), yaw=way, fit="lean")
    for _ in range(3):
        s, d = rng.uniform(lot.start + 2, lot.end - 2), lot.side * (front + rng.uniform(2, setback + 12))
        if rng.random() > site.style.yard * 0.7:
            continue
        what, yaw = pick(rng, "shed shed car lorry container"), rng.choice([0.0, np.pi / 2, np.pi, -np.pi / 2])
        if what == "car":
            site.put(vehicles.car(rng, site.palette, pick(rng, CARS)), "car", s, d, yaw=yaw, fit="lean")
        elif what == "lorry" and site.style.yard > 0.8:
            site.put(vehicles.lorry(rng, site.palette, pick(rng, LOADS)), "lorry", s, d, yaw=yaw, fit="lean")
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


def plant(site: Site, rng: np.random.Generator, kind: str, *, far: bool = False) -> tuple[Body, float]:
    """A plant of a kind and the share of its width that it keeps clear; one seen from ``far`` has fewer triangles."""
    palette, season = site.palette, site.season
    if kind == "pine" or kind == "flat":
        return plants.pine(rng, palette, flat=kind == "flat", far=far), 0.5
    if kind == "poplar":
        return plants.poplar(rng, palette, season), 0.7
    if kind == "palm":
        return plants.palm(rng, palette), 0.25
    if kind == "bush":
        return plants.bush(rng, palette, season), 0.7
    if kind == "grass":
        return plants.tall_grass(rng, palette, season), 0.8
    return plants.tree(rng, palette, season, small=rng.random() < 0.4, far=far), 0.4


def _garden(site: Site, rng: np.random.Generator, lot: Lot, setback: float) -> None:
    depth = setback + 6
    front = site.cut.front(lot.side)
    count = int(site.style.garden * (lot.end - lot.start) * depth / 100 + rng.random())
    for _ in range(count):
        kind = pick(rng, site.style.trees + " bush bush bush grass grass")
        out = rng.uniform(1.0, depth)
        body, spread = plant(site, rng, kind, far=out > 2.5)
        s, d = rng.uniform(lot.start, lot.end), lot.side * (front + out)
        site.put(body, "vegetation", s, d, yaw=0.0, spread=spread)


def _rails(site: Site, rng: np.random.Generator) -> None:
    """Guard rails where the road has no pavement; jersey barriers now and then."""
    for side in SIDES:
        index = (side + 1) // 2
        if site.cut.pavements[index] or site.cut.parking[index]:
            continue
        for s in np.arange(-90, site.length + 90, 16.0):
            at = side * max(site.cut.edges[index] + 0.35, side * site.cut.ego + CLEARANCE + 0.45)
            if rng.random() < site.style.rail and not site.in_crossing(s + 8, side, 9.0):
                make = furniture.guard_rail if rng.random() < 0.75 else furniture.jersey
                site.put(make(rng, site.palette, 15.9), "barrier", s, at, fit="bend")


def _kerb(site: Site, rng: np.random.Generator) -> None:
    """Poles, street trees, bollards and parked two-wheelers in the strip beside the carriageway."""
    style, palette = site.style, site.palette
    for side in SIDES:
        index = (side + 1) // 2
        edge = max(site.cut.edges[index], side * site.cut.ego + CLEARANCE)
        yaw = 0.0 if side * site.cut.hand < 0 else np.pi
        total = (site.road.end - site.road.start) / 100
        out = 0.5 if site.cut.pavements[index] < 2 else 0.75
        for _ in range(int(style.poles * total)):
            kind = pick(rng, "lamp lamp sign sign mast bollards light")
            s, d = rng.uniform(site.road.start, site.road.end), side * (edge + out)
            if site.in_crossing(s, side, 0.5):
                continue
            if kind == "lamp":
                body = furniture.lamp(rng, palette)
                if side > 0:
                    body = Body(body.vertices * (1, -1, 1), body.faces[:, ::-1], body.material_of)
                site.put(body, "pole", s, d)
            elif kind == "bollards":
                body = furniture.bollard(rng, palette)
                for step in range(int(rng.integers(1, 6))):
                    site.put(body, "pole", s + 1.6 * step, d)
            else:
                make = {"sign": furniture.sign, "mast": furniture.mast, "light": furniture.traffic_light}[kind]
                site.put(make(rng, palette), "pole", s, d, yaw=yaw + rng.uniform(-0.2, 0.2))
        for _ in range(int(style.street_trees * total)):
            body, spread = plant(site, rng, pick(rng, style.trees))
            s, d = rng.uniform(site.road.start, site.road.end), side * (edge + out + rng.uniform(0, 0.6))
            if not site.in_crossing(s, side):
                site.put(body, "vegetation", s, d, spread=spread * 0.5)
        for _ in range(int(style.cycles * total)):
            s, d = rng.uniform(site.road.start, site.road.end), side * (edge + out + rng.uniform(0, 0.5))
            body = people.two_wheeler(rng, palette, pick(rng, CYCLES), ridden=False)
            if not site.in_crossing(s, side):
                site.put(body, "two-wheeler", s, d, yaw=rng.choice([0.0, np.pi / 2, 1.2, np.pi]))
        for _ in range(int(2.5 * total)):
            body, spread = plant(site, rng, pick(rng, "bush grass grass grass"))
            s, d = rng.uniform(site.road.start, site.road.end), side * (edge + rng.uniform(0.4, 2.5))
            if site.ground.labels[site.ground.kind_at(s, d)] == LABELS["terrain"]:
                site.put(body, "vegetation", s, d, spread=spread)


def _parked(site: Site, rng: np.random.Generator) -> None:
    """Vehicles in the parking lanes, or with two wheels on the verge where there is none."""
    for side in SIDES:
        index = (side + 1) // 2
        has_lane = site.cut.parking[index]
        s = site.road.start + rng.uniform(0, 6)
        while s < site.road.end - 8:
            if rng.random() > site.style.parked * (1.0 if has_lane else 0.2):
                s += rng.uniform(4, 8)
                continue
            kind = rng.random()
            if kind < 0.86:
                body, label = vehicles.car(rng, site.palette, pick(rng, CARS)), "car"
            elif kind < 0.93:
                body, label = vehicles.lorry(rng, site.palette, pick(rng, LOADS)), "lorry"
            else:
                cycle = people.two_wheeler(rng, site.palette, pick(rng, CYCLES), ridden=False)
                body, label = cycle, "two-wheeler"
            length, half = np.ptp(body.vertices[:, 0]), float(np.ptp(body.vertices[:, 1])) / 2
            d = site.cut.edges[index] + (-1.05 if has_lane else half * 0.9)
            d = max(d, side * site.cut.ego + CLEARANCE + half + 0.05)
            yaw = (0.0 if side * site.cut.hand < 0 else np.pi) + rng.uniform(-0.03, 0.03)
            if not site.in_crossing(s + length / 2, side, length / 2 + 1):
                site.put(body, label, s + length / 2, side * d, yaw=yaw, fit="lean", lift=0.0 if has_lane else None)
            s += length + rng.uniform(0.6, 2.5)


def _walkers(site: Site, rng: np.random.Generator) -> None:
    """People who walk along the pavement, and some who stand on it."""
    time = np.arange(len(site.ego)) * 0.5
    for side in SIDES:
        where = (side + 1) // 2
        inner = max(site.cut.edges[where] + site.cut.verges[where], side * site.cut.ego + CLEARANCE) + 1.1
        outer = max(site.cut.front(side) - 0.35, inner + 0.1)
        total = (site.road.end - site.road.start) / 100
        people_here = int(site.style.walkers * total)
        standing = people_here // 3  # first, so that those who walk keep clear of them
        for index in range(people_here):
            s, d = rng.uniform(site.road.start, site.road.end), side * rng.uniform(inner, outer)
            if index < standing:
                body = people.person(rng, site.palette)[0]
                site.put(body, "pedestrian", s, d, yaw=rng.uniform(0, 2 * np.pi))
                continue
            way, yaw = (1, 0.0) if rng.random() < 0.5 else (-1, np.pi)
            pace = rng.uniform(0.8, 1.7)
            path = s + way * pace * time
            if _lane_free(site, path, d, 0.45):
                bodies = people.person(rng, site.palette, phases=4)
                site.move(bodies, LABELS["pedestrian"], path, d, yaw=yaw)


def _lane_free(site: Site, path: np.ndarray, d: float, half: float) -> bool:
    return site.free((float(path.min()) - half, float(path.max()) + half), (d - half, d + half), margin=0.0)


def _traffic(site: Site, rng: np.random.Generator) -> None:
    """Vehicles in every lane; those of a lane keep their distance, and the ego vehicle's keep pace with it."""
    time = np.arange(len(site.ego)) * 0.5
    for middle, way in site.cut.lanes:
        own = middle == site.cut.ego
        speed = way * rng.uniform(5, 13)
        motion = site.ego if own else speed * time
        s = site.ego[0] - REACH_OF_TRAFFIC + rng.uniform(0, 30)
        while s < site.length + REACH_OF_TRAFFIC:
            body, label = _vehicle(site, rng)
            length = float(np.ptp(body.vertices[:, 0]))
            if not own or abs(s) > 11 + length / 2:
                yaw = 0.0 if way > 0 else np.pi
                site.move([body], LABELS[label], motion + s, middle, yaw=yaw)
            s += length + rng.uniform(*site.style.traffic) + (8 if own else 0)


def _vehicle(site: Site, rng: np.random.Generator) -> tuple[Body, str]:
    kind = rng.random()
    if kind < 0.70:
        return vehicles.car(rng, site.palette, pick(rng, CARS)), "car"
    if kind < 0.78:
        return vehicles.lorry(rng, site.palette, pick(rng, LOADS)), "lorry"
    if kind < 0.83:
        return vehicles.bus(rng, site.palette), "bus"
    return people.two_wheeler(rng, site.palette, pick(rng, CYCLES), ridden=True), "two-wheeler"


def _backdrop(site: Site, rng: np.random.Generator) -> None:
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
                body, spread = plant(site, rng, pick(rng, site.style.trees), far=True)
                at, d = s + rng.uniform(-10, 10), far - side * rng.uniform(2, 10)
                if not site.in_crossing(at, side, 2.0):
                    site.put(body, "vegetation", at, d, spread=spread)
            s += rng.uniform(14, 30)
