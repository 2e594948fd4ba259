import numpy as np
import pytest

from pointlift.errors import DataError
from pointlift.evaluation.labels import count_labels, majority_class
from tests.evaluation.world import trial


def test_labels_are_counted_in_the_chosen_scans_only(tmp_path) -> None:
    given = trial(tmp_path)
    expected = [sum(int((given.labelled[scan].labels == label).sum()) for scan in (0, 3)) for label in range(4)]
    assert count_labels(given, [0, 3]).tolist() == expected


def test_majority_class_needs_a_label() -> None:
    assert majority_class(np.array([0, 4, 4])) == 1
    with pytest.raises(DataError, match="learns from labels"):
        majority_class(np.zeros(3, int))
