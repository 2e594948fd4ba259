"""From predictions for the test scans to the metrics of a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from pointlift.data.scene import Scene
from pointlift.errors import DataError
from pointlift.evaluation.base import Trial, each
from pointlift.evaluation.labels import labels_of
from pointlift.evaluation.metrics import Confusion

Prediction = Tensor | np.ndarray
"""Class (N,) of every point of a scene."""


def confusion_of(trial: Trial) -> Confusion:
    """An empty confusion matrix over the trial's classes."""
    return Confusion(len(trial.class_names), trial.class_names)


def scored(confusion: Confusion) -> dict[str, Any]:
    """The metrics of `Confusion.result` as JSON knows them: None instead of NaN.

    Raises:
        DataError: no test point has a label.
    """
    metrics = confusion.result()
    if metrics["points"] == 0:
        raise DataError("no point of the test split has a label; this protocol needs labelled test points to score")
    return {key: None if isinstance(value, float) and value != value else value for key, value in metrics.items()}


def confusions(
    trial: Trial, predict: Callable[[Scene], Mapping[str, Prediction]], what: str = "test scans"
) -> dict[str, Confusion]:
    """Confusion over the labelled test points of each named row that ``predict`` gives for every test scan."""
    found: dict[str, Confusion] = {}
    for scene in each(trial, trial.test, what):
        predictions = predict(scene)
        labels = labels_of(scene, "test", len(trial.class_names))
        for name, predicted in predictions.items():
            found.setdefault(name, confusion_of(trial)).update(predicted, labels)
    return found


def majority_row(trial: Trial, majority: int) -> dict[str, Any]:
    """The metrics of predicting one class everywhere."""
    row = "majority class"
    return scored(confusions(trial, lambda scene: {row: np.full(len(scene), majority)}, row)[row])
