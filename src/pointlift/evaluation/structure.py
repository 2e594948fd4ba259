"""Structure: how the layout of the student's features differs from the teacher's, on held-out points."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointlift import structure as measures
from pointlift.data.scene import Pairs
from pointlift.errors import DataError, RecipeError
from pointlift.evaluation.base import (
    Shortlist,
    Trial,
    describe_data,
    each,
    generator,
    labels_of,
    require_labels,
    require_positive,
    visibility_in_words,
)
from pointlift.evaluation.exemplar import visible_features
from pointlift.evaluation.features import random_network, spread, student_output
from pointlift.registry import PROTOCOLS


@PROTOCOLS.register("structure")
def structure(
    trial: Trial,
    *,
    points_per_class: int = 5000,
    pair_points: int = 20_000,
    t: float = 2.0,
    min_depth: float = 1.0,
    occlusion: float | None = None,
    normalization_scans: int = 8,
) -> dict[str, Any]:
    """Uniformity, tolerance and gaps between student and teacher at the same points (``methods.md`` A.5).

    Args:
        trial: student, data, teacher and seed.
        points_per_class: labelled visible test points drawn per class; a rarer class gives all it has.
        pair_points: most points for the measures over all pairs (uniformity, relational gap), as many per class as
            possible.
        t: scale of the uniformity.
        min_depth: metres in front of the camera from which a point counts as seen.
        occlusion: tolerance of the occlusion test of `Scene.pairs`; None for no test.
        normalization_scans: training scans from which the random network takes its batch statistics.

    Returns:
        ``protocol`` and ``results``: rows "student" and "random network" with ``uniformity``, ``tolerance``, their
        gaps to the teacher, ``modality_gap``, ``paired_gap``, ``linear_cka``, ``relational_gap``; row "teacher" with
        the first two.

    Raises:
        DataError: labels are missing, no labelled test point is visible, or features have no direction.
    """
    if points_per_class < 2 or pair_points < 2:
        raise RecipeError("points_per_class and pair_points must be at least 2: the measures compare pairs of points")
    require_labels(trial)
    require_positive("structure", t=t)
    options: dict[str, Any] = {"min_depth": min_depth, "occlusion": occlusion}
    network, network_in_words = random_network(trial, spread(range(len(trial.train)), normalization_scans))
    networks = {"student": trial.student, "random network": network}
    features, labels = sampled_features(trial, networks, points_per_class, options)
    if len(labels) < 2 or np.bincount(labels).max() < 2:
        raise DataError("fewer than two labelled test points of any class are seen by an image; structure needs pairs")
    paired = balanced(labels, pair_points, generator(trial.seed, "structure pairs"))
    results: dict[str, Any] = {}
    for name in networks:
        results[name], results["teacher"] = _compare(features[name], features["teacher"], labels, paired, t)
    protocol = {
        "task": "structure",
        **describe_data(trial),
        "points": f"visible labelled test points, up to {points_per_class} per class, drawn from (seed, scan) over all "
        "scans together; the same points for student, teacher and random network",
        "visible": visibility_in_words(min_depth, occlusion),
        "points of each class": _by_class(trial, labels),
        "points of each class for uniformity and relational gap": _by_class(trial, labels[paired]),
        **_measures_in_words(t, len(paired)),
        "random network": network_in_words,
        **{"points_per_class": points_per_class, "pair_points": pair_points, "t": t, **options},
    }
    return {"protocol": protocol, "results": {name: results[name] for name in ("teacher", *networks)}}


def _by_class(trial: Trial, labels: np.ndarray) -> dict[str, int]:
    counts = np.bincount(labels, minlength=len(trial.class_names))
    return dict(zip(trial.class_names, counts.tolist(), strict=True))


def _measures_in_words(t: float, pair_points: int) -> dict[str, str]:
    return {
        "features": "L2-normalised in all measures",
        "uniformity": f"-log mean over i != j of exp(-{t:g} |x_i - x_j|^2), over {pair_points} of the points, as many "
        "of each class as possible, all pairs weighted equally",
        "tolerance": "mean cosine over i != j of one class, averaged over the classes with two points; all points",
        "modality_gap": "distance of the mean unit features; all points",
        "paired_gap": "1 - mean cosine of student and teacher at the same point; all points",
        "linear_cka": "linear centred kernel alignment of the unit features; all points",
        "relational_gap": "mean over i != j of |cosine of student - cosine of teacher|; the points of uniformity",
    }


def sampled_features(
    trial: Trial, networks: dict[str, Any], points_per_class: int, pair_options: dict[str, Any]
) -> tuple[dict[str, Tensor], np.ndarray]:
    """Features (N, D) of each network and of ``teacher`` at the same N drawn test points, and their labels (N,)."""
    num_classes = len(trial.class_names)
    shortlist = Shortlist(num_classes, points_per_class)
    for number, scene in enumerate(each(trial, trial.test, "visible points")):
        seen = np.unique(scene.pairs(**pair_options).point_index)
        labels = labels_of(scene, "test", num_classes)[seen]
        shortlist.offer(number, seen, labels, generator(trial.seed, "structure points", scene.id))
    pixel_features = trial.pixel_features()
    gathered: dict[str, list[Tensor]] = {name: [] for name in ("teacher", *networks)}
    drawn = [np.zeros(0, np.int64)]
    for number, scene in enumerate(each(trial, trial.test, "features")):
        points, labels = shortlist.of_scene(number)
        if len(points) == 0:
            continue
        pairs = scene.pairs(**pair_options)
        mine = np.isin(pairs.point_index, points)
        seen, teacher = visible_features(scene, Pairs(*(part[mine] for part in pairs)), pixel_features)
        assert np.array_equal(seen, points)
        gathered["teacher"].append(teacher)
        for name, network in networks.items():
            gathered[name].append(student_output(network, scene, trial.device)[torch.from_numpy(points)])
        drawn.append(labels)
    if len(drawn) == 1:
        raise DataError("no labelled point of the test scans is seen by an image; structure compares such points")
    return {name: torch.cat(parts) for name, parts in gathered.items()}, np.concatenate(drawn)


def balanced(labels: np.ndarray, limit: int, rng: np.random.Generator) -> np.ndarray:
    """Indices, ascending, of at most ``limit`` points: equally many of every class, all of one that has fewer."""
    counts = np.bincount(labels)
    most = max((m for m in range(1, counts.max() + 1) if np.minimum(counts, m).sum() <= limit), default=0)
    chosen = [np.zeros(0, np.int64)]
    for label in np.flatnonzero(counts):
        members = np.flatnonzero(labels == label)
        chosen.append(rng.permutation(members)[:most])
    joined = np.concatenate(chosen)
    if most == 0:  # more classes than points
        joined = rng.permutation(len(labels))[:limit]
    return np.sort(joined)


def _compare(
    student: Tensor, teacher: Tensor, labels: np.ndarray, paired: np.ndarray, t: float
) -> tuple[dict[str, float], dict[str, float]]:
    rows = torch.from_numpy(paired)
    try:
        values = measures.measure(student[rows], teacher[rows], t=t)
        tolerances = measures.tolerance(student, labels), measures.tolerance(teacher, labels)
        compared = {
            "uniformity": values["student_uniformity"],
            "uniformity_gap": values["uniformity_gap"],
            "tolerance": tolerances[0],
            "tolerance_gap": abs(tolerances[0] - tolerances[1]),
            "modality_gap": measures.modality_gap(student, teacher),
            "paired_gap": measures.paired_gap(student, teacher),
            "linear_cka": measures.linear_cka(student, teacher),
            "relational_gap": values["relational_gap"],
        }
    except ValueError as error:
        raise DataError(f"the structure of the features cannot be measured: {error}") from error
    points = {"points": len(labels), "pair_points": len(paired)}
    return compared | points, {"uniformity": values["teacher_uniformity"], "tolerance": tolerances[1], **points}
