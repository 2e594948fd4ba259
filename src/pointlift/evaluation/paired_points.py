"""Test points at which student and teacher are compared: those that a view sees, drawn class by class or from all."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from pointlift.data.scene import Scene
from pointlift.errors import DataError
from pointlift.evaluation.base import Trial, each
from pointlift.evaluation.features import student_output
from pointlift.evaluation.sampling import Shortlist, generator
from pointlift.evaluation.visibility import Visibility, visible_features
from pointlift.students.base import Student


def sampled_features(
    trial: Trial, networks: Mapping[str, Student], limit: int, visibility: Visibility, *, labelled: bool = True
) -> tuple[dict[str, Tensor], np.ndarray]:
    """Features (N, D) of each network and of ``teacher`` at the same N drawn test points, and their classes (N,).

    Args:
        trial: test data, teacher and seed.
        networks: by name.
        limit: most points of each class, over all scans.
        visibility: which points are seen.
        labelled: draw labelled points class by class; otherwise any, as of a single class 0, and no label is read.

    Raises:
        DataError: no such point is seen by an image, or features are not finite.
    """
    shortlist = _draw_points(trial, limit, visibility, labelled)
    if shortlist.counts().sum() == 0:
        which = "labelled point" if labelled else "point"
        raise DataError(f"no {which} of the test scans is seen by an image; this protocol compares such points")
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


def _draw_points(trial: Trial, limit: int, visibility: Visibility, labelled: bool) -> Shortlist:
    shortlist = Shortlist(len(trial.class_names) if labelled else 1, limit)
    for number, scene in enumerate(each(trial, trial.test, "visible points")):
        seen = np.unique(visibility.pairs(scene).point_index)
        labels = _classes(trial, scene, labelled)[seen]
        shortlist.offer(number, seen, labels, generator(trial.seed, "structure points", scene.id))
    return shortlist


def _classes(trial: Trial, scene: Scene, labelled: bool) -> np.ndarray:
    """Class (N,) of every point; 0 where no label is read."""
    return trial.task.targets(scene, "test scan") if labelled else np.zeros(len(scene.points), np.int64)
