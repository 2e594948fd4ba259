"""The three data sets of a trial, as options and opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pointlift import api, recipe, run
from pointlift.errors import DataError, RecipeError
from pointlift.run import Run
from pointlift.trial import data_options, evaluate, open_trial
from tests.fixtures_kitti import write_semantickitti

NAME = "semantickitti-small-relational"


def options(split: str = "val", labels: dict[str, Any] | None = None, test: dict[str, Any] | None = None) -> Any:
    return data_options(recipe.load(NAME, {"data.root": "here"}), split, labels or {}, test or {})


def test_without_changes_all_three_are_the_recipes() -> None:
    found = options()
    assert found.pretrained == found.labelled == found.test


def test_test_data_are_those_that_give_labels_with_changes_of_their_own() -> None:
    found = options(labels={"sector": [-10.0, 10.0]}, test={"frame_step": 2})
    assert (found.labelled.sector, found.labelled.frame_step) == ((-10.0, 10.0), 1)
    assert (found.test.sector, found.test.frame_step) == ((-10.0, 10.0), 2)
    assert found.pretrained.sector == (-50.0, 50.0)


@pytest.mark.parametrize("which", ["labels", "test"])
def test_either_may_be_another_data_set(which: str) -> None:
    found = options(**{which: {"name": "nuscenes", "root": "there", "version": "v1.0-mini"}})
    assert found.test.name == "nuscenes"
    assert found.test.root == Path("there")
    assert found.labelled.name == ("nuscenes" if which == "labels" else "semantickitti")
    assert found.pretrained.name == "semantickitti"


def test_each_may_be_another_part_of_a_mixture() -> None:
    parts = [{"name": "street"}, {"name": "street", "beams": 64}]
    mixture = recipe.load(NAME, {"data": {"name": "mixture", "parts": parts}})
    one = data_options(mixture, "val", {}, {"part": "street"})
    assert (one.labelled.part, one.test.part) == ("street", "street")
    two = data_options(mixture, "val", {"part": "street"}, {"part": "street#2"})
    assert (two.labelled.part, two.test.part) == ("street", "street#2")
    other = data_options(mixture, "val", {"name": "street", "beams": 64}, {})
    assert (other.labelled.name, other.test.beams) == ("street", 64)
    inner = data_options(mixture, "val", {"part": "street"}, {"parts.0.beams": 64})
    assert (inner.labelled.parts[0].beams, inner.test.parts[0].beams) == (32, 64)


@pytest.mark.parametrize(
    ("labels", "test", "sentence"),
    [
        ({"sectr": 1}, {}, "there is no key 'data.sectr'; did you mean 'sector'"),
        ({}, {"frame_stp": 1}, "there is no key 'data.frame_stp'; did you mean 'frame_step'"),
        ({"name": "semantickiti"}, {}, "there is no data set called 'semantickiti'; did you mean 'semantickitti'"),
        ({}, {"split": "test"}, "the split is 'val' and test_data says split=test; give it once"),
    ],
)
def test_mistakes_are_one_sentence_before_anything_is_opened(
    labels: dict[str, Any], test: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(RecipeError, match=sentence):
        options(labels=labels, test=test)


@pytest.fixture
def trained(tiny_overrides: list[str], tmp_path: Path) -> Run:
    changes = recipe.parse_overrides([*tiny_overrides, "training.steps=1", "training.warmup_steps=0"])
    return run.train(recipe.load(NAME, changes), tmp_path / "run", cpu=True)


QUICK = {"minimum_steps": 5, "classifier_epochs": 1, "normalization_scans": 1}


def test_results_say_which_data_and_not_where(trained: Run, tmp_path: Path) -> None:
    elsewhere = write_semantickitti(tmp_path / "other-log", {"00": 2, "08": 1}, seed=5)
    result = evaluate(trained, "linear-probe", QUICK, label_data={"root": str(elsewhere)}, cpu=True)
    assert result.settings["data"]["labelled"]["scans"] == 2
    assert result.run["label_data"] == {"root": "other-log"}
    (file,) = (trained.folder / "evaluation").glob("*.json")
    assert file.name == "linear-probe-label.root=%22other-log%22.json"
    assert str(tmp_path) not in json.dumps(result.run) + file.read_text()


def test_what_was_pretrained_on_need_not_be_here(trained: Run, tmp_path: Path) -> None:
    elsewhere = write_semantickitti(tmp_path / "other-log", {"00": 2, "08": 1}, seed=5)
    moved = Run(trained.folder)
    moved.recipe = recipe.from_values(trained.recipe.to_dict(), {"data.root": str(tmp_path / "gone")})
    moved.parts = run.Parts(moved.recipe)
    result = evaluate(moved, "linear-probe", QUICK, label_data={"root": str(elsewhere)}, cpu=True)
    assert result.settings["data"]["pretrained"]["data set"] == "semantickitti"
    trial = open_trial(moved, label_data={"root": str(elsewhere)}, cpu=True)
    with pytest.raises(DataError, match="gone"):
        trial.pretrained()


def test_data_with_other_features_are_refused(trained: Run, tmp_path: Path) -> None:
    other = {"name": "rooms", "root": str(tmp_path / "rooms"), "rooms": 1, "frames": 1}
    with pytest.raises(DataError, match=r"features \(intensity\), but the data that are tested, 'rooms', have \(red"):
        api.evaluate(trained, "linear-probe", test_data=other, cpu=True)
