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
    """A mesh of the OFF format; polygons become fans of triangles, and only the place of a vertex is kept.

    The header may run together with the counts ("OFF490 518 0"), as it does in some files of ModelNet, and may announce
    texture coordinates, colours and normals at the vertices (STOFF, COFF, NOFF, CNOFF, …). Colours may follow a face.

    Raises:
        DataError: the file is missing, is no OFF file, is damaged or truncated, has no faces, or a number is none that
            can stand there.
    """
    lines = [line.split(b"#")[0] for line in read_bytes(path).removeprefix(b"\xef\xbb\xbf").splitlines()]
    lines = [line for line in lines if line.strip()]
    counts, widths, body = _header(lines, path)
    if counts[1] < 1 or counts[0] < 1:
        raise DataError(
            f"{path}: the mesh has {counts[0]} vertices and {counts[1]} faces; a surface needs some of both"
        )
    if len(body) < sum(counts):
        raise DataError(
            f"{path}: the file is truncated: its header promises {counts[0]} vertices and {counts[1]} faces, but "
            f"{len(body)} lines follow it"
        )
    vertices = _vertices(body[: counts[0]], widths, path)
    faces = _faces(body[counts[0] : sum(counts)], path)
    if faces.min() < 0 or faces.max() >= counts[0]:
        row = int(np.flatnonzero((faces < 0).any(1) | (faces >= counts[0]).any(1))[0])
        raise DataError(
            f"{path}: a face names vertex {faces[row].tolist()}, and vertices are numbered from 0 to {counts[0] - 1}"
        )
    return Mesh(vertices, faces)


def _header(lines: list[bytes], path: Path) -> tuple[tuple[int, int], list[int], list[bytes]]:
    """Numbers of vertices and faces, the numbers of columns that a vertex may have, and the lines after them."""
    first = lines[0].strip() if lines else b""
    words = re.match(rb"(ST)?(C)?(N)?OFF(?![A-Za-z])|off(?![A-Za-z])", first)
    if words is None:
        start = first[:40].decode("latin-1")
        raise DataError(
            f"{path}: this is not an OFF file: it must begin with 'OFF', not '{start}' (or with COFF, NOFF, STOFF)"
        )
    texture, colors, normals = (group is not None for group in words.groups())
    columns = 3 + 2 * texture + 3 * normals
    # Colours have three numbers or four; many programs write them without a word in the header.
    widths = [columns + more for more in ((3, 4) if colors else (0, 3, 4) if columns == 3 else (0,))]
    rest = first[words.end() :].strip()
    if rest.upper().startswith(b"BINARY"):
        raise DataError(f"{path}: this is a binary OFF file; save it as text")
    body = lines[1:]
    if not rest and body:
        rest, body = body[0].strip(), body[1:]
    counts = re.fullmatch(rb"(\d{1,12})\s+(\d{1,12})(\s+-?\d+)?", rest)
    if counts is None:
        start = rest[:40].decode("latin-1")
        raise DataError(f"{path}: after 'OFF' come the numbers of vertices, faces and edges, not '{start}'")
    return (int(counts[1]), int(counts[2])), widths, body


def _vertices(lines: list[bytes], widths: list[int], path: Path) -> np.ndarray:
    """Places (V, 3) float64 of lines that all have as many numbers, one of ``widths``."""
    found = len(lines[0].split())
    width = found if found in widths else widths[0]
    values = numbers(lines, width)
    if values is None:
        row = next(row for row, line in enumerate(lines) if numbers([line], width) is None)
        text = lines[row].decode("latin-1").strip()[:60]
        raise DataError(f"{path}: vertex {row} is not {width} numbers: {text}")
    values = np.ascontiguousarray(values[:, :3])
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
    table = numbers(lines, len(lines[0].split()))
    if table is not None and table.shape[1] > 3 and (table[:, 0] == 3).all():
        triangles = table[:, 1:4]
        if (np.abs(triangles) < 2**53).all() and (triangles == np.trunc(triangles)).all():
            return triangles.astype(np.int64)
    found = []
    for row, line in enumerate(lines):
        corners = _corners(line.split())
        if corners is None:
            text = line.decode("latin-1").strip()[:60]
            raise DataError(f"{path}: face {row} is not a count of 3 or more and as many vertices: {text}")
        found += [(corners[0], b, c) for b, c in pairwise(corners[1:])]
    return np.array(found, dtype=np.int64)


def _corners(words: list[bytes]) -> list[int] | None:
    """The vertices of a face; None if they are not whole numbers, and as many as it says."""
    count = int(words[0]) if re.fullmatch(rb"\d{1,9}", words[0]) else 0
    corners = words[1 : 1 + count]
    if count < 3 or len(corners) < count or not all(re.fullmatch(rb"[+-]?\d{1,18}", word) for word in corners):
        return None
    return [int(word) for word in corners]


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
