import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pointlift.errors import DataError, RecipeError
from pointlift.evaluation.paired_points import sampled_features
from pointlift.evaluation.protocols.structure import balanced, structure
from pointlift.evaluation.visibility import Visibility
from pointlift.registry import PROTOCOLS
from tests.evaluation.protocols.test_exemplar import noisy_colors, unit
from tests.evaluation.world import CLASSES, Oracle, ToyStudent, World, fresh_student, trial


class Locator(ToyStudent):
    """Its output is the point itself, so that a test can see which points were asked for."""

    def forward(self, batch):
        return batch.points


def points_at_pixels(scene, pairs) -> torch.Tensor:
    return torch.from_numpy(scene.points[pairs.point_index])


def test_student_and_teacher_are_measured_at_the_same_points(tmp_path: Path) -> None:
    given = trial(tmp_path, test=World(3, seed=1, views=2), pixel_features=lambda: points_at_pixels)
    features, labels = sampled_features(given, {"student": Locator()}, 20, Visibility())
    directions = torch.nn.functional.normalize(features["student"], dim=1)
    assert torch.allclose(directions, features["teacher"], atol=1e-6)
    assert np.bincount(labels, minlength=4).tolist() == [20, 20, 20, 0]
    assert len({tuple(row) for row in features["student"].tolist()}) == 60
    where = {
        tuple(point): label for scene in given.test for point, label in zip(scene.points, scene.labels, strict=True)
    }
    assert [where[tuple(row)] for row in features["student"].numpy()] == labels.tolist()


def test_measures_against_literal_loops(tmp_path: Path) -> None:
    given = trial(tmp_path, pixel_features=lambda: noisy_colors)
    result = PROTOCOLS.build("structure", given, points_per_class=15)
    features, labels = sampled_features(given, {"student": given.student}, 15, Visibility())
    k, q = (np.array([unit(row) for row in features[name].double().numpy()]) for name in ("student", "teacher"))
    found = result["student"]
    count = len(labels)
    off = [(i, j) for i in range(count) for j in range(count) if i != j]
    uniformity = [-np.log(np.mean([np.exp(-2 * ((x[i] - x[j]) ** 2).sum()) for i, j in off])) for x in (k, q)]
    same = [[(i, j) for i, j in off if labels[i] == labels[j] == label] for label in np.unique(labels)]
    tolerance = [np.mean([np.mean([x[i] @ x[j] for i, j in pairs]) for pairs in same]) for x in (k, q)]
    assert found["uniformity"] == pytest.approx(uniformity[0], abs=1e-5)
    assert found["tolerance"] == pytest.approx(tolerance[0], abs=1e-5)
    assert result["teacher"]["uniformity"] == pytest.approx(uniformity[1], abs=1e-5)
    assert result["teacher"]["tolerance"] == pytest.approx(tolerance[1], abs=1e-5)
    assert found["uniformity_gap"] == pytest.approx(abs(uniformity[0] - uniformity[1]), abs=1e-5)
    assert found["tolerance_gap"] == pytest.approx(abs(tolerance[0] - tolerance[1]), abs=1e-5)
    assert found["modality_gap"] == pytest.approx(np.linalg.norm(k.mean(0) - q.mean(0)), abs=1e-5)
    assert found["paired_gap"] == pytest.approx(1 - np.mean([a @ b for a, b in zip(k, q, strict=True)]), abs=1e-5)
    relational = np.mean([abs(k[i] @ k[j] - q[i] @ q[j]) for i, j in off])
    assert found["relational_gap"] == pytest.approx(relational, abs=1e-5)
    assert json.dumps(result.to_dict(), allow_nan=False)
    found = [(row.name, row.role) for row in result]
    assert found == [("teacher", "teacher"), ("student", "student"), ("random network", "baseline")]


def test_a_perfect_student_has_no_gaps(tmp_path: Path) -> None:
    def true_colors(scene, pairs):
        return torch.from_numpy(Oracle().eval().features(scene)[pairs.point_index])

    found = structure(trial(tmp_path, student=Oracle(), pixel_features=lambda: true_colors))["student"]
    for gap in ("uniformity_gap", "tolerance_gap", "modality_gap", "paired_gap", "relational_gap"):
        assert found[gap] == pytest.approx(0, abs=1e-5)
    assert found["linear_cka"] == pytest.approx(1, abs=1e-5)


def test_rare_classes_give_all_and_the_pair_sample_is_balanced(tmp_path: Path) -> None:
    test = World(2, seed=1, rare=8)
    result = structure(trial(tmp_path, test=test), points_per_class=30, pair_points=40).words
    rare = sum(int((scene.labels[np.unique(scene.pairs().point_index)] == 3).sum()) for scene in test)
    assert 1 < rare < 10
    assert result["points of each class"] == {**dict.fromkeys(CLASSES[:3], 30), "rare": rare}
    equal = (40 - rare) // 3
    assert result["points of each class for uniformity and relational gap"] == {
        **dict.fromkeys(CLASSES[:3], equal),
        "rare": rare,
    }


def test_balanced_sample() -> None:
    labels = np.repeat([0, 2, 5], [100, 3, 20])
    chosen = balanced(labels, 50, np.random.default_rng(0))
    assert np.bincount(labels[chosen], minlength=6).tolist() == [27, 0, 3, 0, 0, 20]
    assert np.array_equal(chosen, np.unique(chosen))
    assert np.array_equal(balanced(labels, 1000, np.random.default_rng(0)), np.arange(123))
    assert len(balanced(labels, 2, np.random.default_rng(0))) == 2


def test_same_seed_same_numbers(tmp_path: Path) -> None:
    noisy = {"pixel_features": lambda: noisy_colors}
    one, two = (structure(trial(tmp_path, seed=2, **noisy), points_per_class=10) for _ in range(2))
    other = structure(trial(tmp_path, seed=3, **noisy), points_per_class=10)
    assert [row.metrics for row in one] == [row.metrics for row in two]
    assert one["teacher"] != other["teacher"]
    assert one["random network"] != other["random network"]


def test_what_cannot_be_measured_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="'points_per_class' is 1: input should be greater than or equal to 2"):
        PROTOCOLS.build("structure", trial(tmp_path), points_per_class=1)
    with pytest.raises(DataError, match="seen by an image"):
        structure(trial(tmp_path, test=World(1, views=0)))
    dead = fresh_student(0)
    torch.nn.init.zeros_(dead.head.weight)
    torch.nn.init.zeros_(dead.head.bias)
    with pytest.raises(DataError, match="rows of zeros"):
        structure(trial(tmp_path, student=dead))


def test_without_labels_there_is_no_tolerance_and_no_label_is_read(tmp_path: Path) -> None:
    class Unlabelled(World):
        class_names = ()

    bare = Unlabelled(3, seed=1, labels=False)
    given = trial(tmp_path, train=bare, test=bare, pixel_features=lambda: noisy_colors)
    result = structure(given, pair_points=100)
    assert result.task is None
    assert "tolerance" not in result.student.metrics
    assert not any(column.key.startswith("tolerance") for column in result.columns)
    assert result.student.metrics["points"] == 100
    assert result.student.metrics["relational_gap"] > 0
    # labels that name other classes than those of the data that give labels are of no use either
    assert structure(trial(tmp_path, train=bare, test=World(2), pixel_features=lambda: noisy_colors)).task is None
