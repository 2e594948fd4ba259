"""A room under construction: its walls, what stands where, and rules so that nothing stands in anything else."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pointlift.data.formats.mesh import Mesh
from pointlift.worlds.engine.materials import Palette, pick
from pointlift.worlds.engine.streams import Streams
from pointlift.worlds.rooms.classes import IGNORED, LABELS
from pointlift.worlds.rooms.parts import Item, Top

GAP = 0.015
"""Metres between things that stand side by side."""
TRIES = 30


class Space(NamedTuple):
    """An upright box that something takes: centre (2,), half sides (2,), yaw, and from which height to which."""

    x: float
    y: float
    half_x: float
    half_y: float
    yaw: float
    low: float
    high: float

    def corners(self, margin: float = 0.0) -> np.ndarray:
        """(4, 2) corners, ``margin`` further out."""
        local = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) * (self.half_x + margin, self.half_y + margin)
        return turn(local, self.yaw) + np.array([self.x, self.y])

    def meets(self, other: Space, margin: float = 0.0) -> bool:
        """Whether two spaces overlap, or come nearer than ``margin``: no axis of either separates them."""
        if self.low >= other.high - 1e-6 or other.low >= self.high - 1e-6:
            return False
        ours, theirs = self.corners(margin), other.corners()
        for yaw in (self.yaw, other.yaw):
            for axis in ((np.cos(yaw), np.sin(yaw)), (-np.sin(yaw), np.cos(yaw))):
                a, b = ours @ axis, theirs @ axis
                if a.max() <= b.min() + 1e-9 or b.max() <= a.min() + 1e-9:
                    return False
        return True


class Placed(NamedTuple):
    """An item where it stands."""

    item: Item
    space: Space
    position: tuple[float, float, float]
    yaw: float

    def at(self, x: float, y: float) -> np.ndarray:
        """(2,) place in the room of a place in the item's frame."""
        return turn(np.array([[x, y]]), self.yaw)[0] + self.position[:2]


class Wall(NamedTuple):
    """One of four: where it begins, its direction, and the yaw of what stands with its back to it."""

    start: np.ndarray
    along: np.ndarray
    length: float
    yaw: float


def turn(points: np.ndarray, yaw: float) -> np.ndarray:
    """Points (P, 2) turned about the origin."""
    cosine, sine = np.cos(yaw), np.sin(yaw)
    return points @ np.array([[cosine, sine], [-sine, cosine]])


class Plan:
    """A rectangular room from (0, 0) to (wide, deep), ``high`` metres high."""

    def __init__(self, random: Streams, wide: float, deep: float, high: float) -> None:
        self.random, self.rng, self.palette = random, random("layout"), Palette()
        self.wide, self.deep, self.high = wide, deep, high
        self.placed: list[Placed] = []
        self.free: list[Space] = []  # places that furniture keeps clear, such as before doors
        self.shell: list[tuple[Mesh, int, int]] = []
        self.windows: list[Placed] = []
        self.lamp = np.array([wide / 2, deep / 2, high])
        corners = np.array([(0, 0), (wide, 0), (wide, deep), (0, deep)], dtype=float)
        self.walls = []
        for number in range(4):
            start, end = corners[number], corners[(number + 1) % 4]
            length = float(np.linalg.norm(end - start))
            self.walls.append(Wall(start, (end - start) / length, length, (number + 1) * np.pi / 2))

    # ---- where things fit

    def space_of(self, item: Item, position: tuple[float, float, float], yaw: float) -> Space:
        """What an item takes at a place."""
        low, high = item.low, item.high
        middle = turn(np.array([(low[:2] + high[:2]) / 2]), yaw)[0] + position[:2]
        half = (high[:2] - low[:2]) / 2
        x, y = (float(value) for value in middle)
        bottom, top = position[2] + float(low[2]), position[2] + float(high[2])
        return Space(x, y, float(half[0]), float(half[1]), yaw, bottom, top)

    def fits(self, space: Space, margin: float = GAP) -> bool:
        """Whether a space lies in the room and meets nothing that is there."""
        if not self.inside(space):
            return False
        taken = [placed.space for placed in self.placed] + self.free
        return space.high <= self.high and not any(space.meets(other, margin) for other in taken)

    def put(
        self, item: Item, position: tuple[float, float, float], yaw: float, margin: float = GAP, force: bool = False
    ) -> Placed | None:
        """Place an item if it fits."""
        space = self.space_of(item, position, yaw)
        if not force and not self.fits(space, margin):
            return None
        placed = Placed(item, space, position, yaw)
        self.placed.append(placed)
        return placed

    def at_wall(
        self,
        item: Item,
        wall: int | None = None,
        *,
        place: float | None = None,
        z: float = 0.0,
        off: float = 0.0,
        front: float = 0.0,
        margin: float = GAP,
    ) -> Placed | None:
        """Place an item with its back to a wall, somewhere along it; ``front`` metres before it stay free.

        Args:
            item: what.
            wall: number of the wall; None: any.
            place: metres along the wall of the item's middle; None: somewhere.
            z: height of the item's own zero.
            off: metres between its back and the wall.
            front: depth of the free place before it.
            margin: to its neighbours.
        """
        half = float(item.high[1] - item.low[1]) / 2
        for _ in range(TRIES if place is None or wall is None else 1):
            number = int(self.rng.integers(4)) if wall is None else wall
            side = self.walls[number]
            if 2 * half > side.length:
                continue
            s = self.rng.uniform(half, side.length - half) if place is None else place
            if place is None and self.rng.random() < 0.3:  # into a corner
                s = self.rng.choice([half + 0.01, side.length - half - 0.01])
            inward = turn(np.array([[1.0, 0.0]]), side.yaw)[0]
            spot = side.start + s * side.along + (off - float(item.low[0])) * inward
            placed = self._with_front(item, (float(spot[0]), float(spot[1]), z), side.yaw, front, margin)
            if placed is not None:
                return placed
        return None

    def _with_front(
        self, item: Item, position: tuple[float, float, float], yaw: float, front: float, margin: float
    ) -> Placed | None:
        space = self.space_of(item, position, yaw)
        if not self.fits(space, margin):
            return None
        if front > 0:
            ahead = turn(np.array([[space.half_x + front / 2, 0.0]]), yaw)[0]
            clear = Space(space.x + ahead[0], space.y + ahead[1], front / 2 - 1e-3, 0.9 * space.half_y, yaw, 0.02, 1.0)
            if any(clear.meets(other.space) for other in self.placed) or not self.inside(clear):
                return None
            self.free.append(clear)
        placed = Placed(item, space, position, yaw)
        self.placed.append(placed)
        return placed

    def inside(self, space: Space) -> bool:
        """Whether a space lies between the walls."""
        corners = space.corners()
        return bool((corners > -1e-6).all() and (corners < np.array([self.wide, self.deep]) + 1e-6).all())

    def somewhere(self, item: Item, margin: float = 0.1, quarter: bool = False) -> Placed | None:
        """Place an item anywhere on the floor, turned any way."""
        for _ in range(TRIES):
            yaw = float(self.rng.integers(4)) * np.pi / 2 if quarter else self.rng.uniform(-np.pi, np.pi)
            position = float(self.rng.uniform(0.3, self.wide - 0.3)), float(self.rng.uniform(0.3, self.deep - 0.3)), 0.0
            placed = self.put(item, position, yaw, margin)
            if placed is not None:
                return placed
        return None

    def on_top(self, base: Placed, item: Item, top: Top | None = None, yaw: float | None = None) -> Placed | None:
        """Place an item on one of the tops of another; whatever hangs or stands above is heeded."""
        tops = base.item.tops if top is None else (top,)
        if not tops:
            return None
        half = np.abs(np.stack([item.low[:2], item.high[:2]])).max()
        for _ in range(8):
            one = tops[int(self.rng.integers(len(tops)))]
            low, high = np.array([one.x0, one.y0]) + half, np.array([one.x1, one.y1]) - half
            if (low > high).any():
                continue
            at = base.at(*self.rng.uniform(low, high))
            turned = base.yaw + (self.rng.normal(0, 0.5) if yaw is None else yaw)
            placed = self.put(item, (float(at[0]), float(at[1]), base.position[2] + one.z), turned, 0.005)
            if placed is not None:
                return placed
        return None

    def floor_space(self, radius: float, count: int, rng: np.random.Generator, ceiling: float = 2.0) -> np.ndarray:
        """(P, 2) of ``count`` random places, those where a round post of a radius meets nothing below ``ceiling``."""
        places = rng.uniform((0.3, 0.3), (self.wide - 0.3, self.deep - 0.3), (count, 2))
        good = np.ones(count, dtype=bool)
        for placed in self.placed:
            space = placed.space
            if space.low > ceiling or space.high < 0.05:
                continue
            local = np.abs(turn(places - (space.x, space.y), -space.yaw))
            beyond = np.maximum(local - (space.half_x, space.half_y), 0)
            good &= np.hypot(*beyond.T) > radius
        return places[good]


def shell(plan: Plan, tiled: bool) -> None:
    """Floor, walls and ceiling: six planes, and what they are made of."""
    rng, palette = plan.random("shell"), plan.palette
    floor = _floor(rng, palette, tiled)
    paint = pick(rng, "white white white white beige beige grey grey blue green yellow")
    wall = palette.make(rng, paint, "plaster", scale=2.0, vary=0.15)
    if tiled:
        second = pick(rng, "grey beige")
        wall = palette.make(
            rng,
            pick(rng, "white white beige blue grey green"),
            "painted",
            texture="panels",
            scale=rng.uniform(0.15, 0.3),
            second=second,
            vary=0.15,
        )
    accent = wall
    if rng.random() < 0.35 and not tiled:
        accent = palette.make(rng, pick(rng, "red orange green blue brown grey"), "plaster", vary=0.3)
        if rng.random() < 0.3:
            accent = palette.make(
                rng,
                pick(rng, "white beige"),
                "painted",
                texture="planks",
                scale=0.4,
                second=pick(rng, "grey beige blue"),
            )
    ceiling = palette.make(rng, "white", "plaster", vary=0.08)
    w, d, h = plan.wide, plan.deep, plan.high
    corners = np.array([(0, 0, 0), (w, 0, 0), (w, d, 0), (0, d, 0), (0, 0, h), (w, 0, h), (w, d, h), (0, d, h)], float)
    quads = [((0, 1, 2, 3), LABELS["floor"], floor), ((7, 6, 5, 4), IGNORED, ceiling)]
    special = int(rng.integers(4))
    for number in range(4):
        after = (number + 1) % 4
        skin = accent if number == special else wall
        quads.append(((after, number, number + 4, after + 4), LABELS["wall"], skin))
    for (a, b, c, e), label, material in quads:
        plan.shell.append((Mesh(corners[[a, b, c, e]], np.array([(0, 1, 2), (0, 2, 3)])), label, material))


def _floor(rng: np.random.Generator, palette: Palette, tiled: bool) -> int:
    kind = pick(rng, "tiles tiles stone" if tiled else "boards boards boards carpet tiles")
    if kind == "boards":
        return palette.make(
            rng, pick(rng, "brown brown beige beige grey"), "wood", scale=rng.uniform(0.1, 0.2), vary=0.4
        )
    if kind == "carpet":
        return palette.make(rng, pick(rng, "grey beige brown blue green red"), "cloth", scale=0.02, vary=0.3)
    color = pick(rng, "white beige grey grey brown black")
    return palette.make(rng, color, "tiled", texture="panels", scale=rng.uniform(0.25, 0.6), vary=0.2)
