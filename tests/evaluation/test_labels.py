import numpy as np
import pytest

from pointlift.errors import DataError
from pointlift.evaluation.labels import count_labels, labels_of, majority_class, require_labels
from tests.evaluation.world import World, trial


def test_labels_are_needed_and_must_be_classes() -> None:
    with pytest.raises(DataError, match=r"test scan '00/000000' has no labels.*needs labelled points"):
        labels_of(World(1, labels=False)[0], "test", 4)
    with pytest.raises(DataError, match="label 2"):
        labels_of(World(1)[0], "test", 2)


def test_an_empty_split_is_named(tmp_path) -> None:
    with pytest.raises(DataError, match="the test split of 'world' has no scans"):
        require_labels(trial(tmp_path, test=World(0)))


def test_labels_are_counted_in_the_chosen_scans_only(tmp_path) -> None:
    given = trial(tmp_path)
    expected = [sum(int((given.train[scan].labels == label).sum()) for scan in (0, 3)) for label in range(4)]
    assert count_labels(given, [0, 3]).tolist() == expected


def test_majority_class_needs_a_label() -> None:
    assert majority_class(np.array([0, 4, 4])) == 1
    with pytest.raises(DataError, match="learns from labels"):
        majority_class(np.zeros(3, int))
