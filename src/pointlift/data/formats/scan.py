"""A scan of one's own, from a file: points and the features that a student needs, without images.

This is the one door to files of clouds: a new kind is a module beside this one and a line in `READERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pointlift.data.formats.npy import parse_npy
from pointlift.data.formats.pcd import parse_pcd
from pointlift.data.formats.ply import parse_ply
from pointlift.data.formats.rows import parse_kitti, parse_nuscenes
from pointlift.data.normals import normal_columns
from pointlift.data.scene import Scene
from pointlift.errors import DataError
from pointlift.files import read_bytes

Columns = dict[str, np.ndarray]

READERS: dict[str, Callable[[bytes, Path, Sequence[str]], Columns]] = {
    ".pcd.bin": lambda data, path, _: parse_nuscenes(data, path),
    ".bin": lambda data, path, _: parse_kitti(data, path),
    ".npy": parse_npy,
    ".ply": lambda data, path, _: parse_ply(data, path),
    ".pcd": lambda data, path, _: parse_pcd(data, path),
}
"""What reads the columns of a file, by its suffix, the longest first where one ends another."""
FARTHEST = 1e5
"""Metres; float32 still resolves a centimetre there, and no sensor sees as far."""
_ALIASES = {
    "intensity": ("intensity", "scalar_intensity", "reflectance", "scalar_reflectance", "reflectivity"),
    "red": ("red", "r", "diffuse_red"),
    "green": ("green", "g", "diffuse_green"),
    "blue": ("blue", "b", "diffuse_blue"),
}
_UNIT = tuple(_ALIASES)


def suffix_of(path: Path) -> str:
    """The known suffix of a scan's name; a `DataError` lists the known ones if there is none."""
    for suffix in READERS:
        if path.name.lower().endswith(suffix):
            return suffix
    raise DataError(f"{path}: a scan must be one of {', '.join(sorted(READERS))}, not '{path.suffix}'")


def read_scan(path: Path | str, feature_names: Sequence[str] = (), *, intensity_scale: float | None = None) -> Scene:
    """One scan as a Scene without views.

    ======== =====================================================================================================
    suffix   content
    ======== =====================================================================================================
    .bin     float32 x, y, z, intensity of each point, as in KITTI
    .pcd.bin float32 x, y, z, intensity (0 to 255), ring, as in nuScenes
    .npy     an array (N, 3 + F) of numbers: x, y, z and the F features in the order of ``feature_names``; no pickle
    .ply     vertices with x, y, z and columns named as the features: intensity (or scalar_intensity, reflectance,
             reflectivity), red, green, blue, …
    .pcd     fields of the same names, ASCII or uncompressed binary
    ======== =====================================================================================================

    Intensity and colour lie in [0, 1] in a Scene; those stored as 8-bit integers are divided by 255.

    Args:
        path: the file.
        feature_names: what the student needs of each point beside its position, such as ``("intensity",)``.
        intensity_scale: the intensity that stands for 1, where the file's own type does not tell.

    Raises:
        DataError: the file is missing, of another kind, truncated or empty; a value is NaN or infinite; a feature is
            missing or outside [0, 1]; or points lie farther than any sensor sees.
    """
    path = Path(path)
    suffix = suffix_of(path)
    data = read_bytes(path)
    if not data:
        raise DataError(f"{path}: the file is empty, there are no points")
    if intensity_scale is not None and not (0 < intensity_scale < np.inf):
        raise DataError(f"intensity_scale is {intensity_scale:g}; it must be above 0")
    if intensity_scale is None and suffix == ".pcd.bin":
        intensity_scale = 255.0
    columns = READERS[suffix](data, path, feature_names)
    needed = ("x", "y", "z", *feature_names)
    chosen = [_feature(_column(columns, name, needed, path), name, intensity_scale) for name in needed]
    with np.errstate(over="ignore"):  # becomes infinity, which is refused by its row
        table = np.stack(chosen, axis=1).astype(np.float32)
    scene = Scene(
        points=table[:, :3].copy(),
        features=table[:, 3:].copy(),
        id=path.name[: -len(suffix)],
        normal_columns=normal_columns(feature_names),
        files={"points": path, "features": path},
    ).validate()
    _check_ranges(scene, feature_names, path)
    return scene


def _column(columns: Columns, name: str, needed: Sequence[str], path: Path) -> np.ndarray:
    """The column (N,) that holds ``name``, whatever the file calls it."""
    by_name = {key.lower(): values for key, values in columns.items()}
    for alias in _ALIASES.get(name, (name.lower(), f"scalar_{name.lower()}")):
        if alias in by_name:
            return by_name[alias]
    raise DataError(
        f"{path}: '{name}' is missing: the student needs {', '.join(needed)} of every point, but the file has "
        f"{', '.join(columns) or 'nothing'}"
    )


def _feature(column: np.ndarray, name: str, intensity_scale: float | None) -> np.ndarray:
    """One feature (N,) as the student knows it."""
    if name == "intensity" and intensity_scale is not None:
        return column.astype(np.float64) / intensity_scale
    return column / 255.0 if name in _UNIT and column.dtype == np.uint8 else column


def _check_ranges(scene: Scene, feature_names: Sequence[str], path: Path) -> None:
    farthest = float(np.abs(scene.points).max())
    if farthest > FARTHEST:
        raise DataError(
            f"{path}: a coordinate is {farthest:,.0f} m; points must be metres in the sensor's frame, so subtract the "
            "sensor's position from map coordinates"
        )
    for column, name in enumerate(feature_names):
        values = scene.features[:, column]
        wrong = np.flatnonzero((values < 0) | (values > 1))
        if name in _UNIT and len(wrong):
            hint = "intensity_scale=255 divides it" if name == "intensity" else "divide it"
            raise DataError(
                f"{path}: {name} must lie in [0, 1], but goes from {values.min():g} to {values.max():g} (first in row "
                f"{wrong[0]}); {hint} by 255 if it has 8 bits"
            )
