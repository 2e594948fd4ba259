"""Triangle meshes: what they are, OFF files, and points spread evenly over a surface."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pointlift.errors import DataError
from pointlift.files import read_bytes

Point = Sequence[float] | np.ndarray


class Mesh(NamedTuple):
    """Triangles: (V, 3) float64 vertices in metres and (F, 3) int64 faces, counter-clockwise from outside."""

    vertices: np.ndarray
    faces: np.ndarray

    def moved(
        self,
        offset: Point = (0, 0, 0),
        *,
        yaw: float = 0.0,
        scale: float | Point = 1.0,
    ) -> Mesh:
        """The mesh scaled, then turned about z by ``yaw`` radians, then shifted."""
        vertices = self.vertices * scale
        if yaw:
            cosine, sine = np.cos(yaw), np.sin(yaw)
            x, y = vertices[:, 0].copy(), vertices[:, 1].copy()
            vertices[:, 0], vertices[:, 1] = cosine * x - sine * y, sine * x + cosine * y
        return Mesh(vertices + np.asarray(offset, dtype=float), self.faces)


class Samples(NamedTuple):
    """Points on a surface: ``points (N, 3)`` float32, unit ``normals (N, 3)`` float32, ``faces (N,)`` int64."""

    points: np.ndarray
    normals: np.ndarray
    faces: np.ndarray


def read_off(path: Path) -> Mesh:
    """A mesh of the OFF format; polygons become fans of triangles.

    The header may run together with the counts ("OFF490 518 0"), as it does in some files of ModelNet.

    Raises:
        DataError: the file is missing, is no OFF file, is damaged or truncated, or has no faces.
    """
    lines = [line.split(b"#")[0] for line in read_bytes(path).splitlines()]
    lines = [line for line in lines if line.strip()]
    counts, body = _header(lines, path)
    if counts[1] < 1 or counts[0] < 1:
        raise DataError(
            f"{path}: the mesh has {counts[0]} vertices and {counts[1]} faces; a surface needs some of both"
        )
    if len(body) < sum(counts):
        raise DataError(
            f"{path}: the file is truncated: its header promises {counts[0]} vertices and {counts[1]} faces, but "
            f"{len(body)} lines follow it"
        )
    vertices = _vertices(body[: counts[0]], path)
    faces = _faces(body[counts[0] : sum(counts)], path)
    if faces.min() < 0 or faces.max() >= counts[0]:
        row = int(np.flatnonzero((faces < 0).any(1) | (faces >= counts[0]).any(1))[0])
        raise DataError(
            f"{path}: a face names vertex {faces[row].tolist()}, and vertices are numbered from 0 to {counts[0] - 1}"
        )
    return Mesh(vertices, faces)


def _header(lines: list[bytes], path: Path) -> tuple[tuple[int, int], list[bytes]]:
    """Numbers of vertices and faces, and the lines after them."""
    first = lines[0].strip() if lines else b""
    if not first.startswith(b"OFF"):
        start = first[:40].decode("latin-1")
        raise DataError(f"{path}: this is not an OFF file: it must begin with 'OFF', not '{start}'")
    rest = first[3:].strip()
    body = lines[1:]
    if not rest and body:
        rest, body = body[0].strip(), body[1:]
    words = re.fullmatch(rb"(\d+)\s+(\d+)(\s+-?\d+)?", rest)
    if words is None:
        start = rest[:40].decode("latin-1")
        raise DataError(f"{path}: after 'OFF' come the numbers of vertices, faces and edges, not '{start}'")
    return (int(words[1]), int(words[2])), body


def _vertices(lines: list[bytes], path: Path) -> np.ndarray:
    values = numbers(lines, 3)
    if values is None:
        row = next(row for row, line in enumerate(lines) if numbers([line], 3) is None)
        text = lines[row].decode("latin-1").strip()[:60]
        raise DataError(f"{path}: vertex {row} is not 3 numbers: {text}")
    if not np.isfinite(values).all():
        rows = np.flatnonzero(~np.isfinite(values).all(axis=1))
        raise DataError(f"{path}: {len(rows)} vertices have NaN or infinity, the first is vertex {rows[0]}")
    return values


def numbers(lines: list[bytes], columns: int) -> np.ndarray | None:
    """Numbers (lines, columns) float64 between blanks, or None if some line holds anything else."""
    try:
        table = np.loadtxt(lines, dtype=np.float64, comments=None, ndmin=2)
    except ValueError:
        return None
    return table if table.shape == (len(lines), columns) else None


def _faces(lines: list[bytes], path: Path) -> np.ndarray:
    """Triangles (F, 3) int64 of lines of a count, as many vertices, and perhaps a colour."""
    table = numbers(lines, 4)
    if table is not None and (table[:, 0] == 3).all():
        return table[:, 1:].astype(np.int64)
    triangles = []
    for row, line in enumerate(lines):
        try:
            words = line.split()
            corners = [int(word) for word in words[1 : 1 + int(words[0])]]
            if len(corners) != int(words[0]) or len(corners) < 3:
                raise ValueError
        except ValueError as error:
            text = line.decode("latin-1").strip()[:60]
            raise DataError(f"{path}: face {row} is not a count of 3 or more and as many vertices: {text}") from error
        triangles += [(corners[0], b, c) for b, c in pairwise(corners[1:])]
    return np.array(triangles, dtype=np.int64)


def areas_and_normals(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Area (F,) and unit normal (F, 3) of each triangle, both float64; the normal is zero where the area is."""
    corners = mesh.vertices[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    doubled = np.sqrt((normals**2).sum(axis=1))
    unit = np.divide(normals, doubled[:, None], out=np.zeros_like(normals), where=doubled[:, None] > 0)
    return 0.5 * doubled, unit


def sample_surface(mesh: Mesh, count: int, rng: np.random.Generator, where: str = "mesh") -> Samples:
    """Points drawn evenly over the surface: a triangle by its area, and a place in it.

    With r, s uniform in [0, 1), ``(1 - √r) a + √r (1 - s) b + √r s c`` is uniform in the triangle a b c (Osada et al.,
    *Shape Distributions*, 2002, equation 1).

    Args:
        mesh: its faces need not be connected or closed.
        count: number of points.
        rng: draws them.
        where: names the mesh in messages.

    Raises:
        DataError: the surface has no area.
    """
    areas, normals = areas_and_normals(mesh)
    total = np.cumsum(areas)
    if not (len(total) and np.isfinite(total[-1]) and total[-1] > 0):
        raise DataError(f"{where}: the surface has no area: every one of its {len(areas)} triangles is degenerate")
    draws = rng.random((3, count))
    # the last triangle that has an area bounds the choice, should rounding carry a draw to the very end
    chosen = np.minimum(np.searchsorted(total, draws[0] * total[-1], side="right"), int(np.flatnonzero(areas)[-1]))
    a, b, c = (mesh.vertices[mesh.faces[chosen, corner]] for corner in range(3))
    root, share = np.sqrt(draws[1])[:, None], draws[2][:, None]
    points = (1 - root) * a + root * (1 - share) * b + root * share * c
    return Samples(points.astype(np.float32), normals[chosen].astype(np.float32), chosen)
