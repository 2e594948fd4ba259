"""From predictions for the test scans to the rows of a result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pointlift.data.scene import Scene
from pointlift.errors import DataError
from pointlift.evaluation.base import Trial, each
from pointlift.evaluation.result import Role, Row
from pointlift.tasks.metric import Metric


def measured(
    trial: Trial, predict: Callable[[Scene], Mapping[str, Any]], what: str = "test scans"
) -> dict[str, Metric]:
    """The task's metric over the test data of each named contestant that ``predict`` gives for every test scan."""
    found: dict[str, Metric] = {}
    for scene in each(trial, trial.test, what):
        predictions = predict(scene)
        truth = trial.task.targets(scene, "test scan")
        for name, predicted in predictions.items():
            found.setdefault(name, trial.task.metric()).update(predicted, truth)
    return found


def row_of(
    metric: Metric, name: str, role: Role, subset: str = "", details: Mapping[str, Any] | None = None, **more: Any
) -> Row:
    """The row of a contestant, with ``more`` values beside those of the metric.

    Raises:
        DataError: nothing of the test data has a label.
    """
    if metric.counted == 0:
        raise DataError("no point of the test split has a label; this protocol needs labelled test points to score")
    return Row(name, role, {**metric.values(), **more}, subset, metric.classes(), dict(details or {}))


def majority_row(trial: Trial, majority: int) -> Row:
    """The row of predicting one class everywhere."""
    name = "majority class"

    def predict(scene: Scene) -> dict[str, np.ndarray]:
        return {name: np.full(len(trial.task.targets(scene, "test scan")), majority)}

    return row_of(measured(trial, predict, name)[name], name, "baseline")
