"""Exemplars: classes named by labelled pixels of the training images, found in the test scans with no 3D training."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from pointlift.errors import DataError
from pointlift.evaluation.base import PixelFeatures, Trial, each, require
from pointlift.evaluation.features import random_network
from pointlift.evaluation.labels import majority_class
from pointlift.evaluation.protocol import absent_classes, describe_data, settings_with_labels
from pointlift.evaluation.prototypes import Classify, nearest, prototype_metrics, prototype_result, require_width
from pointlift.evaluation.result import Result
from pointlift.evaluation.sampling import Shortlist, generator, spread
from pointlift.evaluation.visibility import Visibility
from pointlift.registry import PROTOCOLS


def classifier(trial: Trial, *, samples_per_class: int | None, min_depth: float, occlusion: float | None) -> Classify:
    """Features to classes as a result with these settings has them."""
    visibility = Visibility(min_depth, occlusion)
    prototypes, _ = class_prototypes(trial, trial.pixel_features(), samples_per_class, visibility)
    return partial(nearest, prototypes=prototypes)


@PROTOCOLS.register(
    "exemplar",
    needs=("labels", "point classes", "point features", "teacher"),
    reads="by labelled pixels of the training images",
    classifier=classifier,
)
def exemplar(
    trial: Trial,
    *,
    samples_per_class: PositiveInt | None = None,
    min_depth: NonNegativeFloat = 1.0,
    occlusion: PositiveFloat | None = None,
    normalization_scans: PositiveInt = 8,
) -> Result:
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
        The task's metric of the student, a random network and the majority class at all points and, where a camera sees
        a labelled point, at visible points; there also of the teacher, and the student's share of what it reaches.

    Raises:
        DataError: labels are missing. RecipeError: the student's features cannot be compared with the teacher's.
    """
    require(trial, "exemplar")
    visibility = Visibility(min_depth, occlusion)
    pixel_features = trial.pixel_features()
    prototypes, counts = class_prototypes(trial, pixel_features, samples_per_class, visibility)
    require_width(trial.student, prototypes.shape[1], "the teacher", "exemplar")
    network, network_in_words = random_network(trial, spread(range(len(trial.labelled)), normalization_scans))
    majority = majority_class(counts["points"])
    networks = {"student": trial.student, "random network": network}
    classify = partial(nearest, prototypes=prototypes)
    metrics = prototype_metrics(trial, networks, classify, majority, pixel_features, visibility)
    options = {"samples_per_class": samples_per_class, "normalization_scans": normalization_scans}
    words = {
        **_prototypes_in_words(trial, counts["samples"], samples_per_class),
        **_prediction_in_words(visibility),
        "random network": network_in_words,
        "majority class": trial.class_names[majority],
    }
    settings = settings_with_labels(trial, **options, **visibility._asdict())
    return prototype_result(trial, "exemplar", metrics, settings, words)


def _prototypes_in_words(trial: Trial, samples: np.ndarray, samples_per_class: int | None) -> dict[str, Any]:
    return {
        **describe_data(trial),
        **trial.task.metric().words,
        "prototypes": "one per class: L2-normalised mean of the L2-normalised teacher features at the pixels of "
        "labelled training points; a point seen by several views gives one pixel in each, and pixels of which the "
        "teacher says nothing give none",
        "samples of each class": dict(zip(trial.class_names, samples.tolist(), strict=True)),
        "samples_per_class": samples_per_class,
        **absent_classes(trial, samples),
    }


def _prediction_in_words(visibility: Visibility) -> dict[str, Any]:
    return {
        "prediction": "the class, of those with a prototype, whose prototype has the highest cosine to the point's "
        "feature; the student has seen no label",
        "visible points": visibility.in_words(),
        **visibility._asdict(),
    }


def class_prototypes(
    trial: Trial, pixel_features: PixelFeatures, samples_per_class: int | None, visibility: Visibility
) -> tuple[Tensor, dict[str, np.ndarray]]:
    """Prototypes (C, D), rows of NaN for classes without a sample, and per class (C,) ``samples`` used and ``points``.

    Two passes: the first draws the pixels from labels and pairs alone, the second asks the teacher at those only.
    """
    num_classes = len(trial.class_names)
    shortlist, points = _draw_pixels(trial, samples_per_class, visibility)
    sums: Tensor | None = None
    samples = np.zeros(num_classes, np.int64)
    for number, scene in enumerate(each(trial, trial.labelled, "prototypes")):
        pairs = visibility.pairs(scene)
        labels = trial.task.targets(scene, "training scan")[pairs.point_index]
        used = np.flatnonzero(labels >= 0) if shortlist is None else shortlist.of_scene(number)[0]
        if len(used) == 0:
            continue
        unit = F.normalize(pixel_features(scene, pairs.take(used)).double(), dim=1)
        spoken = unit.any(dim=1)  # elsewhere the teacher says nothing
        used, unit = used[spoken.numpy()], unit[spoken]
        sums = torch.zeros(num_classes, unit.shape[1], dtype=torch.float64) if sums is None else sums
        sums.index_add_(0, torch.from_numpy(labels[used]), unit)
        samples += np.bincount(labels[used], minlength=num_classes)
    if sums is None:
        raise DataError("no labelled point of the training scans is seen by an image, so no class has an exemplar")
    prototypes = F.normalize(sums / torch.from_numpy(samples)[:, None], dim=1)  # 0/0 is NaN: no prototype
    return prototypes.float(), {"samples": samples, "points": points}


def _draw_pixels(
    trial: Trial, samples_per_class: int | None, visibility: Visibility
) -> tuple[Shortlist | None, np.ndarray]:
    """The pairs to use, None for all, which no memory need hold; and the number of labelled points (C,)."""
    num_classes = len(trial.class_names)
    shortlist = None if samples_per_class is None else Shortlist(num_classes, samples_per_class)
    points = np.zeros(num_classes, np.int64)
    for number, scene in enumerate(each(trial, trial.labelled, "labelled pixels")):
        labels = trial.task.targets(scene, "training scan")
        points += np.bincount(labels[labels >= 0], minlength=num_classes)
        if shortlist is not None:
            labels_of_pairs = labels[visibility.pairs(scene).point_index]
            rng = generator(trial.seed, "exemplars", scene.id)
            shortlist.offer(number, np.arange(len(labels_of_pairs)), labels_of_pairs, rng)
    return shortlist, points
