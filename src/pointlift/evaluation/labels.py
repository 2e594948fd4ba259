"""The labels that protocols learn from and are scored by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pointlift.data.scene import Scene
from pointlift.errors import DataError
from pointlift.evaluation.base import Trial, each
from pointlift.evaluation.metrics import IGNORE


def labels_of(scene: Scene, split: str, num_classes: int) -> np.ndarray:
    """Labels of ``scene`` (N,) int64 with -1 for ignored points.

    Raises:
        DataError: the scene has no labels, or a label that is no class.
    """
    if scene.labels is None:
        raise DataError(
            f"the {split} scan '{scene.id}' has no labels; this protocol needs labelled points in the training and the "
            "test split"
        )
    labels = np.asarray(scene.labels)
    if len(labels) and (labels.max() >= num_classes or labels.min() < IGNORE):
        wrong = labels.max() if labels.max() >= num_classes else labels.min()
        raise DataError(
            f"the {split} scan '{scene.id}' has the label {wrong}; labels must be below the number of classes "
            f"({num_classes}), or {IGNORE} for points to ignore"
        )
    return labels


def require_labels(trial: Trial) -> None:
    """Fail before the long work, with a `DataError`, if a split is empty or its first scan has no labels."""
    for split, scenes in (("training", trial.train), ("test", trial.test)):
        if len(scenes) == 0:
            raise DataError(f"the {split} split of '{scenes.name}' has no scans")
        labels_of(scenes[0], split, len(trial.class_names))


def count_labels(trial: Trial, scans: Sequence[int]) -> np.ndarray:
    """Labelled points of each class (C,) in these training scans; a `DataError` if there are none."""
    counts = np.zeros(len(trial.class_names), np.int64)
    for scene in each(trial, trial.train, "training labels", scans):
        labels = labels_of(scene, "training", len(counts))
        counts += np.bincount(labels[labels >= 0], minlength=len(counts))
    majority_class(counts)
    return counts


def majority_class(counts: np.ndarray) -> int:
    """The class with the most training labels (the first of equals); a `DataError` if there is no label at all."""
    if counts.sum() == 0:
        raise DataError("no point of the training scans that are used has a label; this protocol learns from labels")
    return int(counts.argmax())
