"""PLY: the vertices of a polygon file, and coloured clouds that any viewer opens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pointlift.data.formats.text import ascii_table
from pointlift.errors import DataError
from pointlift.files import write_atomically

_TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass
class _Element:
    """One element of a header: its name, how many there are, and name and type of each property; None for a list."""

    name: str
    count: int
    properties: list[tuple[str, str | None]] = field(default_factory=list)
    lists: tuple[str, str] | None = None  # types of the length and of the entries of its last list

    def dtype(self, order: str, where: str) -> np.dtype:
        """One entry of a binary file."""
        for name, kind in self.properties:
            if kind is None:
                raise DataError(f"{where}: the property '{name}' of '{self.name}' is a list, which a cloud cannot have")
        try:
            return np.dtype([(name, order + str(kind)) for name, kind in self.properties])
        except ValueError as error:
            raise DataError(f"{where}: two properties of '{self.name}' have the same name ({error})") from error


def parse_ply(data: bytes, path: Path) -> dict[str, np.ndarray]:
    """The properties of the vertices by name, each (N,) in the file's own type.

    ASCII and both binary orders are understood; elements other than ``vertex`` are passed over.

    Args:
        data: the content of the file.
        path: its name, for messages.

    Raises:
        DataError: the file is no PLY, is damaged or truncated, or has no vertices.
    """
    end = data.find(b"\nend_header")
    newline = data.find(b"\n", end + 1)
    if not data.startswith(b"ply") or end < 0 or newline < 0:
        raise DataError(f"{path}: this is not a PLY file: it must begin with 'ply' and have a line 'end_header'")
    form, elements = _header(data[:end].decode("latin-1"), path)
    body = memoryview(data)[newline + 1 :]
    before: list[_Element] = []
    for element in elements:
        if element.name == "vertex":
            read = _ascii if form == "ascii" else _binary
            return read(body, before, element, form, path)
        before.append(element)
    found = ", ".join(element.name for element in elements) or "none"
    raise DataError(f"{path}: the PLY file has no element 'vertex'; its elements are: {found}")


def parse_ply_faces(data: bytes, path: Path) -> np.ndarray:
    """The triangles of a mesh (F, 3) int64, as numbers of vertices; elements between vertices and faces are not read.

    Args:
        data: the content of the file.
        path: its name, for messages.

    Raises:
        DataError: the file is no PLY, is damaged or truncated, or has no faces or faces other than triangles.
    """
    vertices = len(next(iter(parse_ply(data, path).values())))
    end = data.find(b"\nend_header")
    form, elements = _header(data[:end].decode("latin-1"), path)
    names = [element.name for element in elements]
    if "face" not in names or elements[names.index("face")].count == 0:
        raise DataError(f"{path}: the mesh has no faces")
    face, before = elements[names.index("face")], elements[: names.index("face")]
    if len(face.properties) != 1 or face.lists is None:
        raise DataError(f"{path}: each face must have one property, the list of its vertices")
    body = memoryview(data)[data.find(b"\n", end + 1) + 1 :]
    if form == "ascii":
        rows = [line for line in bytes(body).splitlines() if line.strip()][sum(element.count for element in before) :]
        table = ascii_table(rows, face.count, 4, path)
        counts, triangles = table[:, 0], table[:, 1:].astype(np.int64)
    else:
        order = _ORDERS[form]
        skipped = sum(element.count * element.dtype(order, str(path)).itemsize for element in before)
        dtype = np.dtype([("count", order + face.lists[0]), ("vertices", order + face.lists[1], (3,))])
        if len(body) < skipped + face.count * dtype.itemsize:
            raise DataError(
                f"{path}: the file is truncated in its {face.count} faces, or not all of them are triangles"
            )
        table = np.frombuffer(body[skipped : skipped + face.count * dtype.itemsize], dtype)
        counts, triangles = table["count"], table["vertices"].astype(np.int64)
    if (counts != 3).any():
        raise DataError(f"{path}: face {int(np.flatnonzero(counts != 3)[0])} is not a triangle")
    if triangles.min() < 0 or triangles.max() >= vertices:
        raise DataError(f"{path}: a face names vertex {triangles.max()}, the mesh has {vertices} vertices")
    return triangles


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


def _header(text: str, path: Path) -> tuple[str, list[_Element]]:
    """The format and the elements."""
    form = ""
    elements: list[_Element] = []
    for line in text.split("\n")[1:]:  # not splitlines: a comment may hold anything
        words = line.split()
        try:
            if not words or words[0] in ("comment", "obj_info"):
                continue
            if words[0] == "format":
                form = words[1]
            elif words[0] == "element":
                elements.append(_Element(words[1], _count(words[2])))
            elif words[0] == "property":
                kind = None if words[1] == "list" else _TYPES[words[1]]
                elements[-1].properties.append((words[-1], kind))
                if kind is None:
                    elements[-1].lists = _TYPES[words[2]], _TYPES[words[3]]
            else:
                raise ValueError
        except (IndexError, KeyError, ValueError) as error:
            raise DataError(f"{path}: the line '{line.strip()[:60]}' of the PLY header is not understood") from error
    if form != "ascii" and form not in _ORDERS:
        known = ", ".join(["ascii", *_ORDERS])
        raise DataError(f"{path}: the format of the PLY file is '{form}'; it must be one of {known}")
    return form, elements


def _count(word: str) -> int:
    count = int(word)
    if count < 0:
        raise ValueError
    return count


def _binary(body: memoryview, before: list[_Element], vertex: _Element, form: str, path: Path) -> dict[str, np.ndarray]:
    order = _ORDERS[form]
    if not vertex.properties:
        raise DataError(f"{path}: the header gives the vertices no properties; x, y and z are needed")
    skipped = sum(element.count * element.dtype(order, str(path)).itemsize for element in before)
    dtype = vertex.dtype(order, str(path))
    needed = skipped + vertex.count * dtype.itemsize
    if len(body) < needed:
        raise DataError(
            f"{path}: the file is truncated: its header promises {vertex.count} vertices in {needed} bytes, but "
            f"{len(body)} bytes follow it"
        )
    table = np.frombuffer(body[skipped:needed], dtype) if vertex.count else np.empty(0, dtype)
    return {name: table[name].astype(table[name].dtype.newbyteorder("=")) for name in table.dtype.names or ()}


def _ascii(body: memoryview, before: list[_Element], vertex: _Element, form: str, path: Path) -> dict[str, np.ndarray]:
    dtype = vertex.dtype("=", str(path))
    rows = [line for line in bytes(body).splitlines() if line.strip()][sum(element.count for element in before) :]
    table = ascii_table(rows, vertex.count, len(vertex.properties), path)
    return {name: table[:, column].astype(dtype[name]) for column, name in enumerate(dtype.names or ())}
