"""A scan of one's own, from a file: points and the features that a student needs, without images.

This is the one door to files of clouds: a new kind is a module beside this one and a line in `READERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pointlift.data.formats.columns import as_feature, feature_column
from pointlift.data.formats.npy import parse_npy
from pointlift.data.formats.pcd import parse_pcd
from pointlift.data.formats.ply import parse_ply
from pointlift.data.formats.rows import parse_kitti, parse_nuscenes
from pointlift.data.normals import normal_columns
from pointlift.data.scene import Scene
from pointlift.data.values import check_values
from pointlift.errors import DataError
from pointlift.files import read_bytes

Columns = dict[str, np.ndarray]

READERS: dict[str, Callable[[bytes, Path, Sequence[str], bool], Columns]] = {
    ".pcd.bin": lambda data, path, *_: parse_nuscenes(data, path),
    ".bin": lambda data, path, *_: parse_kitti(data, path),
    ".npy": parse_npy,
    ".ply": lambda data, path, *_: parse_ply(data, path),
    ".pcd": lambda data, path, *_: parse_pcd(data, path),
}
"""What reads the columns of a file, by its suffix, the longest first where one ends another."""


class Scan(NamedTuple):
    """A scan as a Scene, whose ``dropped`` counts the points left out, and the row (N,) of each point in the file."""

    scene: Scene
    rows: np.ndarray


def suffix_of(path: Path) -> str:
    """The known suffix of a scan's name; a `DataError` lists the known ones if there is none."""
    for suffix in READERS:
        if path.name.lower().endswith(suffix):
            return suffix
    raise DataError(f"{path}: a scan must be one of {', '.join(sorted(READERS))}, not '{path.suffix}'")


def read_scan(
    path: Path | str,
    feature_names: Sequence[str] = (),
    *,
    intensity_scale: float | None = None,
    fields: Mapping[str, str] | None = None,
) -> Scene:
    """The scene of `open_scan`."""
    return open_scan(path, feature_names, intensity_scale=intensity_scale, fields=fields).scene


def open_scan(
    path: Path | str,
    feature_names: Sequence[str] = (),
    *,
    intensity_scale: float | None = None,
    fields: Mapping[str, str] | None = None,
) -> Scan:
    """One scan as a Scene without views.

    ======== =====================================================================================================
    suffix   content
    ======== =====================================================================================================
    .bin     float32 x, y, z, intensity of each point, as in KITTI
    .pcd.bin float32 x, y, z, intensity (0 to 255), ring, as in nuScenes
    .npy     an array (N, 3 + F) of numbers: x, y, z and the F features in the order of ``feature_names``; or records
             with named fields; no pickle
    .ply     vertices with x, y, z and columns named as the features: intensity (or scalar_intensity, reflectance,
             reflectivity), red, green, blue, …
    .pcd     fields of the same names, or colour packed in rgb or rgba; ASCII, binary or compressed
    ======== =====================================================================================================

    Intensity and colour lie in [0, 1] in a Scene; intensity of 8-bit integers is divided by 255, and so is colour of
    any integers. Points without a return, which have NaN or infinity in x, y, z or a feature, are left out and counted.

    Args:
        path: the file.
        feature_names: what the student needs of each point beside its position, such as ``("intensity",)``.
        intensity_scale: the intensity that stands for 1, where the file's own type does not tell.
        fields: what the file calls a feature, or x, y or z, where it has a name of its own: ``{"intensity": "i"}``.

    Raises:
        DataError: the file is missing, of another kind, truncated or empty; a feature is missing; or values cannot be
            right (`pointlift.data.values`).
    """
    path = Path(path)
    suffix = suffix_of(path)
    needed = ("x", "y", "z", *feature_names)
    _check_options(intensity_scale, fields or {}, needed)
    data = read_bytes(path)
    if not data:
        raise DataError(f"{path}: the file is empty, there are no points")
    if intensity_scale is None and suffix == ".pcd.bin":
        intensity_scale = 255.0
    columns = READERS[suffix](data, path, feature_names, bool(fields))
    chosen = [
        as_feature(feature_column(columns, name, needed, fields or {}, path), name, intensity_scale, path)
        for name in needed
    ]
    table = np.stack(chosen, axis=1)
    rows = np.flatnonzero(np.isfinite(table).all(axis=1))
    if len(rows) == 0:
        empty = "there are no points" if len(table) == 0 else f"each of the {len(table)} points has NaN or infinity"
        raise DataError(f"{path}: {empty}")
    scene = Scene(
        points=table[rows, :3].copy(),
        features=table[rows, 3:].copy(),
        id=path.name[: -len(suffix)],
        normal_columns=normal_columns(feature_names),
        files={"points": path, "features": path},
        dropped=len(table) - len(rows),
    ).validate()
    return Scan(check_values(scene, feature_names), rows)


def _check_options(intensity_scale: float | None, fields: Mapping[str, str], needed: Sequence[str]) -> None:
    if intensity_scale is not None and not (0 < intensity_scale < np.inf):
        raise DataError(f"intensity_scale is {intensity_scale:g}; it must be above 0")
    for name in fields:
        if name not in needed:
            raise DataError(f"field {name}={fields[name]}: the student needs {', '.join(needed)}, and no '{name}'")
