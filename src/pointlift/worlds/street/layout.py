"""The lie of a street: a curved road over hills, what lies beside it, and the ground as one height field.

Everything is placed in road coordinates: ``s`` metres along the road's axis and ``d`` metres to its left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pointlift.worlds.engine.materials import Palette, pick
from pointlift.worlds.engine.solids import Mesh
from pointlift.worlds.engine.world import CLASSES
from pointlift.worlds.street.styles import Style

REACH = 118.0
"""How far the street goes on before and behind the ego vehicle's path, metres."""
HALF_WIDTH = 80.0
"""How far the ground reaches to both sides, metres."""
FORECOURT = 11.0
"""How deep a lot is paved, where it is; metres."""
LABELS = {name: index for index, (name, _) in enumerate(CLASSES)}
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


@dataclass(frozen=True)
class Lot:
    """Private ground on one side between two places along the road; ``ground`` is its row of the ground's kinds."""

    side: int
    start: float
    end: float
    ground: int


class Ground:
    """The ground's cells between lines of constant s and of constant d, each of one kind.

    A kind is a label, a material and a height above the road's surface.
    """

    def __init__(self, rng: np.random.Generator, palette: Palette, style: Style, cut: Section) -> None:
        self.cut = cut
        self.labels: list[int] = []
        self.materials: list[int] = []
        self.lifts: list[float] = []
        asphalt = palette.make(rng, pick(rng, style.road_colors), pick(rng, style.roads), vary=0.5)
        paved = palette.make(rng, pick(rng, style.pave_colors), pick(rng, style.paves), vary=0.35)
        if rng.random() < 0.15:  # sometimes only the kerb tells the two apart
            paved = asphalt
        edge = palette.make(rng, pick(rng, "grey grey white"), "concrete", "kerb")
        self.road = self._kind("road", asphalt, 0.0)
        self.parking = self._kind("road", asphalt if rng.random() < 0.6 else paved, 0.0)
        self.pavement = self._kind("pavement", paved, cut.kerb)
        self.kerb = self._kind("pavement", edge, cut.kerb)
        self.verge = self._kind("terrain", _soil(rng, palette, style.verges), cut.kerb)
        self.drive = self._kind(
            "pavement", palette.make(rng, pick(rng, "grey beige red"), pick(rng, "paved concrete")), cut.kerb
        )
        self.grounds = [self._kind("terrain", _soil(rng, palette, style.grounds), cut.kerb) for _ in range(3)]
        if rng.random() < style.forecourt:
            self.grounds.append(self.pavement)

    def _kind(self, label: str, material: int, lift: float) -> int:
        self.labels.append(LABELS[label])
        self.materials.append(material)
        self.lifts.append(lift)
        return len(self.labels) - 1

    def lay(self, road: Road, lots: list[Lot], crossings: list[Crossing]) -> None:
        """Cut the ground into cells and give each its kind."""
        self._road = road
        lines = [np.arange(road.start, road.end + 1, 3.0), np.array([(lot.start, lot.end) for lot in lots]).ravel()]
        for crossing in crossings:
            half, far = crossing.half, crossing.half + crossing.pavement
            lines.append(np.array([-far, -half, half, far]) + crossing.s)
        across: list[float] = [0.0, -HALF_WIDTH, HALF_WIDTH]
        for side, edge, verge, pavement in zip(SIDES, self.cut.edges, self.cut.verges, self.cut.pavements, strict=True):
            marks = [
                edge / 2,
                edge,
                edge + 0.15,
                edge + verge,
                edge + verge + pavement,
                self.cut.edges[(side + 1) // 2] - 2.2,
            ]
            far = self.cut.front(side)
            marks += [far + step for step in (1, 2.5, 4.5, 7, 10, 13, 17, 22, 28, 36, 47)]
            across += [side * mark for mark in marks]
        self.s_lines, self.d_lines = _lines(np.concatenate(lines)), _lines(np.array(across))
        s = (self.s_lines[1:] + self.s_lines[:-1])[:, None] / 2
        d = (self.d_lines[1:] + self.d_lines[:-1])[None] / 2
        self.kinds = self._kinds(s, d, lots, crossings)

    def _kinds(self, s: np.ndarray, d: np.ndarray, lots: list[Lot], crossings: list[Crossing]) -> np.ndarray:
        kinds = np.full((s.size, d.size), self.grounds[0])
        for lot in lots:
            depth = FORECOURT if lot.ground == self.pavement else HALF_WIDTH
            across = (d * lot.side > 0) & (d * lot.side < self.cut.front(lot.side) + depth)
            kinds[(s > lot.start) & (s < lot.end) & across] = lot.ground
        cut = self.cut
        for side, edge, verge, pavement in zip(SIDES, cut.edges, cut.verges, cut.pavements, strict=True):
            out = side * d
            kinds[:, (out > 0).ravel() & (out < edge + verge + pavement).ravel()] = self.pavement
            kinds[:, (out > 0).ravel() & (out < edge + verge).ravel()] = self.verge
            if pavement or cut.kerb:
                kinds[:, (out > 0).ravel() & (out < edge + 0.15).ravel()] = self.kerb
            has_parking = cut.parking[(side + 1) // 2]
            kinds[:, (out > 0).ravel() & (out < edge).ravel()] = self.parking if has_parking else self.road
            kinds[:, (out > 0).ravel() & (out < edge - 2.2).ravel()] = self.road
        for crossing in crossings:
            for side in crossing.sides:
                beyond = side * d > cut.edges[(side + 1) // 2]
                off = np.abs(s - crossing.s)
                kinds[(off < crossing.half + crossing.pavement) & beyond] = self.pavement
                kinds[(off < crossing.half) & beyond] = self.road
                kinds[(off < crossing.half) & (side * d > 0)] = self.road
        return kinds

    def lift(self, s: float, d: float) -> float:
        """Height of the kerb under a place, metres."""
        return self.lifts[self.kind_at(s, d)]

    def kind_at(self, s: float, d: float) -> int:
        """Row of the kind of the ground at a place."""
        i = np.clip(np.searchsorted(self.s_lines, s) - 1, 0, len(self.s_lines) - 2)
        j = np.clip(np.searchsorted(self.d_lines, d) - 1, 0, len(self.d_lines) - 2)
        return int(self.kinds[i, j])

    def drive_in(self, lot: Lot, start: float, end: float) -> None:
        """Pave a drive across a lot between two places along the road."""
        s, d = (self.s_lines[1:] + self.s_lines[:-1]) / 2, (self.d_lines[1:] + self.d_lines[:-1]) / 2
        front = self.cut.front(lot.side)
        across = (d * lot.side > front) & (d * lot.side < front + 12)
        self.kinds[np.ix_((s > start) & (s < end), across)] = self.drive

    def surface(self) -> tuple[Mesh, np.ndarray, np.ndarray, np.ndarray]:
        """All cells and the kerbs' upright faces: mesh, label and material of each face, s of each vertex."""
        lifts = np.array(self.lifts)[self.kinds]  # (S, D)
        s, d = np.meshgrid(self.s_lines, self.d_lines, indexing="ij")
        base = self._road.point(s, d)
        corners = np.stack([base[:-1, :-1], base[1:, :-1], base[1:, 1:], base[:-1, 1:]], 2)  # (S, D, 4, 3)
        raised = corners + lifts[..., None, None] * np.array([0, 0, 1])
        quads, kinds = [raised.reshape(-1, 4, 3)], [self.kinds.ravel()]
        for axis, first, second in ((1, (3, 2), (0, 1)), (0, (1, 2), (0, 3))):
            one, other = (raised[:, :-1], raised[:, 1:]) if axis else (raised[:-1], raised[1:])
            step = (lifts[:, :-1] != lifts[:, 1:]) if axis else (lifts[:-1] != lifts[1:])
            a, b = one[step][:, first], other[step][:, second]
            quads.append(np.stack([a[:, 0], a[:, 1], b[:, 1], b[:, 0]], 1))
            kinds.append(np.full(int(step.sum()), self.kerb))
        places = [np.repeat(s[:-1, :-1].ravel(), 4)]
        for axis in (1, 0):
            step = (lifts[:, :-1] != lifts[:, 1:]) if axis else (lifts[:-1] != lifts[1:])
            at = (s[:-1, :-1][:, :-1] if axis else s[:-1, :-1][:-1])[step]
            places.append(np.repeat(at, 4))
        quad, kind = np.concatenate(quads), np.repeat(np.concatenate(kinds), 2)
        faces = (np.arange(len(quad))[:, None] * 4 + np.array([0, 1, 2, 0, 2, 3])).reshape(-1, 3)
        mesh = Mesh(quad.reshape(-1, 3), faces)
        return mesh, np.array(self.labels)[kind], np.array(self.materials)[kind], np.concatenate(places)


def _soil(rng: np.random.Generator, palette: Palette, looks: str) -> int:
    look = pick(rng, looks)
    colors = {
        "grass": "green green green brown",
        "gravel": "grey grey beige",
        "dirt": "brown brown grey",
        "sand": "beige",
    }
    return palette.make(rng, pick(rng, colors[look]), look, vary=0.35)


def _lines(values: np.ndarray) -> np.ndarray:
    """Sorted, without lines closer than a centimetre, which would make slivers."""
    values = np.sort(values)
    return values[np.concatenate([[True], np.diff(values) > 0.01])]
