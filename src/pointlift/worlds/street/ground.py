"""The ground of a street: lots beside the road, and cells that are road, pavement or soil as one height field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pointlift.data.formats.mesh import Mesh
from pointlift.worlds.engine.materials import Palette, pick
from pointlift.worlds.street.classes import LABELS
from pointlift.worlds.street.layout import SIDES, Crossing, Road, Section
from pointlift.worlds.street.styles import Style

HALF_WIDTH = 80.0
"""How far the ground reaches to both sides, metres."""
FORECOURT = 11.0
"""How deep a lot is paved, where it is; metres."""


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
