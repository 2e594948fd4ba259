"""PCD: the fields of a cloud of the Point Cloud Library, in ASCII or uncompressed binary."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from pointlift.data.formats.text import ascii_table
from pointlift.errors import DataError

_KINDS = {"F": "f", "U": "u", "I": "i"}


class _Header(NamedTuple):
    """What a file says of itself: names, types and numbers of values of its fields, points, and kind of data."""

    fields: list[str]
    kinds: list[np.dtype]
    counts: list[int]
    points: int
    data: str


def parse_pcd(data: bytes, path: Path) -> dict[str, np.ndarray]:
    """The fields of a cloud by name, each (N,) in the file's own type; fields of several values are left out.

    Args:
        data: the content of the file.
        path: its name, for messages.

    Raises:
        DataError: the file is no PCD, is damaged, truncated or compressed.
    """
    header, body = _split(data, path)
    if header.data == "ascii":
        columns = _ascii(header, body, path)
    elif header.data == "binary":
        columns = _binary(header, body, path)
    else:
        raise DataError(f"{path}: the data of the PCD file are '{header.data}'; save it as 'binary' or 'ascii'")
    fields = zip(header.fields, columns, header.counts, strict=True)
    return {name: column for name, column, count in fields if count == 1}


def _ascii(header: _Header, body: bytes, path: Path) -> list[np.ndarray]:
    """The first value of every field."""
    rows = [row for row in body.splitlines() if row.strip()]
    table = ascii_table(rows, header.points, sum(header.counts), path)
    starts = np.cumsum([0, *header.counts[:-1]])
    return [table[:, start].astype(kind) for start, kind in zip(starts, header.kinds, strict=True)]


def _binary(header: _Header, body: bytes, path: Path) -> list[np.ndarray]:
    """The first value of every field."""
    # Numbers for names: padding fields are all called "_".
    entries = zip(header.kinds, header.counts, strict=True)
    dtype = np.dtype([(str(number), kind, (count,)) for number, (kind, count) in enumerate(entries)])
    needed = header.points * dtype.itemsize
    if len(body) < needed:
        raise DataError(
            f"{path}: the file is truncated: its header promises {header.points} points in {needed} bytes, but "
            f"{len(body)} bytes follow it"
        )
    table = np.frombuffer(body[:needed], dtype)
    return [table[name][:, 0] for name in dtype.names or ()]


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
    fields = lines["FIELDS"]
    counts = [int(count) for count in lines.get("COUNT", ["1"] * len(fields))]
    entries = zip(fields, lines["TYPE"], lines["SIZE"], strict=True)
    kinds = [np.dtype(f"<{_KINDS[kind]}{int(size)}") for _, kind, size in entries]
    points = int(lines["POINTS"][0]) if "POINTS" in lines else int(lines["WIDTH"][0]) * int(lines["HEIGHT"][0])
    if len(counts) != len(fields) or min(counts) < 1 or max(counts) > 10_000 or points < 0:
        raise ValueError
    return _Header(fields, kinds, counts, points, lines["DATA"][0])
