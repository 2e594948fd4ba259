"""What lines a road: markings on it, works beside it, guard rails, and poles and trees along the kerb."""

from __future__ import annotations

import numpy as np

from pointlift.data.formats.mesh import Mesh
from pointlift.worlds.engine.materials import pick
from pointlift.worlds.engine.solids import Body, loft
from pointlift.worlds.street import furniture, people, plants
from pointlift.worlds.street.classes import LABELS
from pointlift.worlds.street.layout import SIDES
from pointlift.worlds.street.site import CLEARANCE, Site


def markings(site: Site, rng: np.random.Generator) -> None:
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


def _strip(site: Site, s: tuple[float, float], d: tuple[float, float], step: float = 2.0) -> Mesh:
    """A thin patch a little above the road; its sides close it, so that it is a slab."""
    cuts = max(int(np.ceil((s[1] - s[0]) / step)), 1) + 1
    along = np.linspace(*s, cuts)
    rings = [site.road.point(along, np.full(cuts, across), rise) for across, rise in
             ((d[0], 0.0), (d[1], 0.0), (d[1], 0.014), (d[0], 0.014))]  # fmt: skip
    return loft(np.stack(rings, 1))


def _road_patch(
    site: Site, s: tuple[float, float], d: tuple[float, float], material: int, *, lift: float = 0.0
) -> None:
    mesh = _strip(site, s, d)
    site.decals.append((mesh.moved((0, 0, lift)), material, (s[0] + s[1]) / 2))


def works(site: Site, rng: np.random.Generator) -> None:
    """One to three construction zones beside the path: cones or barrels in a row, boards, barriers, heaps."""
    count = int(rng.integers(2, 4))
    for index in range(count):
        side = SIDES[int(rng.integers(2))]
        start = (index + rng.uniform(0.1, 0.7)) / count * (site.length + 40)
        length = rng.uniform(7, 16)
        near = site.beside(side) + rng.uniform(0.1, 0.5)
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


def rails(site: Site, rng: np.random.Generator) -> None:
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


def kerb(site: Site, rng: np.random.Generator) -> None:
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
            body, spread = plants.plant(rng, site.palette, site.season, pick(rng, style.trees))
            s, d = rng.uniform(site.road.start, site.road.end), side * (edge + out + rng.uniform(0, 0.6))
            if not site.in_crossing(s, side):
                site.put(body, "vegetation", s, d, spread=spread * 0.5)
        for _ in range(int(style.cycles * total)):
            s, d = rng.uniform(site.road.start, site.road.end), side * (edge + out + rng.uniform(0, 0.5))
            body = people.two_wheeler(rng, palette, pick(rng, people.CYCLE_KINDS), ridden=False)
            if not site.in_crossing(s, side):
                site.put(body, "two-wheeler", s, d, yaw=rng.choice([0.0, np.pi / 2, 1.2, np.pi]))
        for _ in range(int(2.5 * total)):
            body, spread = plants.plant(rng, site.palette, site.season, pick(rng, "bush grass grass grass"))
            s, d = rng.uniform(site.road.start, site.road.end), side * (edge + rng.uniform(0.4, 2.5))
            if site.ground.labels[site.ground.kind_at(s, d)] == LABELS["terrain"]:
                site.put(body, "vegetation", s, d, spread=spread)
