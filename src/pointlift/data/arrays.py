"""Checks of arrays: what is wrong with one is a sentence that names the file and the field."""

from __future__ import annotations

import numpy as np

from pointlift.errors import DataError


def check_array(where: str, name: str, value: np.ndarray, shape: tuple[int, ...], dtype: type) -> None:
    """Raise a `DataError` that begins with ``where`` unless ``value`` has this shape and type and is finite.

    A negative number in the shape is one that nothing fits, called F in the message.
    """
    if not isinstance(value, np.ndarray) or value.shape != shape or value.dtype != dtype:
        wanted = ", ".join("F" if n < 0 else str(n) for n in shape)
        got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise DataError(f"{where}: {name} must be {np.dtype(dtype).name} ({wanted}), not {got}")
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        rows = np.flatnonzero(~np.isfinite(value).reshape(len(value), -1).all(axis=1))
        raise DataError(f"{where}: {name} has {len(rows)} rows with NaN or infinity, the first is row {rows[0]}")
