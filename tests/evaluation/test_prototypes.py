from pathlib import Path

import numpy as np
import torch

from pointlift.evaluation.protocols.exemplar import class_prototypes
from pointlift.evaluation.protocols.structure import sampled_features
from pointlift.evaluation.prototypes import nearest, prototype_metrics, teacher_classes
from pointlift.evaluation.visibility import Visibility
from tests.evaluation.world import COLORS, Oracle, World, pixel_colors, trial

PROTOTYPES = torch.nn.functional.normalize(torch.from_numpy(COLORS).float(), dim=1)


def silent_above(scene, pairs) -> torch.Tensor:
    """The colours, and nothing in the upper half of the image."""
    return pixel_colors(scene, pairs) * torch.from_numpy(pairs.pixels[:, 1:] > 15.5)


def classify(features: torch.Tensor) -> torch.Tensor:
    return torch.cat([nearest(features, PROTOTYPES)])


def test_where_the_teacher_says_nothing_there_is_no_class() -> None:
    features = torch.tensor([[0.0, 0.0, 0.0], [0.0, 2.0, 0.1], [0.0, 0.0, 1e-3]])
    assert teacher_classes(classify, features).tolist() == [-1, 1, 2]


def test_all_rows_are_of_the_same_visible_points(tmp_path: Path) -> None:
    given = trial(tmp_path, test=World(2, seed=1, points=800))
    found = prototype_metrics(given, {"student": Oracle()}, classify, 0, silent_above, Visibility())
    teacher, student = found["teacher", "visible points"], found["student", "visible points"]
    expected, missed = 0, 0
    for scene in given.test:
        pairs = scene.pairs()
        above = pairs.pixels[:, 1] <= 15.5
        labelled = scene.labels[pairs.point_index] >= 0
        expected += int(labelled.sum())
        missed += int((above & labelled).sum())
    assert teacher.missed.sum() == missed > 50
    assert teacher.matrix.sum() + missed == student.matrix.sum() == expected
    assert teacher.result()["points"] == student.result()["points"]
    assert teacher.result()["accuracy"] < 1 - 0.9 * missed / expected < 0.9 < student.result()["accuracy"]


def test_silent_pixels_make_no_exemplar_and_no_structure(tmp_path: Path) -> None:
    given = trial(tmp_path, test=World(2, seed=1, points=400))
    prototypes, counts = class_prototypes(given, silent_above, None, Visibility())
    spoken = 0
    for scene in given.labelled:
        pairs = scene.pairs()
        spoken += int(((pairs.pixels[:, 1] > 15.5) & (scene.labels[pairs.point_index] >= 0)).sum())
    assert counts["samples"].sum() == spoken
    assert bool(prototypes[3].isnan().all())

    def only_left(scene, pairs) -> torch.Tensor:
        """Speaks of one class alone."""
        return pixel_colors(scene, pairs) * torch.from_numpy(scene.labels[pairs.point_index] == 0)[:, None]

    prototypes, _ = class_prototypes(given, only_left, None, Visibility())
    assert prototypes.isnan().all(dim=1).tolist() == [False, True, True, True]  # and not a prototype of zeros

    given.pixel_features = lambda: silent_above
    features, labels = sampled_features(given, {"student": given.student}, 10_000, Visibility())
    assert len(labels) == len(features["teacher"]) == len(features["student"])
    assert bool(features["teacher"].any(dim=1).all())
    assert np.isin(labels, (0, 1, 2)).all()
