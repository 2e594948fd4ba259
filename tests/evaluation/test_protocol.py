import json

import numpy as np

from pointlift.evaluation.protocol import absent_classes, describe_data, scoring_in_words, subset_in_words
from tests.evaluation.world import CLASSES, trial


def test_protocol_says_which_data(tmp_path) -> None:
    said = describe_data(trial(tmp_path))
    assert said["training data"] == {"data set": "world", "scans": 4, "split": "all"}
    assert said["classes"] == list(CLASSES)


def test_what_else_a_protocol_says(tmp_path) -> None:
    absent = absent_classes(trial(tmp_path), np.array([3, 0, 1, 0]))
    assert absent["classes without a training point"] == ["middle", "rare"]
    assert subset_in_words(8, 0.25).startswith("2 of 8 training scans: those numbered round(j / 0.25)")
    assert json.dumps([absent, scoring_in_words()])
