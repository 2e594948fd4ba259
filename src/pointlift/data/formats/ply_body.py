"""The entries of the elements of a PLY file: one column for each property, and the values of its lists."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

from pointlift.data.formats.ply_header import Element, Ply
from pointlift.data.formats.text import ascii_table, fitted
from pointlift.errors import DataError

Lists = dict[str, tuple[np.ndarray, np.ndarray]]


class Entries(NamedTuple):
    """All entries of one element.

    Args:
        columns: each property that is no list, (N,) in its own type.
        lists: of each that is one, the length of every list (N,) and the values of all of them, one list after the
            other.
    """

    columns: dict[str, np.ndarray]
    lists: Lists


def entries(ply: Ply, place: int) -> Entries:
    """What the file has of its element number ``place``.

    Raises:
        DataError: the file is truncated there or before, or a number does not fit its type.
    """
    before, element = ply.elements[:place], ply.elements[place]
    if ply.order is None:
        rows = [line for line in ply.body.splitlines() if line.strip()]
        return _ascii(ply, element, rows[sum(one.count for one in before) :])
    start = 0
    for one in before:
        start = _binary(ply, one, start)[1]
    return _binary(ply, element, start)[0]


def _binary(ply: Ply, element: Element, start: int) -> tuple[Entries, int]:
    """The entries that begin at a byte of the body, and the byte after them."""
    lists = element.lists
    lengths = {0}
    if lists and element.count:
        found = _walk(ply, Element(element.name, 1, element.properties), start)[0].lists
        lengths = {int(length[0]) for length, _ in found.values()}
    if len(lengths) == 1:  # mostly, all lists are equally long
        length = lengths.pop()
        dtype = element.dtype(ply.order or "=", ply.path, length)
        end = start + element.count * dtype.itemsize
        if not lists and end > len(ply.body):
            raise _truncated(ply, element, end)
        if end <= len(ply.body):
            table = np.frombuffer(ply.body[start:end], dtype) if end > start else np.empty(0, dtype)
            if all((table[f"{one.name} length"] == length).all() for one in lists):
                return _columns(element, table, length), end
    return _walk(ply, element, start)


def _columns(element: Element, table: np.ndarray, length: int) -> Entries:
    columns = {one.name: _native(table[one.name]) for one in element.properties if one.length is None}
    every = np.full(len(table), length)
    return Entries(columns, {one.name: (every, _native(table[one.name]).reshape(-1)) for one in element.lists})


def _native(values: np.ndarray) -> np.ndarray:
    return values.astype(values.dtype.newbyteorder("="))


def _walk(ply: Ply, element: Element, start: int) -> tuple[Entries, int]:
    """As `_binary`, entry by entry, where lists differ in length."""
    order = ply.order or "="
    found: dict[str, list[float]] = {one.name: [] for one in element.properties}
    lengths: dict[str, list[int]] = {one.name: [] for one in element.lists}
    place = start
    for _ in range(element.count):
        for one in element.properties:
            count = 1
            try:
                if one.length is not None:
                    (count,) = struct.unpack_from(order + _CODES[one.length], ply.body, place)
                    place += int(one.length[1:])
                    lengths[one.name].append(count)
                    if count < 0:
                        raise DataError(f"{ply.path}: a list '{one.name}' of '{element.name}' has the length {count}")
                size = count * int(one.kind[1:])
                if place + size > len(ply.body):
                    raise _truncated(ply, element, place + size)
                found[one.name] += struct.unpack_from(f"{order}{count}{_CODES[one.kind]}", ply.body, place)
            except struct.error as error:
                raise _truncated(ply, element, place + 1) from error
            place += size
    return _entries(element, found, lengths), place


_CODES = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "f4": "f", "f8": "d"}


def _entries(element: Element, found: dict[str, list[float]], lengths: dict[str, list[int]]) -> Entries:
    arrays = {one.name: np.array(found[one.name], one.kind) for one in element.properties}
    lists = {name: (np.array(counts, np.int64), arrays.pop(name)) for name, counts in lengths.items()}
    return Entries(arrays, lists)


def _truncated(ply: Ply, element: Element, needed: int) -> DataError:
    return DataError(
        f"{ply.path}: the file is truncated: its header promises {element.count} of '{element.name}' in {needed} "
        f"bytes, but {len(ply.body)} bytes follow it"
    )


def _ascii(ply: Ply, element: Element, rows: list[bytes]) -> Entries:
    """The entries in the first of these rows."""
    if not element.lists:
        element.dtype("=", ply.path)  # names that stand twice
        table = ascii_table(rows, element.count, len(element.properties), ply.path)
        columns = zip(element.properties, table.T, strict=True)
        return Entries({one.name: fitted(column, one.kind, one.name, ply.path) for one, column in columns}, {})
    if len(rows) < element.count:
        raise DataError(
            f"{ply.path}: the file is truncated: its header promises {element.count} of '{element.name}', but "
            f"{len(rows)} rows are left"
        )
    found: dict[str, list[float]] = {one.name: [] for one in element.properties}
    lengths: dict[str, list[int]] = {one.name: [] for one in element.lists}
    for number, row in enumerate(rows[: element.count]):
        try:
            _read_row(element, row.split(), found, lengths)
        except (ValueError, IndexError) as error:
            text = row.decode("latin-1").strip()[:60]
            raise DataError(
                f"{ply.path}: row {number} of '{element.name}' is not as the header says: {text}"
            ) from error
    for one in element.properties:
        values = np.array(found[one.name], np.float64)
        each = "row" if one.length is None else "value"
        found[one.name] = fitted(values, one.kind, one.name, ply.path, each).tolist()
    return _entries(element, found, lengths)


def _read_row(
    element: Element, words: list[bytes], found: dict[str, list[float]], lengths: dict[str, list[int]]
) -> None:
    place = 0
    for one in element.properties:
        count = 1
        if one.length is not None:
            count = int(words[place])
            place += 1
            lengths[one.name].append(count)
        if not 0 <= count <= len(words) - place:
            raise ValueError
        found[one.name] += map(float, words[place : place + count])
        place += count
    if place != len(words):
        raise ValueError
