"""Small meshes to build things from, and a `Solid` that gathers them into one object with a material per triangle."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from pointlift.data.formats.mesh import Mesh, Point


class Body(NamedTuple):
    """A finished object in its own frame (x forward, z up, origin on the ground): triangles and their materials."""

    vertices: np.ndarray
    faces: np.ndarray
    material_of: np.ndarray


class Solid:
    """Gathers meshes, each with the material of all its triangles."""

    def __init__(self) -> None:
        self._vertices: list[np.ndarray] = []
        self._faces: list[np.ndarray] = []
        self._materials: list[int] = []
        self._count = 0

    def add(self, mesh: Mesh, material: int) -> None:
        """Append a mesh."""
        self._vertices.append(mesh.vertices)
        self._faces.append(mesh.faces + self._count)
        self._materials.append(material)
        self._count += len(mesh.vertices)

    def body(self) -> Body:
        """Everything added so far as one object."""
        counts = [len(faces) for faces in self._faces]
        return Body(
            np.concatenate(self._vertices), np.concatenate(self._faces), np.repeat(self._materials, counts).astype(int)
        )


@cache
def _loft_faces(rings: int, sides: int, capped: bool) -> np.ndarray:
    """Faces between successive rings of ``sides`` vertices, and fans around two cap centres put after the rings."""
    ring, side = np.divmod(np.arange((rings - 1) * sides), sides)
    a, b = ring * sides + side, ring * sides + (side + 1) % sides
    faces = [np.stack([a, b, b + sides], 1), np.stack([a, b + sides, a + sides], 1)]
    if capped:
        here, there = np.arange(sides), (np.arange(sides) + 1) % sides
        bottom, last = np.full(sides, rings * sides), (rings - 1) * sides
        faces += [np.stack([bottom, there, here], 1), np.stack([bottom + 1, here + last, there + last], 1)]
    return np.concatenate(faces)


def loft(rings: np.ndarray, *, capped: bool = True) -> Mesh:
    """The skin over (K, N, 3) successive rings of N points; caps are fans, so end rings must be star-shaped."""
    rings = np.asarray(rings, dtype=float)
    count, sides = rings.shape[:2]
    vertices = rings.reshape(-1, 3)
    if capped:
        vertices = np.concatenate([vertices, rings[0].mean(0)[None], rings[-1].mean(0)[None]])
    faces = _loft_faces(count, sides, capped)
    a, b, c = (vertices - vertices.mean(0))[faces.T]
    # the rings may run either way round; a closed skin that faces outwards encloses a positive volume
    if np.einsum("ij,ij->", a, np.cross(b, c)) < 0:
        faces = faces[:, ::-1]
    return Mesh(vertices, faces)


def frustum(base: Point, top: Point, height: float, at: Point = (0, 0, 0), *, shift: float = 0.0) -> Mesh:
    """A box whose lower rectangle is ``base`` (x, y) and upper one ``top``, moved ``shift`` along x; base centre at."""
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    rings = np.zeros((2, 4, 3))
    rings[0, :, :2], rings[1, :, :2] = corners * base, corners * top + (shift, 0)
    rings[1, :, 2] = height
    return loft(rings + np.asarray(at, dtype=float))


def box(size: Point, at: Point = (0, 0, 0)) -> Mesh:
    """An upright box of ``size`` (x, y, z) whose base is centred at ``at``."""
    return frustum(size[:2], size[:2], float(size[2]), at)


@cache
def circle(sides: int) -> np.ndarray:
    """(N, 2) points on the unit circle."""
    angle = 2 * np.pi * (np.arange(sides) + 0.5) / sides
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def tube(points: Sequence[Point], radii: float | Point, sides: int = 6, *, flatten: float = 1.0) -> Mesh:
    """A round bar through ``points`` with a radius at each; ``flatten`` squeezes its second cross direction."""
    path = np.asarray(points, dtype=float)
    axis = path[-1] - path[0]
    axis = axis / max(float(np.linalg.norm(axis)), 1e-9)
    helper = np.array([0.0, 0.0, 1.0]) if abs(axis[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
    first = np.cross(helper, axis)
    first /= np.linalg.norm(first)
    second = np.cross(axis, first) * flatten
    ring = circle(sides) @ np.stack([first, second])  # (N, 3)
    sizes = np.broadcast_to(np.asarray(radii, dtype=float), (len(path),))
    return loft(path[:, None] + sizes[:, None, None] * ring)


def ring(radius: float, thickness: float, at: Point = (0, 0, 0), segments: int = 12) -> Mesh:
    """A thin tyre in the x-z plane around ``at``, of square cross-section."""
    round_, half = circle(segments), thickness / 2
    rings = np.zeros((4, segments, 3))
    for index, (outwards, sideways) in enumerate(((-half, -half), (half, -half), (half, half), (-half, half))):
        rings[index, :, [0, 2]] = ((radius + outwards) * round_).T
        rings[index, :, 1] = sideways
    mesh = loft(np.concatenate([rings, rings[:1]]), capped=False)
    return Mesh(mesh.vertices + np.asarray(at, dtype=float), mesh.faces)


def prism(outline: np.ndarray, height: float, at: Point = (0, 0, 0), *, top_scale: float = 1.0) -> Mesh:
    """A vertical extrusion of an (N, 2) star-shaped outline from ``at`` upwards."""
    outline = np.asarray(outline, dtype=float)
    rings = np.zeros((2, len(outline), 3))
    rings[0, :, :2], rings[1, :, :2] = outline, outline * top_scale
    rings[1, :, 2] = height
    return loft(rings + np.asarray(at, dtype=float))


def extrude_side(profile: np.ndarray, width: float, *, bevel: float = 0.0) -> Mesh:
    """An (N, 2) side profile (x, z) extruded over ``width`` along y; ``bevel`` metres round its two long edges off."""
    profile = np.asarray(profile, dtype=float)
    middle = (profile.min(0) + profile.max(0)) / 2
    half = width / 2
    rings = []
    for sideways, shrink in ((-half, 0.93), (-half + bevel, 1.0), (half - bevel, 1.0), (half, 0.93)):
        if bevel == 0 and shrink == 1.0:
            continue
        scaled = middle + (profile - middle) * (shrink if bevel else 1.0)
        rings.append(np.stack([scaled[:, 0], np.full(len(profile), sideways), scaled[:, 1]], 1))
    return loft(np.stack(rings))


def gable(length: float, width: float, height: float, at: Point = (0, 0, 0), *, hip: float = 0.0) -> Mesh:
    """A roof with its ridge along x, ``hip`` metres shorter at each end than its ``length``."""
    x, y, ridge = length / 2, width / 2, max(length / 2 - hip, 0.05)
    eaves = [(-x, -y, 0), (x, -y, 0), (x, y, 0), (-x, y, 0)]
    crest = [(-ridge, -0.02, height), (ridge, -0.02, height), (ridge, 0.02, height), (-ridge, 0.02, height)]
    return loft(np.array([eaves, crest]) + np.asarray(at, dtype=float))


@cache
def icosphere(subdivisions: int) -> Mesh:
    """The unit icosahedron, each triangle split in four ``subdivisions`` times."""
    golden = (1 + 5**0.5) / 2
    corners = [(-1, golden, 0), (1, golden, 0), (-1, -golden, 0), (1, -golden, 0)]
    vertices = [np.roll(corner, shift) for shift in range(3) for corner in corners]
    points = np.array(vertices, dtype=float)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    # the 20 faces are the triples of mutually nearest corners
    near = (points @ points.T > 0.4) & ~np.eye(12, dtype=bool)
    faces = [
        (i, j, k) for i in range(12) for j in range(i) for k in range(j) if near[i, j] and near[j, k] and near[i, k]
    ]
    mesh = _outwards(points, np.array(faces))
    for _ in range(subdivisions):
        mesh = _split(mesh)
    return mesh


def _outwards(points: np.ndarray, faces: np.ndarray) -> Mesh:
    a, b, c = points[faces.T]
    flip = np.einsum("ij,ij->i", a, np.cross(b, c)) < 0
    return Mesh(points, np.where(flip[:, None], faces[:, ::-1], faces))


def _split(mesh: Mesh) -> Mesh:
    edges = np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    unique, inverse = np.unique(edges, axis=0, return_inverse=True)
    middle = mesh.vertices[unique].sum(1)
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    ab, bc, ca = (inverse.reshape(-1, 3) + len(mesh.vertices)).T
    a, b, c = mesh.faces.T
    faces = np.concatenate([np.stack(three, 1) for three in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    return Mesh(np.concatenate([mesh.vertices, middle]), faces)


def blob(
    rng: np.random.Generator, radii: float | Point, at: Point = (0, 0, 0), *, roughness: float = 0.2, detail: int = 1
) -> Mesh:
    """A lumpy ball around ``at``: an icosphere whose vertices move in or out by up to ``roughness`` of it."""
    ball = icosphere(detail)
    push = 1 + rng.uniform(-roughness, roughness, len(ball.vertices))
    return Mesh(ball.vertices * push[:, None] * radii + np.asarray(at, dtype=float), ball.faces)


def row(length: float, outline: np.ndarray, *, step: float = 2.0, jitter: np.ndarray | None = None) -> Mesh:
    """A long thing along x from 0 to ``length`` of cross-section ``outline`` (N, 2) in (y, z), cut every ``step``.

    The cuts let it follow a curved road over hills. ``jitter`` (K, N, 2) moves the cross-sections' points, where K is
    `row_cuts` of the length.
    """
    outline = np.asarray(outline, dtype=float)
    cuts = row_cuts(length, step)
    rings = np.zeros((cuts, len(outline), 3))
    rings[:, :, 0] = np.linspace(0, length, cuts)[:, None]
    rings[:, :, 1:] = outline if jitter is None else outline + jitter
    return loft(rings)


def row_cuts(length: float, step: float = 2.0) -> int:
    """How many cross-sections `row` makes."""
    return max(int(np.ceil(length / step)), 1) + 1
