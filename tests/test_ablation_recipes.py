"""The ablations of concept distillation, at paper scale and on the embedded rooms: what each changes and trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pointlift import recipe as recipes
from pointlift.commands.rehearse import dry_run

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


PAPER: dict[str, Any] = {
    "data.frame_step": 25,
    "student.size": "base",
    "student.points": 4096,
    "student.groups": 64,
    "student.group_size": 32,
    "method.concept_tokens": 32,
    "method.units": "raw",
    "loss.name": "mse",
    "training.epochs": 250,
    "training.batch_size": 128,
    "training.optimizer": "adamw",
    "training.learning_rate": 1e-3,
    "training.weight_decay": 0.05,
    "training.schedule": "cosine",
    "teacher.name": "clipcap",
    "teacher.prefix": True,
}
AT_PAPER_SCALE: dict[str, dict[str, Any]] = {
    "without-concepts": {"method.concepts": False},
    "without-captioner": {"teacher.prefix": False},
    "local-alignment": {"method.target": "patches", "cache.image_size": [224, 224]},  # and another teacher
    "reconstruction": {"method.target": "none", "method.reconstruction": 1.0},  # and another teacher
    "reconstruction-and-distillation": {"method.reconstruction": 1.0},
    "1024-points": {"student.points": 1024},
}


def flat(name: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for section, content in recipes.load(name, {"data.root": "scans"}).to_dict().items():
        values |= {f"{section}.{key}": v for key, v in content.items()} if isinstance(content, dict) else {}
    return values


def test_paper_scale_has_the_paper_s_values():
    whole = flat("concept-scannet")
    assert {key: whole[key] for key in PAPER} == PAPER
    prefix = "concept-scannet-"
    assert {n for n in recipes.shipped() if n.startswith(prefix)} == {prefix + name for name in AT_PAPER_SCALE}


@pytest.mark.parametrize("name", AT_PAPER_SCALE)
def test_an_ablation_at_paper_scale_changes_what_its_name_says(name: str):
    whole, found = flat("concept-scannet"), flat(f"concept-scannet-{name}")
    other_teacher = found["teacher.name"] != "clipcap"
    assert other_teacher == (name in ("local-alignment", "reconstruction"))
    changed = {key: value for key, value in found.items() if whole.get(key) != value}
    assert {key: v for key, v in changed.items() if not key.startswith("teacher.") or not other_teacher} == (
        AT_PAPER_SCALE[name]
    )


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
