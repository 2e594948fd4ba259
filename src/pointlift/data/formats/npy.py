"""NPY: an array of numbers as NumPy saves it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pointlift.errors import DataError


def parse_npy(data: bytes, path: Path, feature_names: Sequence[str], by_number: bool = False) -> dict[str, np.ndarray]:
    """The columns of an array, each (N,) in the file's own type; no pickle.

    An array of records has the names of its fields. One of numbers is x, y, z and ``feature_names``, in this order.

    Args:
        data: the content of the file.
        path: its name, for messages.
        feature_names: what the columns after x, y, z are.
        by_number: take an array of any width, whose columns after x, y, z are called 3, 4, …

    Raises:
        DataError: the file is damaged, is a pickle, or is not one array with as many columns.
    """
    try:
        table = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # a damaged header raises whatever evaluating it does: SyntaxError, TypeError, …
        reason = str(error).split("\n")[0][:200]
        what = "the array cannot be read, or is a pickle, which is never loaded"
        raise DataError(f"{path}: {what} ({reason})") from error
    needed = ("x", "y", "z", *feature_names)
    if isinstance(table, np.ndarray) and table.dtype.names and table.ndim in (1, 2):
        fields = {name: table[name].reshape(-1) for name in table.dtype.names if not table.dtype[name].shape}
        return {name: values for name, values in fields.items() if values.dtype.kind in "fiu"}
    if not isinstance(table, np.ndarray) or table.dtype.kind not in "fiu":
        raise DataError(f"{path}: the file must hold one array of numbers (N, {len(needed)})")
    if by_number and table.ndim == 2 and table.shape[1] >= 3:
        return dict(zip((*"xyz", *map(str, range(3, table.shape[1]))), table.T, strict=True))
    if table.ndim != 2 or table.shape[1] != len(needed):
        raise DataError(
            f"{path}: the student needs an array (N, {len(needed)}) of {', '.join(needed)}, but the file has "
            f"{table.shape}; with a field map, such as intensity=3, columns are called by their numbers"
        )
    return {name: table[:, column] for column, name in enumerate(needed)}
