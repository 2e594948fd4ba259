"""A street under construction: its ground, and a register of what stands and moves where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pointlift.data.formats.mesh import Mesh
from pointlift.worlds.engine.materials import Palette
from pointlift.worlds.engine.solids import Body
from pointlift.worlds.engine.streams import Streams
from pointlift.worlds.street.classes import LABELS
from pointlift.worlds.street.ground import Ground, Lot
from pointlift.worlds.street.layout import SIDES, Crossing, Road, section
from pointlift.worlds.street.styles import Style

CLEARANCE = 2.5
"""Nothing that stands is nearer than this to the line that the ego vehicle's middle follows, metres."""
HEADROOM = 3.6
"""Branches and arms above this height may reach over the ego vehicle's path, metres."""


@dataclass(frozen=True)
class Placed:
    """A standing object in the world's frame; ``s`` is its place along the road."""

    vertices: np.ndarray
    faces: np.ndarray
    material_of: np.ndarray
    label: int
    instance: int
    s: float


@dataclass(frozen=True)
class Mover:
    """An object that moves along the road: one body for each moment of its step; ``s`` and ``lift`` at every frame."""

    bodies: tuple[Body, ...]
    label: int
    instance: int
    s: np.ndarray
    d: float
    yaw: float
    lift: np.ndarray


class Site:
    """Collects the parts of a town; nothing that stands overlaps or comes near the ego vehicle's path."""

    def __init__(self, random: Streams, style: Style, ego: np.ndarray) -> None:
        self.random, self.style, self.ego = random, style, ego
        self.palette = Palette()
        rng = random("layout")
        self.season = rng.uniform(*style.season)
        self.cut = section(rng, style)
        self.length = float(ego[-1])
        self.crossings = _crossings(rng, style, self.length)
        self.road = Road(rng, style, self.cut, self.length, self.crossings)
        self.ground = Ground(rng, self.palette, style, self.cut)
        self.lots = [lot for side in SIDES for lot in self._side(rng, side)]
        self.ground.lay(self.road, self.lots, self.crossings)
        self.placed: list[Placed] = []
        self.movers: list[Mover] = []
        self.decals: list[tuple[Mesh, int, float]] = []  # thin patches of road: mesh, material, s
        self.origins: list[np.ndarray] = [np.zeros(3)]
        self.yaws: list[float] = [0.0]
        self._taken = np.empty((4096, 4))
        self._count = 0

    def _side(self, rng: np.random.Generator, side: int) -> list[Lot]:
        """Lots along one side, between the side streets."""
        lots, s = [], self.road.start + 1
        while s < self.road.end - 10:
            end = s + rng.uniform(*self.style.lot)
            for crossing in self.crossings:
                reach = crossing.half + crossing.pavement
                if side in crossing.sides and crossing.s - reach < end and s < crossing.s + reach:
                    end = crossing.s - reach
            if end - s > 6:
                lots.append(Lot(side, s, end, int(self.ground.grounds[int(rng.integers(len(self.ground.grounds)))])))
            for crossing in self.crossings:
                reach = crossing.half + crossing.pavement
                if side in crossing.sides and abs(end - (crossing.s - reach)) < 1e-6:
                    end = crossing.s + reach
            s = end
        return lots

    def free(self, s: tuple[float, float], d: tuple[float, float], *, margin: float = 0.15) -> bool:
        """Whether a rectangle in road coordinates is clear of everything and of the ego vehicle's path."""
        if d[0] < self.cut.ego + CLEARANCE and d[1] > self.cut.ego - CLEARANCE:
            return False
        taken = self._taken[: self._count]
        overlap = (taken[:, 0] < s[1] + margin) & (taken[:, 1] > s[0] - margin)
        return not bool((overlap & (taken[:, 2] < d[1] + margin) & (taken[:, 3] > d[0] - margin)).any())

    def claim(self, s: tuple[float, float], d: tuple[float, float]) -> None:
        """Keep a rectangle clear of what is placed later."""
        if self._count < len(self._taken):
            self._taken[self._count] = (*s, *d)
            self._count += 1

    def put(
        self,
        body: Body,
        label: str,
        s: float,
        d: float,
        *,
        yaw: float = 0.0,
        fit: Literal["stand", "lean", "bend"] = "stand",
        lift: float | None = None,
        spread: float = 1.0,
        check: bool = True,
    ) -> bool:
        """Place a standing object where it is free, and say whether it was.

        ``spread`` is the share of its width that it keeps clear of others: tree crowns may touch.
        """
        low = body.vertices[body.vertices[:, 2] < HEADROOM]
        span_s, span_d = _extent(low[:, :2], s, d, yaw)
        if span_d[0] < self.cut.ego + CLEARANCE and span_d[1] > self.cut.ego - CLEARANCE:
            return False
        keep_s, keep_d = _shrunk(span_s, s, spread), _shrunk(span_d, d, spread)
        if check and not self.free(keep_s, keep_d):
            return False
        self.claim(keep_s, keep_d)
        rise = self.ground.lift(s, d) if lift is None else lift
        vertices = getattr(self.road, fit)(body.vertices, s, d, yaw, rise)
        instance = self._instance(self.road.point(s, d, rise), float(self.road.heading(s)) + yaw)
        middle = (span_s[0] + span_s[1]) / 2
        self.placed.append(Placed(vertices, body.faces, body.material_of, LABELS[label], instance, middle))
        return True

    def move(self, bodies: list[Body], label: int, s: np.ndarray, d: float, *, yaw: float) -> None:
        """Add an object that moves; ``s`` is its place along the road at every frame."""
        lift = np.array([self.ground.lift(float(at), d) for at in s])
        instance = self._instance(np.zeros(3), 0.0)
        self.movers.append(Mover(tuple(bodies), label, instance, s, d, yaw, lift))

    def _instance(self, origin: np.ndarray, yaw: float) -> int:
        self.origins.append(origin)
        self.yaws.append(yaw)
        return len(self.origins) - 1

    def beside(self, side: int) -> float:
        """Distance from the axis to where things may stand on a side: in the parking lane or beyond the kerb."""
        index = (side + 1) // 2
        width = self.cut.edges[index] - (2.1 if self.cut.parking[index] else -0.15)
        return max(width, side * self.cut.ego + CLEARANCE + 0.1)

    def in_crossing(self, s: float, side: int, margin: float = 1.5) -> bool:
        """Whether a place lies in the mouth of a side street."""
        return any(crossing.near(s, margin, side) for crossing in self.crossings)


def _extent(xy: np.ndarray, s: float, d: float, yaw: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Range of s and of d that a footprint covers."""
    ahead, left = float(np.cos(yaw)), float(np.sin(yaw))
    along, across = xy[:, 0] * ahead - xy[:, 1] * left, xy[:, 0] * left + xy[:, 1] * ahead
    return (s + float(along.min()), s + float(along.max())), (d + float(across.min()), d + float(across.max()))


def _shrunk(span: tuple[float, float], middle: float, share: float) -> tuple[float, float]:
    return middle + (span[0] - middle) * share, middle + (span[1] - middle) * share


def _crossings(rng: np.random.Generator, style: Style, length: float) -> list[Crossing]:
    if rng.random() > style.crossing:
        return []
    sides = ((-1, 1), (-1,), (1,))[int(rng.integers(3))]
    return [Crossing(rng.uniform(12, length + 40), rng.uniform(2.8, 4.2), rng.uniform(1.4, 2.5), sides)]
