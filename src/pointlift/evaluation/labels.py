"""How often each class is labelled in what protocols learn from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pointlift.errors import DataError
from pointlift.evaluation.base import Trial, each


def count_labels(trial: Trial, scans: Sequence[int]) -> np.ndarray:
    """Targets of each class (C,) in these scans that give labels; a `DataError` if there are none."""
    counts = np.zeros(len(trial.class_names), np.int64)
    for scene in each(trial, trial.labelled, "training labels", scans):
        labels = trial.task.targets(scene, "training scan")
        counts += np.bincount(labels[labels >= 0], minlength=len(counts))
    majority_class(counts)
    return counts


def majority_class(counts: np.ndarray) -> int:
    """The class with the most training labels (the first of equals); a `DataError` if there is no label at all."""
    if counts.sum() == 0:
        raise DataError("no point of the training scans that are used has a label; this protocol learns from labels")
    return int(counts.argmax())
