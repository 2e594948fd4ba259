"""Tables of numbers in text, as ASCII files of points have them, and numbers that must fit their types."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pointlift.errors import DataError


def ascii_table(rows: Sequence[bytes], count: int, columns: int, path: Path) -> np.ndarray:
    """The first ``count`` rows of text as numbers (count, columns) float64; a `DataError` names a row that is wrong."""
    if len(rows) < count:
        raise DataError(
            f"{path}: the file is truncated: its header promises {count} points, but {len(rows)} rows follow it"
        )
    table = np.empty((count, columns))
    for number, row in enumerate(rows[:count]):
        try:
            words = row.split()
            if len(words) != columns:
                raise ValueError
            table[number] = words
        except (ValueError, OverflowError) as error:
            text = row.decode("latin-1").strip()[:60]
            raise DataError(f"{path}: row {number} is not {columns} numbers: {text}") from error
    return table


def fitted(values: np.ndarray, kind: np.dtype | str, name: str, path: Path, each: str = "row") -> np.ndarray:
    """Numbers (N,) or (N, K) as the type that the file gives them; a `DataError` names the first that does not fit it.

    An integer must be whole and within the range of its type; a float must not become infinite. ``each`` is what the
    message calls one of ``values``.
    """
    kind = np.dtype(kind)
    if kind.kind == "f":
        with np.errstate(over="ignore"):
            found = values.astype(kind)
        wrong = np.isinf(found) & np.isfinite(values)
    else:
        limits = np.iinfo(kind)
        # the upper limit is exclusive: float64 rounds that of 64 bits up
        inside = (values >= limits.min) & (values < float(limits.max) + 1)
        wrong = ~inside | (values != np.trunc(values))
        with np.errstate(invalid="ignore"):
            found = np.where(wrong, 0, values).astype(kind)
    if wrong.any():
        row = int(np.flatnonzero(wrong.reshape(len(values), -1).any(axis=1))[0])
        value = values[wrong].flat[0]
        raise DataError(f"{path}: {each} {row}: '{name}' is {value:g}, which does not fit its type {kind.name}")
    return found
