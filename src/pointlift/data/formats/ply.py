"""PLY: the vertices and triangles of a polygon file, and coloured clouds that any viewer opens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pointlift.data.formats.ply_body import entries
from pointlift.data.formats.ply_header import parse_header
from pointlift.errors import DataError
from pointlift.files import write_atomically

_CORNERS = ("vertex_indices", "vertex_index")


def parse_ply(data: bytes, path: Path) -> dict[str, np.ndarray]:
    """The properties of the vertices by name, each (N,) in the file's own type; lists are passed over.

    ASCII and both binary orders are understood; elements other than ``vertex`` are passed over.

    Args:
        data: the content of the file.
        path: its name, for messages.

    Raises:
        DataError: the file is no PLY, is damaged or truncated, has no vertices, or a number does not fit its type.
    """
    ply = parse_header(data, path)
    place = ply.place("vertex")
    if place is None:
        found = ", ".join(element.name for element in ply.elements) or "none"
        raise DataError(f"{path}: the PLY file has no element 'vertex'; its elements are: {found}")
    if not ply.elements[place].properties:
        raise DataError(f"{path}: the header gives the vertices no properties; x, y and z are needed")
    return entries(ply, place).columns


def parse_ply_faces(data: bytes, path: Path) -> np.ndarray:
    """The triangles of a mesh (F, 3) int64, as numbers of vertices.

    Args:
        data: the content of the file.
        path: its name, for messages.

    Raises:
        DataError: the file is no PLY, is damaged or truncated, or has no faces or faces other than triangles.
    """
    ply = parse_header(data, path)
    place, corners = ply.place("face"), ply.place("vertex")
    if corners is None or place is None or ply.elements[place].count == 0:
        raise DataError(f"{path}: the mesh has no faces")
    lists = [one.name for one in ply.elements[place].lists]
    named = [name for name in lists if name in _CORNERS] or lists
    if len(named) != 1:
        raise DataError(f"{path}: each face must have one list of its vertices, called {' or '.join(_CORNERS)}")
    lengths, values = entries(ply, place).lists[named[0]]
    if (lengths != 3).any():
        raise DataError(f"{path}: face {int(np.flatnonzero(lengths != 3)[0])} is not a triangle")
    count = ply.elements[corners].count
    if values.dtype.kind == "f" or values.min() < 0 or values.max() >= count:
        raise DataError(f"{path}: a face names vertex {values.max()}, the mesh has {count} vertices")
    return values.reshape(-1, 3).astype(np.int64)


def write_ply(
    path: Path,
    points: np.ndarray,
    colors: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    comments: Sequence[str] = (),
) -> None:
    """Write a cloud as binary little-endian PLY, complete or not at all.

    Args:
        path: the file.
        points: (N, 3) metres; stored as float32 ``x y z``.
        colors: (N, 3) uint8 RGB; stored as ``red green blue``.
        labels: (N,) integers; stored as int32 ``label``.
        comments: lines of the header; what is not ASCII is escaped.

    Raises:
        ValueError: shapes do not agree, or colours are not uint8.
        CheckpointError: the file cannot be written.
    """
    columns = [(name, "f4", points[:, axis]) for axis, name in enumerate("xyz")]
    if colors is not None:
        if colors.dtype != np.uint8 or colors.shape != (len(points), 3):
            raise ValueError(f"colors must be uint8 ({len(points)}, 3), not {colors.dtype} {colors.shape}")
        columns += [(name, "u1", colors[:, axis]) for axis, name in enumerate(("red", "green", "blue"))]
    if labels is not None:
        if labels.shape != (len(points),):
            raise ValueError(f"labels must be ({len(points)},), not {labels.shape}")
        columns.append(("label", "i4", labels))
    vertices = np.empty(len(points), [(name, "<" + kind) for name, kind, _ in columns])
    for name, _, values in columns:
        vertices[name] = values
    names = {"f4": "float", "u1": "uchar", "i4": "int"}
    lines = ["ply", "format binary_little_endian 1.0"]
    lines += [f"comment {' '.join(comment.split())}" for comment in comments]
    lines += [f"element vertex {len(points)}", *(f"property {names[kind]} {name}" for name, kind, _ in columns)]
    header = "\n".join([*lines, "end_header", ""]).encode("ascii", "backslashreplace")
    write_atomically(path, header + vertices.tobytes())
