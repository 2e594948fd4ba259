"""What the data sets of object clouds share: their scenes, tables of text, HDF5 files, held-out objects."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pointlift.data.clouds import random_rows
from pointlift.data.dataset import Dataset
from pointlift.data.formats.mesh import numbers
from pointlift.data.formats.text import fitted
from pointlift.data.normals import NORMALS, normal_columns
from pointlift.data.scene import Scene
from pointlift.data.up import UpAxis
from pointlift.errors import DataError
from pointlift.files import read_bytes, unreadable

_EXPANSION = 1100  # times that compression makes less of the same byte again and again: a little above zlib's best
HELD_OUT = 10
"""Of the training objects of each class, every one of this many is held out for validation where no split is given."""


class StoredObject(NamedTuple):
    """One object: its name, its class, its file, and its row in it (HDF5 only)."""

    id: str
    object_class: int
    path: Path
    row: int = 0


class StoredObjects(Dataset):
    """A data set of objects that are known before any is read."""

    _objects: list[StoredObject]

    @property
    def ids(self) -> list[str]:
        """The id of every scene, without reading any."""
        return [one.id for one in self._objects]

    def __len__(self) -> int:
        return len(self._objects)


def generator(object_id: str, seed: int) -> np.random.Generator:
    """The draws for one object: the same for the same id and seed, whatever else is read."""
    return np.random.default_rng([zlib.crc32(object_id.encode()), seed])


def object_scene(
    points: np.ndarray,
    normals: np.ndarray | None,
    *,
    id: str,
    path: Path,
    object_class: int,
    up_axis: UpAxis,
    labels: np.ndarray | None = None,
) -> Scene:
    """A checked object cloud; its features are the normals, if there are any."""
    features = np.empty((len(points), 0), np.float32) if normals is None else normals
    return Scene(
        points=np.ascontiguousarray(points, np.float32),
        features=np.ascontiguousarray(features, np.float32),
        labels=None if labels is None else fitted(labels, "i8", "labels", path),
        id=id,
        object_class=int(object_class),
        up_axis=up_axis,
        normal_columns=None if normals is None else normal_columns(NORMALS),
        files=dict.fromkeys(("points", "features", "labels"), path),
    ).validate()


def thinned(scene: Scene, points: int | None, seed: int) -> Scene:
    """The scene with ``points`` of its points, drawn by its id and the seed; all of them for None.

    Raises:
        DataError: it has fewer.
    """
    if points is None:
        return scene
    if len(scene) < points:
        raise DataError(f"{scene.files['points']}: {scene.id} has {len(scene)} points, and {points} were asked for")
    return scene.select(random_rows(len(scene), points, generator(scene.id, seed)))


def held_out(classes: Sequence[int] | np.ndarray) -> np.ndarray:
    """Mask (N,) of the validation objects among training objects of these classes (N,): every tenth of each class."""
    mask = np.zeros(len(classes), dtype=bool)
    values = np.asarray(classes)
    for one in np.unique(values):
        mask[np.flatnonzero(values == one)[HELD_OUT - 1 :: HELD_OUT]] = True
    return mask


def part_of_split(split: str, classes: Sequence[int] | np.ndarray) -> np.ndarray:
    """Indices of the training objects that belong to ``train``, ``val`` or ``trainval``."""
    mask = held_out(classes)
    return np.flatnonzero({"train": ~mask, "val": mask}.get(split, np.ones(len(mask), dtype=bool)))


# ---- text


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty, stripped."""
    lines = [line.strip() for line in read_bytes(path).decode("utf-8", "replace").splitlines()]
    return [line for line in lines if line]


def read_rows(path: Path, columns: int, what: str) -> np.ndarray:
    """A table (N, columns) float64 of numbers between commas or blanks.

    Args:
        path: the file.
        columns: of each row.
        what: names them in messages, such as "x, y, z".

    Raises:
        DataError: the file is missing or empty, or a row is not that many numbers.
    """
    data = read_bytes(path).replace(b",", b" ")
    rows = [row for row in data.splitlines() if row.strip()]
    if not rows:
        raise DataError(f"{path}: the file is empty, there are no points")
    table = numbers(rows, columns)
    if table is None:
        row = next(row for row, line in enumerate(rows) if numbers([line], columns) is None)
        text = rows[row].decode("latin-1").strip()[:60]
        raise DataError(f"{path}: row {row} is not {columns} numbers ({what}): {text}")
    return table


# ---- HDF5


def open_hdf5(path: Path) -> Any:
    """An HDF5 file, to be used in a ``with`` statement.

    Raises:
        DataError: the file is missing or damaged, or h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise DataError(f"{path}: reading HDF5 files needs the package h5py (pip install h5py)") from error
    if not path.is_file():
        raise DataError(f"{path}: the file is missing")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise DataError(unreadable(path, "this is not an HDF5 file, or it is damaged", error)) from error


def check_keys(path: Path, keys: Mapping[str, tuple[int | None, ...]]) -> int:
    """Number of objects of an HDF5 file that must have these arrays; None in a shape, after the first axis, is any.

    Raises:
        DataError: a key is missing, or its array has another shape, another number of objects, or no numbers.
    """
    count: int | None = None
    with open_hdf5(path) as file:
        for key, shape in keys.items():
            found = _stored(file, path, key).shape
            fits = len(found) == len(shape) + 1 and all(
                want in (None, have) for want, have in zip(shape, found[1:], strict=True)
            )
            if not fits or (count is not None and found[0] != count):
                wanted = ", ".join(
                    ["N" if count is None else str(count), *("any" if n is None else str(n) for n in shape)]
                )
                raise DataError(f"{path}: '{key}' must have the shape ({wanted}), not {found}")
            count = found[0]
    return count or 0


def read_hdf5(path: Path, key: str, row: int | None = None) -> np.ndarray:
    """An array of numbers of an HDF5 file, or one row of it."""
    with open_hdf5(path) as file:
        stored = _stored(file, path, key)
        try:
            return np.asarray(stored[()] if row is None else stored[row])
        except (OSError, RuntimeError, ValueError, MemoryError) as error:  # a block of the file cannot be unpacked
            raise DataError(f"{path}: '{key}' is damaged ({error})") from error


def read_classes(path: Path, key: str, count: int) -> np.ndarray:
    """Class (N,) int64 of each object of an HDF5 file, stored as (N,) or (N, 1).

    Raises:
        DataError: the key is missing or a class is not a whole number from 0 to ``count - 1``.
    """
    values = fitted(read_hdf5(path, key).reshape(-1), "i8", key, path)
    if len(values) and (values.min() < 0 or values.max() >= count):
        raise DataError(f"{path}: '{key}' has classes from {values.min()} to {values.max()}, not from 0 to {count - 1}")
    return values


def _stored(file: Any, path: Path, key: str) -> Any:
    """An array of an open HDF5 file, not yet read, that holds numbers, and no more than its bytes can."""
    import h5py  # `open_hdf5` has found it

    try:
        found, keys = file.get(key), ", ".join(sorted(file))
        numbers_of = isinstance(found, h5py.Dataset) and found.shape is not None and found.dtype.kind in "fiu"
        size = math.prod(found.shape) * found.dtype.itemsize if numbers_of else 0
    except Exception as error:  # h5py raises RuntimeError, KeyError, TypeError, … of what is damaged
        raise DataError(f"{path}: '{key}' is damaged ({error})") from error
    if found is None:
        raise DataError(f"{path}: the key '{key}' is missing; keys are: {keys or 'none'}")
    if not numbers_of:
        raise DataError(f"{path}: '{key}' must be an array of numbers")
    if size > _EXPANSION * path.stat().st_size:
        raise DataError(f"{path}: '{key}' declares {size:,} bytes, more than the file can hold")
    return found
