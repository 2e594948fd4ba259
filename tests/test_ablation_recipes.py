"""The ablations of concept distillation on the embedded rooms: what each changes, and that each trains what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pointlift import recipe as recipes
from pointlift.rehearsal import dry_run

PREFIX = "concept-rooms-"
CHANGES: dict[str, dict[str, Any]] = {
    "without-concepts": {"method.concepts": False},
    "global-token": {"teacher.token_grid": 0},
    "local-alignment": {"method.target": "patches"},
    "reconstruction": {"method.target": "none", "method.reconstruction": 1.0},
    "reconstruction-and-distillation": {"method.reconstruction": 1.0},
    "4096-points": {"student.points": 4096},
}
DISTILLED = {"encoder", "concept module", "concept head"}
TRAINED = {
    "without-concepts": {"encoder", "concept head"},
    "global-token": DISTILLED,
    "local-alignment": {"encoder", "student's output layer"},
    "reconstruction": {"encoder", "reconstruction decoder"},
    "reconstruction-and-distillation": {*DISTILLED, "reconstruction decoder"},
    "4096-points": DISTILLED,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rooms")


def test_all_are_shipped():
    assert {name for name in recipes.shipped() if name.startswith(PREFIX)} == {PREFIX + name for name in CHANGES}


@pytest.mark.parametrize("name", CHANGES)
def test_a_recipe_changes_what_its_name_says_and_nothing_else(name: str):
    whole = recipes.load("concept-rooms").to_dict()
    for key, value in CHANGES[name].items():
        section, option = key.split(".")
        assert whole[section][option] != value
        whole[section][option] = value
    assert recipes.load(PREFIX + name).to_dict() == {**whole, "name": PREFIX + name}


@pytest.mark.parametrize("name", CHANGES)
def test_a_dry_run_trains_what_its_name_says(name: str, root: Path):
    few = {"data.rooms": 2, "data.frames": 1, "data.image_size": [72, 96], "data.workers": 0}
    training = {"training.batch_size": 2, "training.threads": 1}
    result = dry_run(recipes.load(PREFIX + name, {"data.root": str(root), **few, **training}), cpu=True)
    assert set(result["parameters"]) - {"student", "teacher"} == TRAINED[name]
