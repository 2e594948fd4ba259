"""What annotators said of a scan: the objects, the vertices of each, and the boxes around them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple, TypeVar

import msgspec
import numpy as np

from pointlift.datasets.scannet.classes import BOX_IDS, LabelTable, lookup
from pointlift.errors import DataError
from pointlift.files import read_bytes

SMALLEST = 1e-3
"""Metres; a box around a flat object is made this thick."""

Content = TypeVar("Content")


class Objects(NamedTuple):
    """The objects of a scan: of each vertex the number of its object (N,) int64, from 1, 0 for none; and the category
    that the annotators wrote for each object, in the order of the numbers."""

    instances: np.ndarray
    categories: list[str]


def find_aggregation(folder: Path) -> Path | None:
    """The file of objects of a scan, None if it is not annotated."""
    for name in (f"{folder.name}.aggregation.json", f"{folder.name}_vh_clean.aggregation.json"):
        if (folder / name).is_file():
            return folder / name
    return None


Number = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class _Group(msgspec.Struct):
    """One object: what annotators called it, and its segments."""

    label: str
    segments: list[Number]


class _Segments(msgspec.Struct):
    """``ID_vh_clean_2.0.010000.segs.json``: the segment of every vertex."""

    segIndices: list[Number]  # noqa: N815 - the file's own name


class _Aggregation(msgspec.Struct):
    """``ID.aggregation.json``."""

    segGroups: list[_Group]  # noqa: N815 - the file's own name


def read_objects(aggregation: Path, vertices: int) -> Objects:
    """Objects are lists of segments, and segments are in ``ID_vh_clean_2.0.010000.segs.json``, one per vertex."""
    segments_file = aggregation.parent / f"{aggregation.parent.name}_vh_clean_2.0.010000.segs.json"
    segments = np.array(_read(segments_file, _Segments).segIndices, dtype=np.int64)
    if segments.shape != (vertices,):
        raise DataError(f"{segments_file}: there are {segments.size} segment numbers for {vertices} vertices")
    object_of: dict[int, int] = {}
    categories = []
    for number, group in enumerate(_read(aggregation, _Aggregation).segGroups, start=1):
        categories.append(group.label)
        object_of.update(dict.fromkeys(group.segments, number))
    names, inverse = np.unique(segments, return_inverse=True)
    numbers = np.array([object_of.get(int(name), 0) for name in names], dtype=np.int64)
    return Objects(numbers[inverse.reshape(-1)], categories)


def labels_by_id(objects: Objects, table: LabelTable, ids: tuple[int, ...]) -> np.ndarray:
    """Class (N,) int64 of each vertex by the category's own id in the label table, -1 for none of ``ids``."""
    known = lookup(ids)
    classes = [-1]
    for category in objects.categories:
        number = table.ids.get(category, 0)  # as in ScanNet200, a category that the table does not have is none
        classes.append(int(known[number]) if number < len(known) else -1)
    return np.array(classes, dtype=np.int64)[objects.instances]


def boxes(points: np.ndarray, objects: Objects, table: LabelTable) -> tuple[np.ndarray, np.ndarray]:
    """Axis-aligned boxes (B, 7) around the objects of the 18 classes of detection, and their classes (B,)."""
    found, labels = [], []
    for number, category in enumerate(objects.categories, start=1):
        nyu40 = table.nyu40.get(category, 0)
        mine = points[objects.instances == number].astype(np.float64)
        if nyu40 not in BOX_IDS or len(mine) == 0:
            continue
        low, high = mine.min(axis=0), mine.max(axis=0)
        found.append([*(low + high) / 2, *np.maximum(high - low, SMALLEST), 0.0])
        labels.append(BOX_IDS.index(nyu40))
    return np.array(found, dtype=np.float64).reshape(-1, 7), np.array(labels, dtype=np.int64)


def _read(path: Path, content: type[Content]) -> Content:
    try:
        return msgspec.json.decode(read_bytes(path), type=content)
    except msgspec.ValidationError as error:
        raise DataError(f"{path}: the file is not as ScanNet's annotation has it: {error}") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise DataError(f"{path}: the file is not JSON ({error})") from error
