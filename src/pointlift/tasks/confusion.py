"""mIoU and accuracy: the metric of what has one of several classes, a confusion matrix that is filled bit by bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from pointlift.tasks.metric import Column, Metric

IGNORE = -1
"""As a label: the point is left out."""
NONE = -1
"""As a prediction: no class; a miss of the true class, and no false alarm of another."""


class Confusion(Metric):
    """Streaming confusion matrix.

    Args:
        num_classes: number of classes C of the data set.
        class_names: their names; by default "0", "1", ….

    Attributes:
        matrix: (C, C) int64, rows the true class and columns the predicted one. Matrices of parts of a data set add up.
        missed: (C,) int64, points of each true class for which no class was predicted; they add up too.

    Raises:
        ValueError: if there is not one distinct name per class.
    """

    columns = (
        Column("miou", "mIoU", "share", "higher", note="≥ 100 points"),
        Column("miou_all", "mIoU, all classes", "share", "higher"),
        Column("accuracy", "accuracy", "share", "higher"),
        Column("points", "points", "count"),
    )
    decides = "miou"
    class_columns = (Column("points", "points", "count"), Column("iou", "IoU", "share", "higher"))
    words: Mapping[str, str] = {
        "test points": "every labelled point that the test data set yields with the options above",
        "mIoU": "mean IoU over the classes with at least 100 labelled test points, each IoU over the points of all "
        "test scans together; beside it over all classes of the data set",
    }

    def __init__(self, num_classes: int, class_names: Sequence[str] | None = None) -> None:
        names = tuple(str(index) for index in range(num_classes)) if class_names is None else tuple(class_names)
        if len(names) != num_classes or len(set(names)) != num_classes:
            raise ValueError(f"{num_classes} classes need as many distinct names, not {names}")
        self.num_classes = num_classes
        self.class_names = names
        self.matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
        self.missed = np.zeros(num_classes, dtype=np.int64)

    @property
    def counted(self) -> int:
        """How many points with a label have been counted."""
        return int(self.matrix.sum() + self.missed.sum())

    def update(self, prediction: Tensor | np.ndarray, truth: Tensor | np.ndarray) -> None:
        """Count points; those with label −1 are left out, whatever was predicted for them.

        Args:
            prediction: (N,) integer class of each point, −1 for none.
            truth: (N,) integer true class, −1 to ignore.

        Raises:
            ValueError: if shapes differ, values are not integers, or a class lies outside the data set's.
        """
        predicted, true = _integers(prediction, "predictions"), _integers(truth, "labels")
        if predicted.shape != true.shape:
            raise ValueError(f"predictions and labels differ in shape: {predicted.shape} and {true.shape}")
        counted = true != IGNORE
        predicted, true = predicted[counted], true[counted]
        for name, values, low in (("predictions", predicted, NONE), ("labels", true, 0)):
            if len(values) and not low <= values.min() <= values.max() < self.num_classes:
                wanted = f"{low}..{self.num_classes - 1}"
                raise ValueError(f"{name} must lie in {wanted}, not in {values.min()}..{values.max()}")
        none = predicted == NONE
        self.missed += np.bincount(true[none], minlength=self.num_classes)
        predicted, true = predicted[~none], true[~none]
        pairs = np.bincount(true * self.num_classes + predicted, minlength=self.num_classes**2)
        self.matrix += pairs.reshape(self.num_classes, self.num_classes)

    def __add__(self, other: Confusion) -> Confusion:
        """The confusion of the points of either; a `ValueError` if their classes differ."""
        if self.class_names != other.class_names:
            raise ValueError(f"confusions of {self.class_names} and of {other.class_names} do not add up")
        both = type(self)(self.num_classes, self.class_names)
        both.matrix, both.missed = self.matrix + other.matrix, self.missed + other.missed
        return both

    def values(self) -> dict[str, Any]:
        """What `result` gives but the classes, None where it is not a number."""
        found = {key: value for key, value in self.result().items() if key != "classes"}
        return {key: None if value != value else value for key, value in found.items()}

    def classes(self) -> dict[str, dict[str, Any]]:
        """IoU, accuracy and points of each class."""
        return self.result()["classes"]

    def score(self) -> float:
        """The mIoU over the classes that are there at all."""
        return self.result(min_points=1)["miou"]

    def result(self, min_points: int = 100) -> dict[str, Any]:
        """The metrics of all points so far, as fractions between 0 and 1.

        IoU of class c: ``TP / (TP + FP + FN)`` over all points of the data set together, not per scan.

        Args:
            min_points: classes with fewer true points are left out of ``miou`` and ``mean_accuracy``.

        Returns:
            ``miou``: mean IoU over the classes with at least ``min_points`` true points (NaN if there is none);
            ``miou_all``: mean IoU over *all* classes of the data set, in which a class that is neither there nor
            predicted counts as 0, as in SemanticKITTI's official evaluation; ``mean_accuracy``: mean recall over the
            classes of ``miou``; ``accuracy``: share of correct points (NaN without points); ``points``;
            ``min_points``; ``evaluated_classes``: names of the classes of ``miou``; ``classes``: for each name ``iou``
            and ``accuracy`` (0 where undefined), ``points`` (true) and ``predicted``.
        """
        correct = np.diag(self.matrix)
        points, predicted = self.matrix.sum(axis=1) + self.missed, self.matrix.sum(axis=0)
        iou = correct / np.maximum(points + predicted - correct, 1)
        recall = correct / np.maximum(points, 1)
        evaluated = (points >= min_points) & (points > 0)
        classes = {
            name: {
                "iou": float(iou[index]),
                "accuracy": float(recall[index]),
                "points": int(points[index]),
                "predicted": int(predicted[index]),
            }
            for index, name in enumerate(self.class_names)
        }
        total = int(points.sum())
        return {
            "miou": _mean(iou[evaluated]),
            "miou_all": _mean(iou),
            "accuracy": float(correct.sum() / total) if total else float("nan"),
            "mean_accuracy": _mean(recall[evaluated]),
            "points": total,
            "min_points": min_points,
            "evaluated_classes": [name for name, counts in zip(self.class_names, evaluated, strict=True) if counts],
            "classes": classes,
        }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _integers(values: Tensor | np.ndarray, name: str) -> np.ndarray:
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.ndim != 1 or not (np.issubdtype(array.dtype, np.integer) or array.size == 0):
        raise ValueError(f"{name} must be (N,) integers, not {array.shape} {array.dtype}")
    return array.astype(np.int64)
