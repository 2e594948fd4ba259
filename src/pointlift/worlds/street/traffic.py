"""Vehicles and people: parked or standing, and moving along the lanes and the pavement."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pointlift.worlds.engine.materials import pick
from pointlift.worlds.engine.solids import Body
from pointlift.worlds.street import people, vehicles
from pointlift.worlds.street.classes import LABELS
from pointlift.worlds.street.layout import SIDES
from pointlift.worlds.street.site import CLEARANCE, Site

REACH_OF_TRAFFIC = 170.0
"""How far before and behind the start traffic may come from, metres."""


def rare(site: Site, rng: np.random.Generator) -> None:
    """Two of each kind that chance alone would often leave out, beside the path where they can be seen."""
    makers: list[tuple[str, Callable[[], Body], int]] = [
        ("lorry", lambda: vehicles.lorry(rng, site.palette, pick(rng, vehicles.LORRY_KINDS)), 1),
        ("bus", lambda: vehicles.bus(rng, site.palette), 1),
        (
            "two-wheeler",
            lambda: people.two_wheeler(rng, site.palette, pick(rng, people.CYCLE_KINDS), ridden=rng.random() < 0.4),
            3,
        ),
        ("pedestrian", lambda: people.person(rng, site.palette)[0], 3),
        ("car", lambda: vehicles.car(rng, site.palette, pick(rng, vehicles.CAR_KINDS)), 3),
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
            d = side * (site.beside(side) + half + rng.uniform(0.15, 0.6))
            done += site.put(body, label, s, d, yaw=yaw, fit="lean")
            if done == count:
                break


def parked(site: Site, rng: np.random.Generator) -> None:
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
                body, label = vehicles.car(rng, site.palette, pick(rng, vehicles.CAR_KINDS)), "car"
            elif kind < 0.93:
                body, label = vehicles.lorry(rng, site.palette, pick(rng, vehicles.LORRY_KINDS)), "lorry"
            else:
                cycle = people.two_wheeler(rng, site.palette, pick(rng, people.CYCLE_KINDS), ridden=False)
                body, label = cycle, "two-wheeler"
            length, half = np.ptp(body.vertices[:, 0]), float(np.ptp(body.vertices[:, 1])) / 2
            d = site.cut.edges[index] + (-1.05 if has_lane else half * 0.9)
            d = max(d, side * site.cut.ego + CLEARANCE + half + 0.05)
            yaw = (0.0 if side * site.cut.hand < 0 else np.pi) + rng.uniform(-0.03, 0.03)
            if not site.in_crossing(s + length / 2, side, length / 2 + 1):
                site.put(body, label, s + length / 2, side * d, yaw=yaw, fit="lean", lift=0.0 if has_lane else None)
            s += length + rng.uniform(0.6, 2.5)


def walkers(site: Site, rng: np.random.Generator) -> None:
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


def moving(site: Site, rng: np.random.Generator) -> None:
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
        return vehicles.car(rng, site.palette, pick(rng, vehicles.CAR_KINDS)), "car"
    if kind < 0.78:
        return vehicles.lorry(rng, site.palette, pick(rng, vehicles.LORRY_KINDS)), "lorry"
    if kind < 0.83:
        return vehicles.bus(rng, site.palette), "bus"
    return people.two_wheeler(rng, site.palette, pick(rng, people.CYCLE_KINDS), ridden=True), "two-wheeler"
