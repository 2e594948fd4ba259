"""Mistakes that hang together: neighbouring points with the same true and the same predicted class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CELL = 0.7
"""Side in metres of the cells that count as neighbours, also over corners."""


@dataclass(frozen=True, eq=False)
class Cluster:
    """Wrongly labelled points of one scan that hang together.

    Attributes:
        scan: index of the scan in its data set.
        points: (K,) int64 indices of the points.
        true, predicted: their class and what they were taken for.
    """

    scan: int
    points: np.ndarray
    true: int
    predicted: int


def wrong_clusters(
    scan: int, points: np.ndarray, labels: np.ndarray, predicted: np.ndarray, most: int
) -> list[Cluster]:
    """The ``most`` largest clusters of a scan's wrong points, largest first.

    Args:
        scan: index of the scan in its data set.
        points: (N, 3) metres.
        labels: (N,) true classes, -1 to ignore.
        predicted: (N,) classes.
        most: how many at most.
    """
    wrong = np.flatnonzero((labels >= 0) & (labels != predicted))
    if len(wrong) == 0:
        return []
    kind = labels[wrong] * (int(predicted.max()) + 1) + predicted[wrong]
    component = components(points[wrong], kind)
    sizes = np.bincount(component)
    largest = np.argsort(-sizes, kind="stable")[:most]
    members = [wrong[component == number] for number in largest]
    return [Cluster(scan, rows, int(labels[rows[0]]), int(predicted[rows[0]])) for rows in members]


def components(points: np.ndarray, kind: np.ndarray, cell: float = CELL) -> np.ndarray:
    """Number (N,) of each point's connected component: same ``kind (N,)``, in neighbouring cells of side ``cell``."""
    lattice = np.floor(points / cell).astype(np.int64)
    lattice -= lattice.min(axis=0) - 1  # room for neighbours
    extent = lattice.max(axis=0) + 2
    key = ((kind * extent[0] + lattice[:, 0]) * extent[1] + lattice[:, 1]) * extent[2] + lattice[:, 2]
    cells, cell_of_point = np.unique(key, return_inverse=True)
    first, second = _neighbours(cells, extent)
    lowest = np.arange(len(cells))
    while True:
        before = lowest.copy()
        smaller = np.minimum(lowest[first], lowest[second])
        np.minimum.at(lowest, first, smaller)
        np.minimum.at(lowest, second, smaller)
        lowest = lowest[lowest]  # every cell jumps to what its representative points to
        if np.array_equal(before, lowest):
            break
    return np.unique(lowest[cell_of_point.reshape(-1)], return_inverse=True)[1].reshape(-1)


def _neighbours(cells: np.ndarray, extent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows of the sorted keys ``cells`` whose cells touch, each pair once."""
    steps = np.array([-1, 0, 1])
    offsets = (steps[:, None, None] * extent[1] + steps[:, None]) * extent[2] + steps
    pairs = []
    for offset in offsets.reshape(-1)[14:]:  # the other half is the same pairs
        found = np.searchsorted(cells, cells + offset).clip(max=len(cells) - 1)
        rows = np.flatnonzero(cells[found] == cells + offset)
        pairs.append((rows, found[rows]))
    return np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs])
