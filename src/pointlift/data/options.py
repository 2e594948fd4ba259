"""Options of data sets, checked where these are built by hand and not from a recipe."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from pointlift.errors import DataError


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
    """Where a data set keeps what it makes: ``root``, or ``~/.cache/pointlift/DATASET``; a `DataError` if a file is."""
    folder = Path.home() / ".cache" / "pointlift" / dataset if root is None else Path(root).expanduser()
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: this is a file; root is the folder in which '{dataset}' keeps what it makes")
    return folder
