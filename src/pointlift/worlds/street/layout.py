"""The lie of a street: its cross-section, its side streets, and a curved road over hills.

Everything is placed in road coordinates: ``s`` metres along the road's axis and ``d`` metres to its left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pointlift.worlds.engine.materials import pick
from pointlift.worlds.street.styles import Style

REACH = 118.0
"""How far the street goes on before and behind the ego vehicle's path, metres."""
SIDES = (-1, 1)  # right, left


def _smooth(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


@dataclass(frozen=True)
class Section:
    """The cross-section of a road; pairs are (right, left).

    Attributes:
        hand: 1 where traffic keeps to the right, -1 to the left.
        lanes: (d, direction) of the middle of every lane; direction 1 is the ego vehicle's.
        lane_width: metres.
        edges: width from the axis to the end of the carriageway, parking lane included.
        parking: whether there is a parking lane, 2.2 m wide, at the carriageway's edge.
        verges: width of the strip between carriageway and pavement.
        pavements: width of the pavement, 0 where there is none.
        kerb: height of the pavement above the road.
        ego: d of the ego vehicle.
    """

    hand: int
    lanes: tuple[tuple[float, int], ...]
    lane_width: float
    edges: tuple[float, float]
    parking: tuple[bool, bool]
    verges: tuple[float, float]
    pavements: tuple[float, float]
    kerb: float
    ego: float

    def front(self, side: int) -> float:
        """Width from the axis to where private ground begins."""
        index = (side + 1) // 2
        return self.edges[index] + self.verges[index] + self.pavements[index]


def section(rng: np.random.Generator, style: Style) -> Section:
    """A random cross-section of a style."""
    hand = 1 if rng.random() < 0.7 else -1
    total, width = int(pick(rng, style.lanes)), rng.uniform(*style.lane_width)
    ahead = (total + 1) // 2
    lanes = [(-hand * (i + 0.5) * width, 1) for i in range(ahead)]
    lanes += [(hand * (i + 0.5) * width, -1) for i in range(total - ahead)]
    edges, parking, verges, pavements = [], [], [], []
    for side in SIDES:
        own = ahead if side * hand < 0 else total - ahead
        has_parking = bool(rng.random() < style.parking)
        edges.append(own * width + rng.uniform(0.3, 0.8) + (2.2 if has_parking else 0.0))
        parking.append(has_parking)
        verges.append(rng.uniform(1.2, 3.0) if rng.random() < style.verge else 0.0)
        pavements.append(rng.uniform(*style.pavement) if rng.random() < style.has_pavement else 0.0)
    kerb = float(pick(rng, style.kerbs))
    ego = lanes[int(rng.integers(ahead))][0]
    both = (tuple(edges), tuple(parking), tuple(verges), tuple(pavements))
    return Section(hand, tuple(lanes), width, *both, kerb, ego)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Crossing:
    """A side street across the road at ``s``, ``half`` metres to each side, on the sides where it exists."""

    s: float
    half: float
    pavement: float
    sides: tuple[int, ...]

    def near(self, s: float, margin: float, side: int) -> bool:
        """Whether a place on ``side`` lies in the side street or within ``margin`` metres of it."""
        return side in self.sides and abs(s - self.s) < self.half + self.pavement + margin


class Road:
    """Maps road coordinates to the world: a curve of gentle bends, over hills, between embankments."""

    def __init__(self, rng: np.random.Generator, style: Style, cut: Section, length: float, crossings: list[Crossing]):
        self.start, self.end = -REACH, length + REACH
        step = 0.5
        self._s = np.arange(self.start, self.end + step, step)
        bend, waves = style.bend, rng.uniform(0, 2 * np.pi, 2)
        curvature = bend * (0.6 * np.sin(self._s / 47 + waves[0]) + 0.4 * np.sin(self._s / 23 + waves[1]))
        self._heading = rng.uniform(0, 2 * np.pi) + np.cumsum(curvature) * step
        self._x = np.cumsum(np.cos(self._heading)) * step
        self._y = np.cumsum(np.sin(self._heading)) * step
        self._hills = [
            (slope * size, size, rng.uniform(0, 2 * np.pi))
            for size, slope in ((60.0, rng.uniform(0.3, 1) * style.slope), (21.0, rng.uniform(0, 0.35) * style.slope))
        ]
        self._banks = [
            (rng.uniform(*style.bank), rng.uniform(14, 34), rng.uniform(0, 2 * np.pi), rng.uniform(5, 14))
            for _ in SIDES
        ]
        self._fronts = [cut.front(side) + 0.5 for side in SIDES]
        self._crossings = crossings
        self._phase = rng.uniform(0, 2 * np.pi, 4)

    def heading(self, s: np.ndarray | float) -> np.ndarray:
        """Radians from x towards y."""
        return np.asarray(np.interp(s, self._s, self._heading))

    def height(self, s: np.ndarray | float, d: np.ndarray | float) -> np.ndarray:
        """Of the ground, metres, before kerbs."""
        s, d = np.broadcast_arrays(np.asarray(s, float), np.asarray(d, float))
        z = np.zeros_like(s)
        for size, wave, phase in self._hills:
            z = z + size * np.sin(s / wave + phase)
        level = np.ones_like(s)
        for crossing in self._crossings:
            level = level * _smooth((np.abs(s - crossing.s) - crossing.half - 4) / 12)
        for side, front, (rise, wave, phase, width) in zip(SIDES, self._fronts, self._banks, strict=True):
            out = side * d - front
            slope = rise * (0.6 + 0.4 * np.sin(s / wave + phase)) * level
            z = z + slope * (_smooth(out / width) + np.clip(out - width, 0, None) * 0.012)
            bumps = np.sin(s / 2.1 + self._phase[0]) * np.sin(d / 2.6 + self._phase[1])
            z = z + 0.1 * _smooth(out / 4) * level * (bumps + np.sin(s / 5.3 + self._phase[2]))
        return z

    def point(self, s: np.ndarray | float, d: np.ndarray | float, lift: np.ndarray | float = 0.0) -> np.ndarray:
        """(..., 3) world coordinates of places ``lift`` metres above the ground."""
        s, d = np.broadcast_arrays(np.asarray(s, float), np.asarray(d, float))
        heading = self.heading(s)
        x = np.interp(s, self._s, self._x) - d * np.sin(heading)
        y = np.interp(s, self._s, self._y) + d * np.cos(heading)
        return np.stack([x, y, self.height(s, d) + lift], -1)

    def stand(self, vertices: np.ndarray, s: float, d: float, yaw: float, lift: float) -> np.ndarray:
        """World coordinates of an object that stands upright at a place, turned by ``yaw`` against the road."""
        turn = float(self.heading(s)) + yaw
        cosine, sine = np.cos(turn), np.sin(turn)
        rotation = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
        return vertices @ rotation + self.point(s, d, lift)

    def lean(self, vertices: np.ndarray, s: float, d: float, yaw: float, lift: float) -> np.ndarray:
        """As `stand`, but sheared to the slope along and across the road, as wheels do."""
        ahead, left = np.cos(yaw), np.sin(yaw)
        places = np.array([[1.0, 0], [-1, 0], [0, 0.8], [0, -0.8]])
        z = self.height(s + places[:, 0] * ahead - places[:, 1] * left, d + places[:, 0] * left + places[:, 1] * ahead)
        world = self.stand(vertices, s, d, yaw, lift)
        world[:, 2] += vertices[:, 0] * (z[0] - z[1]) / 2 + vertices[:, 1] * (z[2] - z[3]) / 1.6
        return world

    def bend(self, vertices: np.ndarray, s: float, d: float, yaw: float, lift: float) -> np.ndarray:
        """An object along (yaw 0) or across (yaw 90 degrees) the road that follows its curve and slope."""
        x, y, z = vertices.T
        ahead, left = float(np.round(np.cos(yaw))), float(np.round(np.sin(yaw)))
        return self.point(s + ahead * x - left * y, d + left * x + ahead * y, lift + z)
