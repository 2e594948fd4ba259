"""Which triangle a ray hits first: Embree where it is installed, else a bounding volume hierarchy in NumPy."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np

try:
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene
except ImportError:  # there is no wheel for this platform
    TriangleMesh = EmbreeScene = None

EMBREE = EmbreeScene is not None
"""Whether Embree is installed."""
LEAF = 4  # triangles in a leaf of the hierarchy
SLABS = (0.0, 6.0, 20.0, 60.0, np.inf)  # metres; a ray that hits something in one slab is not traced in the next
RAYS_AT_ONCE = 1 << 15


class Caster:
    """The first triangle along each ray, seen from both sides.

    Embree works in single precision, in which triangles that are hit are found; how far they are is then computed in
    double precision from their planes, so that both engines give the same distances. The vertices should lie within a
    few hundred metres of each other, which keeps what single precision decides to fractions of a millimetre.

    Args:
        vertices: (V, 3) float64, metres.
        faces: (F, 3) int64; F may be 0.
        engine: "embree", "numpy", or None for Embree where it is installed.
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, engine: str | None = None) -> None:
        corners = np.asarray(vertices, dtype=np.float64)[faces]  # (F, 3, 3)
        self._middle = 0.5 * (corners.min(axis=(0, 1)) + corners.max(axis=(0, 1))) if len(corners) else np.zeros(3)
        self._corners = corners - self._middle
        self.normals = _normals(self._corners)
        self._offsets = np.einsum("fi,fi->f", self.normals, self._corners[:, 0])
        engine = engine or ("embree" if EMBREE else "numpy")
        self._tracer: _Tracer | None = None
        if len(corners):
            self._tracer = _Embree(self._corners) if engine == "embree" else _Hierarchy(self._corners)

    def first_hit(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distance and triangle of what each ray hits first.

        Args:
            origins: (R, 3), or (3,) if all rays begin at one point.
            directions: (R, 3) unit vectors.

        Returns:
            Distance (R,) float64, infinite where nothing is hit, and triangle (R,) int64, -1 where nothing is hit.
        """
        origins, directions = self._local(origins, directions)
        if self._tracer is None or len(directions) == 0:
            return np.full(len(directions), np.inf), np.full(len(directions), -1, dtype=np.int64)
        distance, face = self._tracer.first_hit(origins, directions)
        normal = self.normals[face]
        with np.errstate(divide="ignore", invalid="ignore"):
            height = self._offsets[face] - np.einsum("ri,ri->r", normal, origins)
            exact = height / np.einsum("ri,ri->r", normal, directions)
            # a triangle that is seen edge-on has no better distance than the tracer's
            close = np.abs(exact - distance) <= 1e-3 + 1e-3 * distance
        return np.where(face >= 0, np.where(close, exact, distance), np.inf), face

    def occluded(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Whether each ray (R, 3), (R, 3) hits anything: (R,) bool."""
        origins, directions = self._local(origins, directions)
        if self._tracer is None or len(directions) == 0:
            return np.zeros(len(directions), dtype=bool)
        return self._tracer.occluded(origins, directions)

    def _local(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        directions = np.asarray(directions, dtype=np.float64)
        return np.broadcast_to(np.asarray(origins, dtype=np.float64) - self._middle, directions.shape), directions


class _Tracer(Protocol):
    def first_hit(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...

    def occluded(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray: ...


class _Embree:
    """Embree's own hierarchy over corners (F, 3, 3)."""

    def __init__(self, corners: np.ndarray) -> None:
        self._scene = EmbreeScene()
        self._mesh = TriangleMesh(self._scene, np.ascontiguousarray(corners, dtype=np.float32))

    def first_hit(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = self._scene.run(_single(origins), _single(directions), output=1)
        face = found["primID"].astype(np.int64)
        return np.where(face >= 0, found["tfar"].astype(np.float64), np.inf), face

    def occluded(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        return self._scene.run(_single(origins), _single(directions), query="INTERSECT") >= 0


def _single(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, dtype=np.float32)


class _Nodes(NamedTuple):
    """A binary tree: a node has a box, two children or, as a leaf, ``size`` triangles of ``order`` from ``first``."""

    low: np.ndarray
    high: np.ndarray
    child: np.ndarray
    first: np.ndarray
    size: np.ndarray
    order: np.ndarray


class _Hierarchy:
    """Bounding volume hierarchy over corners (F, 3, 3); all rays go down it together."""

    def __init__(self, corners: np.ndarray) -> None:
        self._corner = corners[:, 0]
        self._edges = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        self._nodes = _tree(corners)

    def first_hit(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        distance, face = np.full(len(directions), np.inf), np.full(len(directions), -1, dtype=np.int64)
        for start in range(0, len(directions), RAYS_AT_ONCE):
            part = slice(start, start + RAYS_AT_ONCE)
            distance[part], face[part] = self._part(origins[part], directions[part])
        return distance, face

    def occluded(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        return self.first_hit(origins, directions)[1] >= 0

    def _part(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        distance, face = np.full(len(directions), np.inf), np.full(len(directions), -1, dtype=np.int64)
        # a ray parallel to a box's side gets a huge inverse, and not an infinite one: 0 · infinity has no order
        inverse = 1.0 / np.where(np.abs(directions) < 1e-30, 1e-30, directions)
        active = np.arange(len(directions))
        for near, far in pairwise(SLABS):
            ray, leaf = self._leaves(origins, inverse, active, near, far)
            self._test(origins, directions, ray, leaf, distance, face)
            active = active[distance[active] > far]  # what is hit beyond the slab may have something before it
        return distance, face

    def _leaves(
        self, origins: np.ndarray, inverse: np.ndarray, active: np.ndarray, near: float, far: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Every ray and leaf whose box the ray crosses between two distances."""
        nodes = self._nodes
        ray, node = active, np.zeros(len(active), dtype=np.int64)
        found = [(ray[:0], node[:0])]
        while len(ray):
            a = (nodes.low[node] - origins[ray]) * inverse[ray]
            b = (nodes.high[node] - origins[ray]) * inverse[ray]
            enter, leave = np.minimum(a, b).max(axis=1), np.maximum(a, b).min(axis=1)
            crossed = (enter <= leave + 1e-9) & (leave >= near) & (enter <= far)
            ray, node = ray[crossed], node[crossed]
            leaf = nodes.child[node] < 0
            found.append((ray[leaf], node[leaf]))
            ray, child = ray[~leaf], nodes.child[node[~leaf]]
            ray, node = np.concatenate([ray, ray]), np.concatenate([child, child + 1])
        return np.concatenate([r for r, _ in found]), np.concatenate([n for _, n in found])

    def _test(
        self,
        origins: np.ndarray,
        directions: np.ndarray,
        ray: np.ndarray,
        leaf: np.ndarray,
        distance: np.ndarray,
        face: np.ndarray,
    ) -> None:
        """Lower ``distance`` and ``face`` of the rays to the nearest triangle of their leaves."""
        nodes = self._nodes
        for place in range(LEAF):
            there = nodes.size[leaf] > place
            some, triangle = ray[there], nodes.order[nodes.first[leaf[there]] + place]
            hit, where = intersect(
                origins[some], directions[some], self._corner[triangle], *(edge[triangle] for edge in self._edges)
            )
            some, triangle, where = some[hit], triangle[hit], where[hit]
            np.minimum.at(distance, some, where)
            nearest = where == distance[some]
            face[some[nearest]] = triangle[nearest]


def turned(directions: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Directions (R, 3) in the frame that a pose (4, 4) leads to."""
    return np.einsum("ri,ji->rj", directions, pose[:3, :3])


def intersect(
    origins: np.ndarray, directions: np.ndarray, corner: np.ndarray, edge: np.ndarray, other: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Whether ray i meets triangle i, and how far along it, (R,) each.

    Möller & Trumbore, *Fast, Minimum Storage Ray/Triangle Intersection* (1997): ``o + t d = c + u e + v f`` solved by
    Cramer's rule, with u, v >= 0, u + v <= 1 and t > 0.
    """
    p = np.cross(directions, other)
    determinant = np.einsum("ri,ri->r", edge, p)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 1.0 / determinant
        offset = origins - corner
        u = scale * np.einsum("ri,ri->r", offset, p)
        q = np.cross(offset, edge)
        v = scale * np.einsum("ri,ri->r", directions, q)
        distance = scale * np.einsum("ri,ri->r", other, q)
        # a hair of overlap, so that no ray slips between two triangles that share an edge
        inside = (u >= -1e-9) & (v >= -1e-9) & (u + v <= 1 + 1e-9) & (distance > 0)
    return inside & np.isfinite(distance), distance


def _tree(corners: np.ndarray) -> _Nodes:
    """Split at the median of the longest side, level by level, until leaves hold at most `LEAF` triangles."""
    low, high, middle = corners.min(axis=1), corners.max(axis=1), corners.mean(axis=1)
    order = np.arange(len(corners))
    lows, highs, children, firsts, counts = [], [], [], [], []
    ranges = [(0, len(corners))]  # of the nodes so far; the list grows while it is walked
    for first, last in ranges:
        inside = order[first:last]
        lows.append(low[inside].min(axis=0))
        highs.append(high[inside].max(axis=0))
        firsts.append(first)
        counts.append(last - first)
        if last - first <= LEAF:
            children.append(-1)
            continue
        axis = int(np.argmax(np.ptp(middle[inside], axis=0)))
        order[first:last] = inside[np.argsort(middle[inside, axis], kind="stable")]
        half = (first + last) // 2
        children.append(len(ranges))
        ranges += [(first, half), (half, last)]
    child, first_of, size = (np.array(values) for values in (children, firsts, counts))
    return _Nodes(np.array(lows), np.array(highs), child, first_of, size, order)


def _normals(corners: np.ndarray) -> np.ndarray:
    """Unit normals (F, 3); zero for triangles without area."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)
