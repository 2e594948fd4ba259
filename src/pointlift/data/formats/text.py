"""Tables of numbers in text, as ASCII files of points have them."""

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
        except ValueError as error:
            text = row.decode("latin-1").strip()[:60]
            raise DataError(f"{path}: row {number} is not {columns} numbers: {text}") from error
    return table
