"""NPY: an array of numbers as NumPy saves it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pointlift.errors import DataError


def parse_npy(data: bytes, path: Path, feature_names: Sequence[str]) -> dict[str, np.ndarray]:
    """The columns x, y, z and those of ``feature_names``, in this order, each (N,) in the file's own type; no pickle.

    Args:
        data: the content of the file.
        path: its name, for messages.
        feature_names: what the columns after x, y, z are.

    Raises:
        DataError: the file is damaged, is a pickle, or is not one array with as many columns.
    """
    try:
        table = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise DataError(f"{path}: the array cannot be read, or is a pickle, which is never loaded ({error})") from error
    needed = ("x", "y", "z", *feature_names)
    if not isinstance(table, np.ndarray) or table.dtype.kind not in "fiu":
        raise DataError(f"{path}: the file must hold one array of numbers (N, {len(needed)})")
    if table.ndim != 2 or table.shape[1] != len(needed):
        raise DataError(
            f"{path}: the student needs an array (N, {len(needed)}) of {', '.join(needed)}, but the file has "
            f"{table.shape}"
        )
    return {name: table[:, column] for column, name in enumerate(needed)}
