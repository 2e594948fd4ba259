"""Options of data sets, checked where these are built by hand and not from a recipe."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path

from pointlift.errors import DataError

_GENERATED = re.compile(r"v\d+-(train|val|test|teacher)-seed\d")
"""How the folders in a cache of generated data begin: version of the generator, split and seed."""


def one_of(dataset: str, key: str, value: object, allowed: Iterable[object]) -> None:
    """Raise a `DataError` unless an option's value is one of those allowed."""
    values = list(allowed)
    if value not in values:
        names = [str(one) for one in values]
        close = difflib.get_close_matches(str(value), names, n=1, cutoff=0.5)
        meant = f"; did you mean '{close[0]}'?" if close else ""
        raise DataError(f"{dataset}: {key} must be one of {', '.join(names)}, not '{value}'{meant}")


def at_least(dataset: str, key: str, value: int | None, low: int) -> None:
    """Raise a `DataError` unless an option's value is None or at least this."""
    if value is not None and value < low:
        raise DataError(f"{dataset}: {key} must be at least {low}, not {value}")


def within(dataset: str, key: str, value: int, low: int, high: int) -> int:
    """The value of an option; a `DataError` unless it is from ``low`` to ``high``."""
    if not low <= value <= high:
        raise DataError(f"{dataset}: {key} must be from {low} to {high}, not {value}")
    return value


def image_sides(dataset: str, size: tuple[int, int]) -> tuple[int, int]:
    """An option ``image_size``, (height, width); a `DataError` unless both are from 16 to 4096."""
    height, width = (within(dataset, "image_size", side, 16, 4096) for side in size)
    return height, width


def cache_folder(dataset: str, root: Path | None) -> Path:
    """Where a generated data set keeps what it makes: ``root``, or ``~/.cache/pointlift/DATASET``.

    It may be absent, empty, or have been written by such a data set before; names that begin with a dot do not count.

    Raises:
        DataError: it is a file, or a folder of other things, such as somebody's recordings.
    """
    folder = Path.home() / ".cache" / "pointlift" / dataset if root is None else Path(root).expanduser()
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: this is a file; root is the folder in which '{dataset}' keeps what it makes")
    try:
        names = sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise DataError(f"{folder}: the folder cannot be read ({error.strerror})") from error
    others = [name for name in names if not name.startswith(".")]
    if others and not any(_GENERATED.match(name) for name in others):
        raise DataError(
            f"{folder}: the folder holds other things, such as '{others[0]}'; '{dataset}' generates its data and keeps "
            "it in its root: give an empty folder or one of its own, or leave it out"
        )
    return folder
