"""Exemplars: classes named by labelled pixels of the training images, found in the test scans with no 3D training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pointlift.data.scene import Pairs, Scene
from pointlift.errors import DataError, RecipeError
from pointlift.evaluation.base import (
    PixelFeatures,
    Shortlist,
    Trial,
    absent_classes,
    confusion_of,
    describe_data,
    each,
    generator,
    labels_of,
    majority_class,
    require_labels,
    scored,
    scoring_in_words,
    visibility_in_words,
)
from pointlift.evaluation.features import random_network, spread, student_output
from pointlift.evaluation.metrics import Confusion
from pointlift.registry import PROTOCOLS

if TYPE_CHECKING:
    from pointlift.students.base import Student


VISIBLE = ", visible points"


@PROTOCOLS.register("exemplar")
def exemplar(
    trial: Trial,
    *,
    samples_per_class: int | None = None,
    min_depth: float = 1.0,
    occlusion: float | None = None,
    normalization_scans: int = 8,
) -> dict[str, Any]:
    """Nearest class prototype, prototypes being mean teacher features of labelled training pixels.

    Prototype of class c: ``normalise(mean over its pixels of normalise(q))`` with the teacher's features q at the
    pixels of the labelled points. Prediction: ``argmax_c`` cosine with the student's feature of the point, over the
    classes that have a prototype. The student sees no label; the teacher's own rows are its ceiling.

    Args:
        trial: student, data, teacher and seed.
        samples_per_class: pixels per class, drawn uniformly from all training pixels; None uses all.
        min_depth: metres in front of the camera from which a point counts as seen.
        occlusion: tolerance of the occlusion test of `Scene.pairs`; None for no test.
        normalization_scans: training scans from which the random network takes its batch statistics.

    Returns:
        ``protocol`` and ``results``, the metrics of `Confusion.result` by row. Rows that end in "visible points" are
        scored on the labelled test points that a camera sees.

    Raises:
        DataError: labels are missing. RecipeError: the student's features cannot be compared with the teacher's.
    """
    if samples_per_class is not None and samples_per_class < 1:
        raise RecipeError(f"samples_per_class is {samples_per_class}; it must be at least 1, or null for all")
    require_labels(trial)
    pixel_features = trial.pixel_features()
    options: dict[str, Any] = {"min_depth": min_depth, "occlusion": occlusion}
    prototypes, counts = class_prototypes(trial, pixel_features, samples_per_class, options)
    if trial.student.out_channels != prototypes.shape[1]:
        raise RecipeError(
            f"the student gives {trial.student.out_channels} channels and the teacher {prototypes.shape[1]}; exemplar "
            "compares them directly, so they must be equal"
        )
    network, network_in_words = random_network(trial, spread(range(len(trial.train)), normalization_scans))
    majority = majority_class(counts["points"])
    networks = {"student": trial.student, "random network": network}
    confusions = _confusions(trial, networks, prototypes, majority, pixel_features, options)
    samples = dict(zip(trial.class_names, counts["samples"].tolist(), strict=True))
    protocol = {
        "task": "exemplar",
        **describe_data(trial),
        **scoring_in_words(),
        "prototypes": "one per class: L2-normalised mean of the L2-normalised teacher features at the pixels of "
        "labelled training points; a point seen by several views gives one pixel in each",
        "samples of each class": samples,
        "samples_per_class": samples_per_class,
        **absent_classes(trial, counts["samples"]),
        "prediction": "the class, of those with a prototype, whose prototype has the highest cosine to the point's "
        "feature; the student has seen no label",
        "visible points": visibility_in_words(min_depth, occlusion),
        **options,
        "random network": network_in_words,
        "majority class": trial.class_names[majority],
    }
    return {"protocol": protocol, "results": {name: scored(confusion) for name, confusion in confusions.items()}}


def _confusions(
    trial: Trial,
    networks: dict[str, Student],
    prototypes: Tensor,
    majority: int,
    pixel_features: PixelFeatures,
    options: dict[str, Any],
) -> dict[str, Confusion]:
    """Confusion of every row over the test scans: all labelled points, then those that a view sees."""
    rows = [*networks, "majority class"]
    names = [*rows, "teacher" + VISIBLE, *(name + VISIBLE for name in rows)]
    confusions = {name: confusion_of(trial) for name in names}
    for scene in each(trial, trial.test, "test scans"):
        seen, teacher = visible_features(scene, scene.pairs(**options), pixel_features)
        predictions = {
            name: nearest(student_output(network, scene, trial.device), prototypes)
            for name, network in networks.items()
        }
        predictions["majority class"] = torch.full((len(scene.points),), majority)
        labels = labels_of(scene, "test", len(trial.class_names))
        for name, predicted in predictions.items():
            confusions[name].update(predicted, labels)
            confusions[name + VISIBLE].update(predicted[torch.from_numpy(seen)], labels[seen])
        confusions["teacher" + VISIBLE].update(nearest(teacher, prototypes), labels[seen])
    return confusions


def class_prototypes(
    trial: Trial, pixel_features: PixelFeatures, samples_per_class: int | None, pair_options: dict[str, Any]
) -> tuple[Tensor, dict[str, np.ndarray]]:
    """Prototypes (C, D), rows of NaN for classes without a sample, and per class (C,) ``samples`` used and ``points``.

    Two passes: the first draws the pixels from labels and pairs alone, the second asks the teacher at those only.
    """
    num_classes = len(trial.class_names)
    shortlist = Shortlist(num_classes, samples_per_class)
    points = np.zeros(num_classes, np.int64)
    for number, scene in enumerate(each(trial, trial.train, "labelled pixels")):
        labels = labels_of(scene, "training", num_classes)
        points += np.bincount(labels[labels >= 0], minlength=num_classes)
        labels_of_pairs = labels[scene.pairs(**pair_options).point_index]
        if samples_per_class is not None:
            rng = generator(trial.seed, "exemplars", scene.id)
            shortlist.offer(number, np.arange(len(labels_of_pairs)), labels_of_pairs, rng)
    sums: Tensor | None = None
    samples = np.zeros(num_classes, np.int64)
    for number, scene in enumerate(each(trial, trial.train, "prototypes")):
        pairs = scene.pairs(**pair_options)
        labels_of_pairs = labels_of(scene, "training", num_classes)[pairs.point_index]
        used = np.flatnonzero(labels_of_pairs >= 0) if samples_per_class is None else shortlist.of_scene(number)[0]
        if len(used) == 0:
            continue
        kept = torch.from_numpy(labels_of_pairs[used])
        unit = F.normalize(pixel_features(scene, Pairs(*(part[used] for part in pairs))).double(), dim=1)
        sums = torch.zeros(num_classes, unit.shape[1], dtype=torch.float64) if sums is None else sums
        sums.index_add_(0, kept, unit)
        samples += np.bincount(kept, minlength=num_classes)
    if sums is None:
        raise DataError("no labelled point of the training scans is seen by an image, so no class has an exemplar")
    prototypes = F.normalize(sums / torch.from_numpy(samples)[:, None], dim=1)  # 0/0 is NaN: no prototype
    return prototypes.float(), {"samples": samples, "points": points}


def visible_features(scene: Scene, pairs: Pairs, pixel_features: PixelFeatures) -> tuple[np.ndarray, Tensor]:
    """Points (V,) int64 that a view sees, ascending, and the mean of their unit teacher features over views (V, D)."""
    seen, row = np.unique(pairs.point_index, return_inverse=True)
    unit = F.normalize(pixel_features(scene, pairs).float(), dim=1)
    sums = torch.zeros(len(seen), unit.shape[1]).index_add_(0, torch.from_numpy(row.reshape(-1)), unit)
    return seen, sums / torch.from_numpy(np.bincount(row.reshape(-1), minlength=len(seen)))[:, None]


def nearest(features: Tensor, prototypes: Tensor) -> Tensor:
    """Class (N,) of the prototype (C, D) with the highest cosine to each feature (N, D); NaN rows never win."""
    absent = prototypes.isnan().any(dim=1)
    cosines = F.normalize(features.float(), dim=1) @ prototypes.nan_to_num().T
    return cosines.masked_fill(absent, -torch.inf).argmax(dim=1)
