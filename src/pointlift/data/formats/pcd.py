"""PCD: the fields of a cloud of the Point Cloud Library, in ASCII, binary or compressed binary."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from pointlift.data.formats.lzf import decompress
from pointlift.data.formats.text import ascii_table, fitted
from pointlift.errors import DataError

_KINDS = {
    **{("F", str(size)): f"<f{size}" for size in (4, 8)},
    **{(kind, str(size)): f"<{kind.lower()}{size}" for kind in "UI" for size in (1, 2, 4, 8)},
}
_PADDING = "_"
_MOST_VALUES = 10_000  # of one point; descriptors have hundreds


class _Field(NamedTuple):
    """Name, type and number of values of one field."""

    name: str
    kind: np.dtype
    values: int

    @property
    def size(self) -> int:
        """Bytes of one point."""
        return self.kind.itemsize * self.values


class _Header(NamedTuple):
    """What a file says of itself: its fields, points, and kind of data."""

    fields: list[_Field]
    points: int
    data: str


def parse_pcd(data: bytes, path: Path) -> dict[str, np.ndarray]:
    """The fields of a cloud by name, each (N,) in the file's own type; padding is left out.

    The values of a field that has several are ``NAME_0``, ``NAME_1``, … Points without a return are NaN, as stored.

    Args:
        data: the content of the file.
        path: its name, for messages.

    Raises:
        DataError: the file is no PCD, is damaged or truncated, or a number does not fit the type of its field.
    """
    header, body = _split(data, path)
    readers = {"ascii": _ascii, "binary": _binary, "binary_compressed": _compressed}
    if header.data not in readers:
        raise DataError(
            f"{path}: the data of the PCD file are '{header.data}'; they must be one of {', '.join(readers)}"
        )
    columns = readers[header.data](header, body, path)
    found: dict[str, np.ndarray] = {}
    for field, values in zip(header.fields, columns, strict=True):
        names = [field.name] if field.values == 1 else [f"{field.name}_{number}" for number in range(field.values)]
        for number, name in enumerate(() if field.name == _PADDING else names):
            if name in found:
                raise DataError(f"{path}: two fields of the PCD file are called '{name}'")
            found[name] = values[:, number]
    return found


def _ascii(header: _Header, body: bytes, path: Path) -> list[np.ndarray]:
    """The values (N, COUNT) of every field."""
    rows = [row for row in body.splitlines() if row.strip()]
    table = ascii_table(rows, header.points, sum(field.values for field in header.fields), path)
    parts = np.split(table, np.cumsum([field.values for field in header.fields])[:-1], axis=1)
    return [fitted(part, field.kind, field.name, path) for field, part in zip(header.fields, parts, strict=True)]


def _binary(header: _Header, body: bytes, path: Path) -> list[np.ndarray]:
    """The values (N, COUNT) of every field."""
    # Numbers for names: padding fields are all called "_".
    dtype = np.dtype([(str(number), field.kind, (field.values,)) for number, field in enumerate(header.fields)])
    needed = header.points * dtype.itemsize
    if len(body) < needed:
        raise DataError(
            f"{path}: the file is truncated: its header promises {header.points} points in {needed} bytes, but "
            f"{len(body)} bytes follow it"
        )
    table = np.frombuffer(body[:needed], dtype)
    return [table[name] for name in dtype.names or ()]


def _compressed(header: _Header, body: bytes, path: Path) -> list[np.ndarray]:
    """The values (N, COUNT) of every field, which follow each other field by field, mostly without the padding."""
    if len(body) < 8:
        raise DataError(f"{path}: the file is truncated: the sizes of its compressed data are missing")
    packed_size, size = np.frombuffer(body[:8], "<u4").tolist()
    if len(body) < 8 + packed_size:
        raise DataError(
            f"{path}: the file is truncated: it promises {packed_size} compressed bytes, but {len(body) - 8} follow"
        )
    widths = [sum(field.size for field in header.fields if padded or field.name != _PADDING) for padded in (0, 1)]
    if size not in (header.points * width for width in widths):
        raise DataError(
            f"{path}: the compressed data are {size} bytes, but the header promises {header.points} points of "
            f"{widths[0]} bytes"
        )
    try:
        raw = decompress(body[8 : 8 + packed_size], size)
    except ValueError as error:
        raise DataError(f"{path}: the compressed data are damaged: {error}") from error
    padded = size != header.points * widths[0]
    columns, start = [], 0
    for field in header.fields:
        stored = header.points * field.size if padded or field.name != _PADDING else 0
        columns.append(np.frombuffer(raw[start : start + stored], field.kind).reshape(-1, field.values))
        start += stored
    return columns


def _split(data: bytes, path: Path) -> tuple[_Header, bytes]:
    """The header, and what follows its last line."""
    lines: dict[str, list[str]] = {}
    start = 0
    while "DATA" not in lines:
        newline = data.find(b"\n", start)
        if newline < 0:
            raise DataError(f"{path}: this is not a PCD file: it has no line that begins with DATA")
        words = data[start:newline].decode("latin-1").split()
        if len(words) > 1 and not words[0].startswith("#"):
            lines[words[0].upper()] = words[1:]
        start = newline + 1
    try:
        return _header(lines), data[start:]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: the PCD header is damaged: FIELDS, SIZE, TYPE, COUNT and POINTS must be there and agree"
        ) from error


def _header(lines: dict[str, list[str]]) -> _Header:
    names = lines["FIELDS"] if "FIELDS" in lines else lines["COLUMNS"]  # as versions before 0.6 say
    counts = [int(count) for count in lines.get("COUNT", ["1"] * len(names))]
    entries = zip(names, lines["TYPE"], lines["SIZE"], counts, strict=True)
    fields = [_Field(name, np.dtype(_KINDS[kind.upper(), size]), count) for name, kind, size, count in entries]
    sides = [int(lines[key][0]) for key in ("WIDTH", "HEIGHT")] if "WIDTH" in lines and "HEIGHT" in lines else None
    points = int(lines["POINTS"][0]) if "POINTS" in lines or sides is None else sides[0] * sides[1]
    if min(counts) < 1 or sum(counts) > _MOST_VALUES or points < 0:
        raise ValueError
    if sides is not None and (min(sides) < 0 or sides[0] * sides[1] != points):
        raise ValueError
    return _Header(fields, points, lines["DATA"][0].lower())
