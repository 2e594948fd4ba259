"""Structure: how the layout of the student's features differs from the teacher's, on held-out points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from pointlift import structure as measures
from pointlift.errors import DataError
from pointlift.evaluation.base import Trial, each, require
from pointlift.evaluation.features import random_network, student_output
from pointlift.evaluation.protocol import describe_data, settings_with_labels
from pointlift.evaluation.result import Column, Result, Role, Row
from pointlift.evaluation.sampling import Shortlist, generator, spread
from pointlift.evaluation.visibility import Visibility, visible_features
from pointlift.registry import PROTOCOLS
from pointlift.students.base import Student

COLUMNS = (
    Column("uniformity", "U", note="uniformity"),
    Column("uniformity_gap", "|ΔU|", better="lower"),
    Column("tolerance", "T", note="tolerance"),
    Column("tolerance_gap", "|ΔT|", better="lower"),
    Column("modality_gap", "modality gap", better="lower"),
    Column("paired_gap", "paired gap", better="lower"),
    Column("linear_cka", "CKA", better="higher"),
    Column("relational_gap", "relational gap", better="lower"),
    Column("points", "points", "count"),
)


@PROTOCOLS.register("structure", needs=("labels", "point classes", "point features", "teacher"))
def structure(
    trial: Trial,
    *,
    points_per_class: Annotated[int, Field(ge=2)] = 5000,
    pair_points: Annotated[int, Field(ge=2)] = 20_000,
    t: PositiveFloat = 2.0,
    min_depth: NonNegativeFloat = 1.0,
    occlusion: PositiveFloat | None = None,
    normalization_scans: PositiveInt = 8,
) -> Result:
    """Uniformity, tolerance and gaps between student and teacher at the same points (``docs/methods.md``).

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
        Rows of the student and of a random network with ``uniformity``, ``tolerance``, their gaps to the teacher,
        ``modality_gap``, ``paired_gap``, ``linear_cka``, ``relational_gap``; and of the teacher with the first two.

    Raises:
        DataError: labels are missing, no labelled test point is visible, or features have no direction.
    """
    require(trial, "structure")
    visibility = Visibility(min_depth, occlusion)
    network, network_in_words = random_network(trial, spread(range(len(trial.labelled)), normalization_scans))
    networks = {"student": trial.student, "random network": network}
    features, labels = sampled_features(trial, networks, points_per_class, visibility)
    if len(labels) < 2 or np.bincount(labels).max() < 2:
        raise DataError("fewer than two labelled test points of any class are seen by an image; structure needs pairs")
    paired = balanced(labels, pair_points, generator(trial.seed, "structure pairs"))
    options = {"points_per_class": points_per_class, "pair_points": pair_points, "t": t, **visibility._asdict()}
    words = {
        **_points_in_words(trial, labels, paired, points_per_class, visibility),
        **_measures_in_words(t, len(paired)),
        "random network": network_in_words,
        **options,
    }
    return Result(
        "structure",
        COLUMNS,
        _rows(networks, features, labels, paired, t),
        "relational_gap",
        settings_with_labels(trial, **options, normalization_scans=normalization_scans),
        words,
        trial.task.name,
    )


def _rows(
    networks: Mapping[str, Student], features: Mapping[str, Tensor], labels: np.ndarray, paired: np.ndarray, t: float
) -> list[Row]:
    """The teacher's row, then those of the networks."""
    measured = {name: _compare(features[name], features["teacher"], labels, paired, t) for name in networks}
    teacher = measured["student"][1]
    roles: dict[str, Role] = {"student": "student"}
    rows = [Row(name, roles.get(name, "baseline"), found) for name, (found, _) in measured.items()]
    return [Row("teacher", "teacher", teacher), *rows]


def _points_in_words(
    trial: Trial, labels: np.ndarray, paired: np.ndarray, points_per_class: int, visibility: Visibility
) -> dict[str, Any]:
    return {
        **describe_data(trial),
        "points": f"visible labelled test points, up to {points_per_class} per class, drawn from (seed, scan) over all "
        "scans together, less those of which the teacher says nothing; the same points for student, teacher and random "
        "network",
        "visible": visibility.in_words(),
        "points of each class": _by_class(trial, labels),
        "points of each class for uniformity and relational gap": _by_class(trial, labels[paired]),
    }


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
    trial: Trial, networks: dict[str, Student], points_per_class: int, visibility: Visibility
) -> tuple[dict[str, Tensor], np.ndarray]:
    """Features (N, D) of each network and of ``teacher`` at the same N drawn test points, and their labels (N,)."""
    shortlist = _draw_points(trial, points_per_class, visibility)
    if shortlist.counts().sum() == 0:
        raise DataError("no labelled point of the test scans is seen by an image; structure compares such points")
    pixel_features = trial.pixel_features()
    gathered: dict[str, list[Tensor]] = {name: [] for name in ("teacher", *networks)}
    drawn: list[np.ndarray] = []
    for number, scene in enumerate(each(trial, trial.test, "features")):
        points, labels = shortlist.of_scene(number)
        if len(points) == 0:
            continue
        pairs = visibility.pairs(scene)
        mine = np.isin(pairs.point_index, points)
        teacher = visible_features(scene, pairs.take(mine), pixel_features)[1]
        spoken = teacher.any(dim=1)
        points, labels = points[spoken.numpy()], labels[spoken.numpy()]
        gathered["teacher"].append(teacher[spoken])
        for name, network in networks.items():
            gathered[name].append(student_output(network, scene, trial.device)[torch.from_numpy(points)])
        drawn.append(labels)
    return {name: torch.cat(parts) for name, parts in gathered.items()}, np.concatenate(drawn)


def _draw_points(trial: Trial, points_per_class: int, visibility: Visibility) -> Shortlist:
    num_classes = len(trial.class_names)
    shortlist = Shortlist(num_classes, points_per_class)
    for number, scene in enumerate(each(trial, trial.test, "visible points")):
        seen = np.unique(visibility.pairs(scene).point_index)
        labels = trial.task.targets(scene, "test scan")[seen]
        shortlist.offer(number, seen, labels, generator(trial.seed, "structure points", scene.id))
    return shortlist


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
