"""What annotators said of a scan: the objects, the vertices of each, and the boxes around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pointlift.datasets.scannet.classes import BOX_IDS, LabelTable, lookup
from pointlift.documents import json_of
from pointlift.errors import DataError
from pointlift.files import read_bytes

SMALLEST = 1e-3
"""Metres; a box around a flat object is made this thick."""


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


def read_objects(aggregation: Path, vertices: int) -> Objects:
    """Objects are lists of segments, and segments are in ``ID_vh_clean_2.0.010000.segs.json``, one per vertex."""
    segments_file = aggregation.parent / f"{aggregation.parent.name}_vh_clean_2.0.010000.segs.json"
    segments = np.asarray(_field(segments_file, "segIndices"))
    if segments.shape != (vertices,) or segments.dtype.kind != "i":
        raise DataError(f"{segments_file}: there are {segments.size} segment numbers for {vertices} vertices")
    object_of: dict[int, int] = {}
    categories = []
    for number, group in enumerate(_field(aggregation, "segGroups"), start=1):
        try:
            categories.append(str(group["label"]))
            object_of.update(dict.fromkeys(map(int, group["segments"]), number))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{aggregation}: group {number - 1} has no label or no list of segments") from error
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


def _field(path: Path, key: str) -> Any:
    content = json_of(read_bytes(path), str(path))
    value = content.get(key) if isinstance(content, dict) else None
    if not isinstance(value, list):
        raise DataError(f"{path}: there is no list '{key}'")
    return value
