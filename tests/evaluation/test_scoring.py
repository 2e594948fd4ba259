import numpy as np
import pytest

from pointlift.errors import DataError
from pointlift.evaluation.scoring import majority_row, measured, row_of
from pointlift.tasks.confusion import Confusion
from tests.evaluation.world import World, trial, true_class


def test_scored_is_json_able_and_needs_labels() -> None:
    few = Confusion(2)
    few.update(np.array([0, 1]), np.array([0, 0]))
    row = row_of(few, "student", "student", "visible points", {"curve": []}, steps=3)
    assert (row.metrics["miou"], row.metrics["steps"], row.details) == (None, 3, {"curve": []})
    assert row.classes["0"]["points"] == 2
    with pytest.raises(DataError, match="labelled test points"):
        row_of(Confusion(2), "student", "student")


def test_every_labelled_test_point_is_counted_once_per_row(tmp_path) -> None:
    rows = measured(
        trial(tmp_path), lambda scene: {"true": true_class(scene.points), "first": np.zeros(len(scene), int)}
    )
    labels = np.concatenate([scene.labels for scene in World(2, seed=1)])
    counts = np.bincount(labels[labels >= 0], minlength=4)
    assert np.array_equal(rows["true"].matrix, np.diag(counts))
    assert np.array_equal(rows["first"].matrix[:, 0], counts)
    assert rows["first"].matrix[:, 1:].sum() == 0


def test_majority_row_is_the_share_of_its_class(tmp_path) -> None:
    labels = np.concatenate([scene.labels for scene in World(2, seed=1)])
    expected = (labels == 1).sum() / (labels >= 0).sum()
    assert majority_row(trial(tmp_path), 1).metrics["accuracy"] == pytest.approx(expected)
