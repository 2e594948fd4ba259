"""Which scans and which points a protocol uses: subsets, held-out scans, and draws that a seed decides."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from pointlift.errors import DataError, RecipeError


def subset(count: int, fraction: float) -> list[int]:
    """Which of ``count`` training scans are used at a share ``fraction`` of the labels.

    The scans numbered round(j / fraction), j = 0, 1, 2, …, in the order of the data set: 0.01 is every 100th scan,
    beginning with the first, as in SLidR's SemanticKITTI protocol. So there is always at least one, the first.

    Raises:
        RecipeError: ``fraction`` is not in (0, 1].
        DataError: there is no scan.
    """
    if not 0 < fraction <= 1:
        raise RecipeError(f"fraction is {fraction}; it must be above 0 and at most 1")
    if count == 0:
        raise DataError("the training split has no scans")
    chosen: list[int] = []
    while (index := int(len(chosen) / fraction + 0.5)) < count:
        chosen.append(index)
    return chosen


def spread(chosen: Sequence[int], count: int) -> list[int]:
    """At most ``count`` of ``chosen``, evenly spread, with both ends; at least one."""
    picked = np.linspace(0, len(chosen) - 1, min(max(count, 1), len(chosen))).round().astype(int)
    return [chosen[index] for index in picked]


def generator(seed: int, purpose: str, *key: str) -> np.random.Generator:
    """Random numbers that depend on (seed, purpose, key) alone, whatever was drawn before."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), *(zlib.crc32(part.encode()) for part in key)])


class Shortlist:
    """The ``limit`` entries with the smallest random keys per class, kept while scenes stream by.

    Random keys make this a uniform draw without replacement from everything that was offered, in memory that depends
    on ``limit`` alone. ``limit=None`` keeps all.
    """

    def __init__(self, num_classes: int, limit: int | None) -> None:
        self.limit = limit
        self._kept = [np.empty((0, 3)) for _ in range(num_classes)]  # random key, scene number, index in the scene

    def offer(self, scene_number: int, indices: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> None:
        """Offer the entries ``indices`` (P,) of a scene, with their ``labels`` (P,); labels below 0 are left out."""
        rows = np.stack([rng.random(len(indices)), np.full(len(indices), scene_number), indices], axis=1)
        for label in np.unique(labels[labels >= 0]):
            rows_of_class = np.concatenate([self._kept[label], rows[labels == label]])
            if self.limit is not None and len(rows_of_class) > self.limit:
                rows_of_class = rows_of_class[np.argpartition(rows_of_class[:, 0], self.limit - 1)[: self.limit]]
            self._kept[label] = rows_of_class

    def counts(self) -> np.ndarray:
        """How many entries each class has, (C,)."""
        return np.array([len(rows) for rows in self._kept])

    def of_scene(self, scene_number: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices (K,) kept of one scene, ascending, and their labels (K,)."""
        indices, labels = [], []
        for label, rows in enumerate(self._kept):
            mine = rows[rows[:, 1] == scene_number, 2].astype(np.int64)
            indices.append(mine)
            labels.append(np.full(len(mine), label))
        joined = np.concatenate(indices)
        order = np.argsort(joined, kind="stable")
        return joined[order], np.concatenate(labels)[order]
