"""The columns of a file of points as features: which column is which, whatever the file calls it, and on what scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pointlift.data.formats.text import fitted
from pointlift.errors import DataError

_ALIASES = {
    "intensity": ("intensity", "scalar_intensity", "reflectance", "scalar_reflectance", "reflectivity"),
    "red": ("red", "r", "diffuse_red"),
    "green": ("green", "g", "diffuse_green"),
    "blue": ("blue", "b", "diffuse_blue"),
    "nx": ("nx", "normal_x", "scalar_nx"),
    "ny": ("ny", "normal_y", "scalar_ny"),
    "nz": ("nz", "normal_z", "scalar_nz"),
}
_PACKED = ("rgb", "rgba")
_NAN = 0x7FC00000  # what text calls nan; colours that are no number have another first byte
_SHIFTS = {"red": 16, "green": 8, "blue": 0}


def feature_column(
    columns: Mapping[str, np.ndarray], name: str, needed: Sequence[str], fields: Mapping[str, str], path: Path
) -> np.ndarray:
    """The column (N,) that holds ``name``, whatever the file calls it; colour may be packed in one.

    Args:
        columns: of the file, by its own names.
        name: what is looked for.
        needed: all that is, for messages.
        fields: what the file calls some of it.
        path: of the file, for messages.

    Raises:
        DataError: no column is called so, or several are that differ in upper and lower case only.
    """
    by_name: dict[str, list[str]] = {}
    for key in columns:
        by_name.setdefault(key.lower(), []).append(key)
    there = ", ".join(columns) or "nothing"
    if name in fields:
        wanted = fields[name]
        if wanted in columns:
            return columns[wanted]
        raise DataError(f"{path}: there is no field '{wanted}' to be {name}; the file has {there}")
    for alias in _ALIASES.get(name, (name.lower(), f"scalar_{name.lower()}")):
        if len(by_name.get(alias, ())) > 1:
            raise DataError(f"{path}: which of {', '.join(by_name[alias])} is {name}? Say it, as in {name}=FIELD")
        if alias in by_name:
            return columns[by_name[alias][0]]
    packed = next((by_name[one][0] for one in _PACKED if one in by_name), None)
    if name in _SHIFTS and packed is not None:
        return _unpacked(columns[packed], _SHIFTS[name], packed, path)
    raise DataError(
        f"{path}: '{name}' is missing: the student needs {', '.join(needed)} of every point, but the file has {there}; "
        f"a field map says which field it is, as in {name}=FIELD"
    )


@np.errstate(invalid="ignore")  # the bits of some NaN raise a flag when they are copied
def as_feature(column: np.ndarray, name: str, intensity_scale: float | None, path: Path) -> np.ndarray:
    """One feature (N,) float32 as the student knows it, NaN and infinity kept."""
    if name == "intensity" and intensity_scale is not None:
        column = column.astype(np.float64) / intensity_scale
    elif name == "intensity" and column.dtype == np.uint8:
        column = column / 255.0
    elif name in _SHIFTS and column.dtype.kind in "iu":
        wide = column.dtype == np.uint16 and column.max(initial=0) > 255
        column = column / (65535.0 if wide else 255.0)
    return fitted(column, "f4", name, path)


@np.errstate(invalid="ignore")
def _unpacked(values: np.ndarray, shift: int, name: str, path: Path) -> np.ndarray:
    """One channel (N,) of colours 0xAARRGGBB, uint8; NaN where a float is no colour.

    Floats hold the colour in their bits, as PCL and Open3D write them; or, in text, as a number.
    """
    if values.dtype.kind == "f":
        whole = (values >= 0) & (values < 2**24) & (values == np.trunc(values))
        if whole.any() and (whole | np.isnan(values)).all() and values[whole].any():
            values, known = np.where(whole, values, 0).astype(np.uint32), whole
            return np.where(known, values >> np.uint32(shift) & np.uint32(255), np.nan) / 255.0
        if values.dtype.itemsize != 4:
            raise DataError(f"{path}: '{name}' must hold colours in the bits of 32, or as whole numbers below 2^24")
        values = values.view(np.uint32)
        if (unknown := values == _NAN).any():
            return np.where(unknown, np.nan, values >> np.uint32(shift) & np.uint32(255)) / 255.0
    elif values.dtype.itemsize < 4:
        raise DataError(f"{path}: '{name}' must have 32 bits to hold red, green and blue, not {values.dtype.name}")
    return (values.astype(np.int64) >> shift & 255).astype(np.uint8)
