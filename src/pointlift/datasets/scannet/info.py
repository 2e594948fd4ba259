"""``ID.txt`` of a scan: the size of the images that its intrinsics belong to, and what turns its mesh upright."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pointlift.data.formats.matrices import rigid
from pointlift.errors import DataError
from pointlift.files import read_bytes


def read_info(folder: Path) -> dict[str, str]:
    """The rows ``key = value`` of ``ID.txt``; empty if there is none."""
    path = _file(folder)
    if not path.is_file():
        return {}
    rows = (line.partition("=") for line in read_bytes(path).decode("latin-1").splitlines())
    return {key.strip(): value.strip() for key, _, value in rows}


def stated_size(folder: Path, camera: str) -> tuple[int, int] | None:
    """(height, width) of the images as recorded by the ``color`` or ``depth`` camera; None if it is not said."""
    info = read_info(folder)
    values = [info.get(f"{camera}{side}") for side in ("Height", "Width")]
    if None in values:
        return None
    sides = [int(value) if value and value.isdecimal() and len(value) < 6 else 0 for value in values]
    if min(sides) < 1:
        raise DataError(f"{_file(folder)}: {camera}Height and {camera}Width are not numbers of pixels: {values}")
    return sides[0], sides[1]


def axis_alignment(folder: Path) -> np.ndarray:
    """Upright room from mesh (4, 4): the ``axisAlignment`` of ``ID.txt``; the identity where there is none."""
    value = read_info(folder).get("axisAlignment")
    if value is None:
        return np.eye(4)
    where = f"{_file(folder)}: axisAlignment"
    try:
        numbers = [float(word) for word in value.split()]
    except ValueError as error:
        raise DataError(f"{where} is not a row of numbers") from error
    return rigid(numbers, where)


def _file(folder: Path) -> Path:
    return folder / f"{folder.name}.txt"
