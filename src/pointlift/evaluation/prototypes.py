"""Classes by the nearest prototype: what the protocols share that compare features with one vector per class."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from pointlift.errors import RecipeError
from pointlift.evaluation.base import PixelFeatures, Trial, each
from pointlift.evaluation.features import student_output
from pointlift.evaluation.labels import labels_of
from pointlift.evaluation.metrics import NONE, Confusion
from pointlift.evaluation.scoring import confusion_of
from pointlift.evaluation.visibility import Visibility, visible_features
from pointlift.students.base import Student

VISIBLE = ", visible points"
"""Ends the names of rows that are scored on the labelled test points that a camera sees."""

Classify = Callable[[Tensor], Tensor]
"""Features (N, D) -> class (N,) of each."""


def nearest(features: Tensor, prototypes: Tensor) -> Tensor:
    """Class (N,) of the prototype (C, D) with the highest cosine to each feature (N, D); NaN rows never win."""
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


def prototype_confusions(
    trial: Trial,
    networks: Mapping[str, Student],
    classify: Classify,
    majority: int,
    pixel_features: PixelFeatures,
    visibility: Visibility,
) -> dict[str, Confusion]:
    """Confusion of every row over the test scans: all labelled points, then those that a view sees.

    The networks and the majority class have a row for either; the teacher, who sees images only, one for the latter,
    in which a point of which it says nothing is a miss: all rows are of the same points.
    """
    rows = [*networks, "majority class"]
    names = [*rows, "teacher" + VISIBLE, *(name + VISIBLE for name in rows)]
    confusions = {name: confusion_of(trial) for name in names}
    for scene in each(trial, trial.test, "test scans"):
        seen, teacher = visible_features(scene, visibility.pairs(scene), pixel_features)
        predictions = {
            name: classify(student_output(network, scene, trial.device)) for name, network in networks.items()
        }
        predictions["majority class"] = torch.full((len(scene.points),), majority)
        labels = labels_of(scene, "test", len(trial.class_names))
        for name, predicted in predictions.items():
            confusions[name].update(predicted, labels)
            confusions[name + VISIBLE].update(predicted[torch.from_numpy(seen)], labels[seen])
        confusions["teacher" + VISIBLE].update(teacher_classes(classify, teacher), labels[seen])
    return confusions
