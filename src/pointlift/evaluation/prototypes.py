"""Classes by the nearest prototype: what the protocols share that compare features with one vector per class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pointlift.errors import RecipeError
from pointlift.evaluation.base import PixelFeatures, Trial, each
from pointlift.evaluation.features import student_output
from pointlift.evaluation.result import Result, Role, Row
from pointlift.evaluation.scoring import row_of
from pointlift.evaluation.visibility import Visibility, visible_features
from pointlift.finite import require_finite
from pointlift.students.base import Student
from pointlift.tasks.confusion import NONE
from pointlift.tasks.metric import Column, Metric

VISIBLE = "visible points"
"""The subset of the labelled test points that a camera sees."""
SHARE = Column("share_of_teacher", "of the teacher's", "share", "higher")
"""What decides, over the same of the teacher, both at visible points."""
ROLES: dict[str, Role] = {"student": "student", "teacher": "teacher"}
"""Of contestants; the others are baselines."""

Classify = Callable[[Tensor], Tensor]
"""Features (N, D) -> class (N,) of each."""


def nearest(features: Tensor, prototypes: Tensor) -> Tensor:
    """Class (N,) of the prototype (C, D) with the highest cosine to each feature (N, D); NaN rows never win."""
    require_finite(features, "features that are to be classified")
    absent = prototypes.isnan().any(dim=1)
    return cosines(features, prototypes.nan_to_num()).masked_fill(absent, -torch.inf).argmax(dim=1)


def teacher_classes(classify: Classify, features: Tensor) -> Tensor:
    """Class (N,) of the teacher's features (N, D), `NONE` where it says nothing: where they are zeros."""
    return classify(features).masked_fill(~features.any(dim=1), NONE)


def cosines(features: Tensor, prototypes: Tensor) -> Tensor:
    """Cosine (N, C) of each feature (N, D) to each of the unit vectors ``prototypes`` (C, D)."""
    return F.normalize(features.float(), dim=1) @ prototypes.T


def require_width(student: Student, width: int, whose: str, purpose: str) -> None:
    """A `RecipeError` unless the student's features are as wide as what ``purpose`` compares them with."""
    if student.out_channels != width:
        raise RecipeError(
            f"the student gives {student.out_channels} channels and {whose} {width}; {purpose} compares them directly, "
            "so they must be equal"
        )


def prototype_metrics(
    trial: Trial,
    networks: Mapping[str, Student],
    classify: Classify,
    majority: int,
    pixel_features: PixelFeatures,
    visibility: Visibility,
) -> dict[tuple[str, str], Metric]:
    """The metric of every contestant and subset over the test scans: all labelled points, then those that a view sees.

    The networks and the majority class have either; the teacher, who sees images only, the latter, in which a point of
    which it says nothing is a miss: all are of the same points.
    """
    names = [*networks, "majority class"]
    metrics = {(name, ""): trial.task.metric() for name in names}
    metrics |= {(name, VISIBLE): trial.task.metric() for name in ("teacher", *names)}
    for scene in each(trial, trial.test, "test scans"):
        seen, teacher = visible_features(scene, visibility.pairs(scene), pixel_features)
        predictions = {
            name: classify(student_output(network, scene, trial.device)) for name, network in networks.items()
        }
        predictions["majority class"] = torch.full((len(scene.points),), majority)
        labels = trial.task.targets(scene, "test scan")
        for name, predicted in predictions.items():
            metrics[name, ""].update(predicted, labels)
            metrics[name, VISIBLE].update(predicted[torch.from_numpy(seen)], labels[seen])
        metrics["teacher", VISIBLE].update(teacher_classes(classify, teacher), labels[seen])
    return metrics


def prototype_rows(metrics: Mapping[tuple[str, str], Metric]) -> list[Row]:
    """The rows of `prototype_metrics`; none at visible points where no camera sees a labelled point.

    The student's row at visible points has its share of the teacher's value.
    """
    rows = [
        row_of(metric, name, ROLES.get(name, "baseline"), subset)
        for (name, subset), metric in metrics.items()
        if metric.counted or not subset
    ]
    at_visible = {row.name: row for row in rows if row.subset}
    if at_visible:
        decides = metrics["student", ""].decides
        student, teacher = at_visible["student"].metrics, at_visible["teacher"].metrics
        student[SHARE.key] = share_of_teacher(student[decides], teacher[decides])
    return rows


def share_of_teacher(student: float | None, teacher: float | None) -> float | None:
    """The student's value over the teacher's; None if there is none or the teacher's is 0."""
    return student / teacher if student is not None and teacher else None


def prototype_result(
    trial: Trial,
    protocol: str,
    metrics: Mapping[tuple[str, str], Metric],
    settings: dict[str, Any],
    words: dict[str, Any],
) -> Result:
    """The result of a protocol whose contestants are those of `prototype_metrics`."""
    rows = prototype_rows(metrics)
    shared = (SHARE,) if any(SHARE.key in row.metrics for row in rows) else ()
    metric = metrics["student", ""]
    return Result(
        protocol,
        (*metric.columns, *shared),
        rows,
        metric.decides,
        settings,
        words,
        trial.task.name,
        metric.class_columns,
    )
