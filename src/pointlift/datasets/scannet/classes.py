"""Classes of ScanNet: the 40 of NYU, the 20 of the benchmark, the 200 of ScanNet200, and the 18 whose boxes count."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pointlift.datasets.scannet.classes200 import IDS_200, NAMES_200
from pointlift.errors import DataError
from pointlift.files import read_bytes

TABLE = "scannetv2-labels.combined.tsv"
# In the order of their ids, from 1. Source: the NYUv2 mapping of ScanNet's label table.
NYU40 = (
    "wall floor cabinet bed chair sofa table door window bookshelf picture counter blinds desk shelves curtain dresser "
    "pillow mirror floor_mat clothes ceiling books refrigerator television paper towel shower_curtain box whiteboard "
    "person night_stand toilet sink lamp bathtub bag otherstructure otherfurniture otherprop"
)
NAMES_40 = tuple(name.replace("_", " ") for name in NYU40.split())
# Ids and colours of the 20 classes of the benchmark. Source: BenchmarkScripts of ScanNet/ScanNet.
IDS_20 = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39)
COLORS_20 = (
    (174, 199, 232), (152, 223, 138), (31, 119, 180), (255, 187, 120), (188, 189, 34), (140, 86, 75), (255, 152, 150),
    (214, 39, 40), (197, 176, 213), (148, 103, 189), (196, 156, 148), (23, 190, 207), (247, 182, 210), (219, 219, 141),
    (255, 127, 14), (158, 218, 229), (44, 160, 44), (112, 128, 144), (227, 119, 194), (82, 84, 163),
)  # fmt: skip
# The classes of detection are those of the benchmark without wall and floor; VoteNet calls the last one garbagebin,
# though NYU's 39 is all other furniture.
BOX_IDS = IDS_20[2:]
BOX_NAMES = tuple(NAMES_40[number - 1] for number in BOX_IDS)
# Two ids that the labels of scene0270 and scene0384 contain by mistake; the benchmark counts them as unlabelled.
STRAY_IDS = (50, 149)


class Classes(NamedTuple):
    """One choice of classes: their names, the ids that they have in the files, and their colours, if they have any."""

    names: tuple[str, ...]
    ids: tuple[int, ...]
    colors: tuple[tuple[int, int, int], ...] | None = None


CLASSES = {
    "scannet20": Classes(tuple(NAMES_40[number - 1] for number in IDS_20), IDS_20, COLORS_20),
    "nyu40": Classes(NAMES_40, tuple(range(1, 41))),
    "scannet200": Classes(NAMES_200, IDS_200),
}


def lookup(ids: tuple[int, ...]) -> np.ndarray:
    """Class (M + 1,) int64 of every id up to the largest, -1 for those that are none."""
    table = np.full(max(ids) + 1, -1, dtype=np.int64)
    table[list(ids)] = np.arange(len(ids))
    return table


def from_nyu40(values: np.ndarray, chosen: Classes, path: Path) -> np.ndarray:
    """Classes (N,) int64 of NYU40 ids (N,); 0 is unlabelled."""
    values = np.where(np.isin(values, STRAY_IDS), 0, values.astype(np.int64))
    wrong = (values < 0) | (values > 40)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise DataError(f"{path}: the label {values[first]} of vertex {first} is not an id of NYU40 (0 to 40)")
    table = np.full(41, -1, dtype=np.int64)
    known = lookup(chosen.ids)
    table[: len(known)] = known
    return table[values]


class LabelTable(NamedTuple):
    """What ScanNet's label table says of each category that annotators wrote: its own id, and its id in NYU40."""

    ids: dict[str, int]
    nyu40: dict[str, int]


def read_table(path: Path) -> LabelTable:
    """The label table; a `DataError` if it or one of its columns is missing."""
    text = read_bytes(path).decode("utf-8", "replace")
    ids: dict[str, int] = {}
    nyu40: dict[str, int] = {}
    reader = csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    for column in ("raw_category", "id", "nyu40id"):
        if column not in (reader.fieldnames or ()):
            raise DataError(f"{path}: the table has no column '{column}'; it has: {', '.join(reader.fieldnames or ())}")
    try:
        for number, row in enumerate(reader, start=2):
            identity, nyu = (_whole(row[column] or "") for column in ("id", "nyu40id"))
            empty = row["nyu40id"] is not None and not row["nyu40id"].strip()  # of categories that NYU does not have
            if identity is None or (nyu is None and not empty):
                raise DataError(f"{path}: line {number} has no whole numbers as id and nyu40id")
            if nyu is not None and nyu > len(NYU40.split()):
                raise DataError(f"{path}: line {number} has the nyu40id {nyu}, which is not one of 0 to 40")
            ids.setdefault(row["raw_category"], identity)
            nyu40.setdefault(row["raw_category"], nyu or 0)
    except csv.Error as error:
        raise DataError(f"{path}: the file is not a table of columns with tabs between them ({error})") from error
    return LabelTable(ids, nyu40)


def _whole(word: str) -> int | None:
    """A whole number from 0 on of few digits; None for all else, as -3 would count from the end of what it indexes."""
    word = word.strip()
    return int(word) if word.isascii() and word.isdigit() and len(word) < 10 else None
