"""Small meshes that objects are built from, beside those of `solids`, and the `Piece` that gathers them by part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pointlift.data.formats.mesh import Mesh
from pointlift.worlds.engine.materials import Palette, pick
from pointlift.worlds.engine.solids import Point, Solid, circle, loft, tube

WOODS = "brown beige brown orange black white"
ANY = "red orange yellow green blue purple brown black white grey beige"
"""Colours, each as often as it is drawn."""


class Form(NamedTuple):
    """A finished object (front along x, up z): triangles, and the part and the material of each."""

    vertices: np.ndarray
    faces: np.ndarray
    part_of: np.ndarray
    material_of: np.ndarray


class Piece:
    """Gathers the meshes of one object, each with its part and its material.

    Args:
        rng: all choices are drawn from it.
        parts: names of the parts of its category, in the order of their labels.
    """

    def __init__(self, rng: np.random.Generator, parts: Sequence[str]) -> None:
        self.rng, self.palette = rng, Palette()
        self._parts = tuple(parts)
        self._solid = Solid()
        self._rows: list[tuple[int, int]] = []

    def add(self, part: str, material: int, *meshes: Mesh) -> None:
        """Append meshes of a part."""
        for mesh in meshes:
            self._solid.add(mesh, len(self._rows))
        self._rows.append((self._parts.index(part), material))

    def material(self, looks: str, colors: str, **options: float | str) -> int:
        """A material of one of the space-separated looks and colours."""
        return self.palette.make(self.rng, pick(self.rng, colors), pick(self.rng, looks), **options)  # type: ignore[arg-type]

    def chance(self, share: float) -> bool:
        """True in this share of all cases."""
        return bool(self.rng.random() < share)

    def between(self, low: float, high: float) -> float:
        """A number from this range."""
        return float(self.rng.uniform(low, high))

    def form(self) -> Form:
        """Everything added so far."""
        body = self._solid.body()
        part_of, material_of = np.array(self._rows)[body.material_of].T
        return Form(body.vertices, body.faces, part_of, material_of)


def turned(mesh: Mesh, angle: float, about: Point = (0, 0, 0), axis: str = "y") -> Mesh:
    """The mesh turned by ``angle`` radians about an axis through a point: about y, z turns towards x."""
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    about = np.asarray(about, dtype=float)
    vertices = mesh.vertices - about
    a, b = vertices[:, first].copy(), vertices[:, second].copy()
    vertices[:, first] = np.cos(angle) * a - np.sin(angle) * b
    vertices[:, second] = np.sin(angle) * a + np.cos(angle) * b
    return Mesh(vertices + about, mesh.faces)


def lathe(
    profile: Sequence[Point] | np.ndarray, at: Point = (0, 0, 0), sides: int = 32, *, square: float = 0.0
) -> Mesh:
    """A skin of (radius, height) rings about z; a profile that turns back downwards makes a hollow.

    Args:
        profile: (K, 2), from the middle of the bottom outwards.
        at: the origin of the heights.
        sides: of each ring.
        square: 0 is round, 1 is nearly a square of that half side.
    """
    values = np.asarray(profile, dtype=float)
    outline = circle(sides)
    if square > 0:
        outline = outline / (np.abs(outline) ** (2 + 8 * square)).sum(1, keepdims=True) ** (1 / (2 + 8 * square))
    rings = np.zeros((len(values), sides, 3))
    rings[:, :, :2] = values[:, 0, None, None] * outline
    rings[:, :, 2] = values[:, 1, None]
    return loft(rings + np.asarray(at, dtype=float))


def spline(points: Sequence[Point] | np.ndarray, count: int) -> np.ndarray:
    """(count, D) places on a smooth curve through points (Catmull & Rom 1974), evenly in its parameter."""
    path = np.asarray(points, dtype=float)
    padded = np.concatenate([2 * path[:1] - path[1:2], path, 2 * path[-1:] - path[-2:-1]])
    place = np.linspace(0, len(path) - 1, count)
    start = np.minimum(place.astype(int), len(path) - 2)
    t = (place - start)[:, None]
    a, b, c, d = (padded[start + k] for k in range(4))
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)


def cushion(size: Point, at: Point = (0, 0, 0), softness: float = 0.5, sides: int = 24) -> Mesh:
    """A box of ``size`` with rounded edges whose base is centred at ``at``; softness 0 is nearly sharp, 1 a pillow."""
    outline = circle(sides)
    power = 3 + 9 * (1 - softness)
    outline = outline / (np.abs(outline) ** power).sum(1, keepdims=True) ** (1 / power)
    angle = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 7)
    half = 0.5 * np.asarray(size, dtype=float)
    edge = min(half) * (0.15 + 0.85 * softness)
    rings = np.zeros((len(angle), sides, 3))
    for axis in (0, 1):
        rings[:, :, axis] = outline[:, axis] * (half[axis] - edge * (1 - np.cos(angle)))[:, None]
    flat = half[2] - min(edge, half[2])
    rings[:, :, 2] = (half[2] + flat * np.sign(angle) + min(edge, half[2]) * np.sin(angle))[:, None]
    rings[len(angle) // 2, :, 2] = half[2]
    return loft(rings + np.asarray(at, dtype=float))


def loop(
    points: Sequence[Point] | np.ndarray,
    radius: float,
    sides: int = 8,
    *,
    flatten: float = 1.0,
    normal: Point = (0, 1, 0),
) -> Mesh:
    """A bar along a curve in a plane, such as a handle: unlike `tube`, its cross-section turns with it.

    Args:
        points: (K, 3) along the curve.
        radius: of the bar.
        sides: of its cross-section.
        flatten: squeezes it along ``normal``.
        normal: of the curve's plane.
    """
    path = np.asarray(points, dtype=float)
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    up = np.asarray(normal, dtype=float)
    across = np.cross(along, up)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    ring = radius * circle(sides)
    rings = path[:, None] + ring[None, :, :1] * across[:, None] + flatten * ring[None, :, 1:] * up
    return loft(rings)


def disc(radius: float, height: float, at: Point = (0, 0, 0), sides: int = 28, *, top: float = 1.0) -> Mesh:
    """An upright cylinder, or a truncated cone whose upper radius is ``top`` times the lower one."""
    return lathe([(radius, 0), (radius * top, height)], at, sides)


def bar(start: Point, end: Point, radius: float, end_radius: float | None = None, sides: int = 8) -> Mesh:
    """A straight round bar."""
    return tube([start, end], [radius, radius if end_radius is None else end_radius], sides)


def square_bar(start: Point, end: Point, width: float, end_width: float | None = None) -> Mesh:
    """An upright or slanted bar of square cross-section, sides along x and y."""
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    rings = np.zeros((2, 4, 3))
    for ring, (place, size) in enumerate(((start, width), (end, width if end_width is None else end_width))):
        rings[ring, :, :2] = corners * size
        rings[ring] += np.asarray(place, dtype=float)
    return loft(rings)


def wing(stations: Sequence[tuple[Point, float, float]], sides: int = 10) -> Mesh:
    """A wing or fin through stations of (leading edge (3,), chord along -x, thickness); thick across the span."""
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    places = np.array([np.asarray(place, dtype=float) for place, _, _ in stations])
    span = places[-1] - places[0]
    span[0] = 0
    up = np.cross(span / max(float(np.linalg.norm(span)), 1e-9), (1.0, 0.0, 0.0))
    rings = []
    for (_, chord, thickness), place in zip(stations, places, strict=True):
        back = 0.5 * chord * (1 - np.cos(angle))
        lift = 0.5 * thickness * np.sin(angle) * (1 - 0.6 * back / max(chord, 1e-9))
        rings.append(place - back[:, None] * np.array([1.0, 0, 0]) + lift[:, None] * up)
    return loft(np.stack(rings))


def open_below(mesh: Mesh) -> Mesh:
    """The mesh without its flat underside, for what lies on another part and would share that surface with it."""
    height = mesh.vertices[mesh.faces][..., 2]
    return Mesh(mesh.vertices, mesh.faces[(height > height.min() + 1e-9).any(axis=1)])


def mirrored(mesh: Mesh) -> Mesh:
    """The mesh on the other side of the x-z plane, still facing outwards."""
    return Mesh(mesh.vertices * (1, -1, 1), mesh.faces[:, ::-1])
