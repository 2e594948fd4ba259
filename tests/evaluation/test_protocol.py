import json

import numpy as np

from pointlift.evaluation.protocol import (
    absent_classes,
    describe_data,
    described,
    settings_with_labels,
    subset_in_words,
)
from tests.evaluation.world import CLASSES, World, trial


def test_protocol_says_which_data(tmp_path) -> None:
    said = describe_data(trial(tmp_path))
    assert said["training data"] == {"data set": "world", "scans": 4, "split": "all"}
    assert said["classes"] == list(CLASSES)


def test_what_was_pretrained_on_is_said_where_it_is_something_else(tmp_path) -> None:
    assert "pretraining data" not in describe_data(trial(tmp_path))
    said = describe_data(trial(tmp_path, pretrained=World(7)))
    assert said["pretraining data"]["scans"] == 7
    assert said["training data"]["scans"] == 4


def test_settings_name_data_task_and_seed(tmp_path) -> None:
    given = trial(tmp_path, pretrained=World(7), seed=3)
    settings = settings_with_labels(given, option=1)
    assert {which: data["scans"] for which, data in settings["data"].items()} == {
        "pretrained": 7, "test": 2, "labelled": 4,
    }  # fmt: skip
    assert settings["data"]["test"] == described(given.test)
    assert settings["task"] == {"name": "segmentation", "lovasz_weight": 1.0}
    assert (settings["seed"], settings["option"], settings["classes"]) == (3, 1, list(CLASSES))


def test_what_else_a_protocol_says(tmp_path) -> None:
    absent = absent_classes(trial(tmp_path), np.array([3, 0, 1, 0]))
    assert absent["classes without a training point"] == ["middle", "rare"]
    assert subset_in_words(8, 0.25).startswith("2 of 8 training scans: those numbered round(j / 0.25)")
    assert json.dumps(absent)
