"""The header of a PLY file: its elements, and what the entries of each are."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pointlift.errors import DataError

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


class Property(NamedTuple):
    """One property: its name, the type of its values, and for a list that of its length."""

    name: str
    kind: str
    length: str | None = None


@dataclass
class Element:
    """One element of a header: its name, how many there are, and its properties."""

    name: str
    count: int
    properties: list[Property] = field(default_factory=list)

    @property
    def lists(self) -> list[Property]:
        """Those of its properties that are lists."""
        return [one for one in self.properties if one.length is not None]

    def dtype(self, order: str, path: Path, entries: int = 0) -> np.dtype:
        """One entry of a binary file in which every list has this many values; the length of one is ``NAME length``."""
        parts: list[tuple[str, str] | tuple[str, str, tuple[int]]] = []
        for name, kind, length in self.properties:
            if length is None:
                parts.append((name, order + kind))
            else:
                parts += [(f"{name} length", order + length), (name, order + kind, (entries,))]
        try:
            return np.dtype(parts)
        except ValueError as error:
            raise DataError(f"{path}: two properties of '{self.name}' have the same name ({error})") from error


class Ply(NamedTuple):
    """A PLY file: its elements in their order, what follows the header, and ``<`` or ``>``; None for ASCII."""

    elements: list[Element]
    body: bytes
    order: str | None
    path: Path

    def place(self, name: str) -> int | None:
        """Which element has this name; None if there is none."""
        return next((number for number, one in enumerate(self.elements) if one.name == name), None)


def parse_header(data: bytes, path: Path) -> Ply:
    """The content of a PLY file, its header understood.

    Raises:
        DataError: the file is no PLY, or its header is damaged.
    """
    end = data.find(b"\nend_header")
    newline = data.find(b"\n", end + 1)
    if not data.startswith(b"ply") or end < 0 or newline < 0:
        raise DataError(f"{path}: this is not a PLY file: it must begin with 'ply' and have a line 'end_header'")
    form = ""
    elements: list[Element] = []
    for line in data[:end].decode("latin-1").split("\n")[1:]:  # not splitlines: a comment may hold anything
        words = line.split()
        try:
            if not words or words[0] in ("comment", "obj_info"):
                continue
            if words[0] == "format":
                form = words[1]
            elif words[0] == "element":
                elements.append(Element(words[1], _count(words[2])))
            elif words[0] == "property":
                elements[-1].properties.append(_property(words))
            else:
                raise ValueError
        except (IndexError, KeyError, ValueError) as error:
            raise DataError(f"{path}: the line '{line.strip()[:60]}' of the PLY header is not understood") from error
    if form != "ascii" and form not in _ORDERS:
        known = ", ".join(["ascii", *_ORDERS])
        raise DataError(f"{path}: the format of the PLY file is '{form[:40]}'; it must be one of {known}")
    return Ply(elements, data[newline + 1 :], _ORDERS.get(form), path)


def _property(words: list[str]) -> Property:
    if words[1] != "list":
        return Property(words[2], _TYPES[words[1]])
    length = _TYPES[words[2]]
    if length[0] == "f":
        raise ValueError
    return Property(words[4], _TYPES[words[3]], length)


def _count(word: str) -> int:
    count = int(word)
    if count < 0:
        raise ValueError
    return count
