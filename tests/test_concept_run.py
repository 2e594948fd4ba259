"""Concept distillation from recipe to results on a folder of small RGB-D frames."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pointlift import api, recipe
from pointlift.commands.rehearse import dry_run, table
from pointlift.errors import RecipeError
from pointlift.evaluation.table import columns, rows
from pointlift.methods.concept.method import Concept
from pointlift.run import Run
from tests.students.test_point_mae import point_mae

SMALL: dict[str, Any] = {
    "data.held_out": 4,
    "data.gap": 1,
    "data.stride": 1,
    "teacher.name": "street",
    "student.groups": 8,
    "student.group_size": 8,
    "student.points": 64,
    "method.concept_tokens": 3,
    "cache.image_size": None,
    "training.steps": 3,
    "training.batch_size": 2,
    "training.checkpoint_every": 2,
    "training.warmup_steps": 0,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames of a wall that comes nearer."""
    folder = tmp_path_factory.mktemp("frames")
    (folder / "camera-intrinsics.txt").write_text("30 0 15.5\n0 30 11.5\n0 0 1\n")
    for index in range(12):
        rng = np.random.default_rng(index)
        stem = folder / f"frame-{index:06d}"
        Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(f"{stem}.color.png")
        depth = 3000 - 150 * index + rng.integers(0, 60, (24, 32))
        Image.fromarray(depth.astype(np.uint16)).save(f"{stem}.depth.png")
        np.savetxt(f"{stem}.pose.txt", np.eye(4))
    return folder


def small(root: Path, tmp_path: Path, **changes: Any) -> recipe.Recipe:
    # the synthetic frames are registered, and of other cameras than 7-Scenes'
    registered = {"data.stride": 1, "data.color_intrinsics": None, "data.color_from_depth": None}
    crops = 0 if "method.target" in changes else 2  # crops are of token sets
    values = {
        **registered,
        **SMALL,
        "method.crops": crops,
        "data.root": str(root),
        "cache.folder": str(tmp_path / "cache"),
        **changes,
    }
    return recipe.load("concept-7scenes", values)


def test_train_load_and_retrieve(root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        run = api.pretrain(small(root, tmp_path), out=tmp_path / "run", cpu=True)
    assert "concept module: " in caplog.text
    assert "token sets of 5 x 64: mean" in caplog.text
    student, method = run.student(), run.method()
    assert isinstance(method, Concept)
    for key, value in student.state_dict().items():
        assert torch.equal(value, method.trained.state_dict()[f"student.{key}"])
    points = np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32)
    assert api.load(run.folder).features(points).shape == (100, 96)  # of the encoder: no output layer
    assert not method.training

    result = api.evaluate(run, "retrieval", cpu=True)
    written = json.loads((run.folder / "evaluation" / "retrieval.json").read_text())
    assert written["results"] == json.loads(json.dumps(result["results"]))
    assert list(result["results"]) == ["student", "random network", "training mean"]
    assert result["protocol"]["frames"] == 4
    assert result["protocol"]["chance"]["recall@1"] == 0.25
    assert result["results"]["training mean"]["recall_1"] == pytest.approx(0.25)
    assert result["results"]["training mean"]["share_of_mean"] == 1
    assert all(len(row) == len(columns(result)) for row in rows(result))
    test = run.parts.dataset(split="val")
    found = torch.stack([method.predict([test[i]])[0] for i in range(4)])
    truth = torch.stack([method.token_sets(test.views(i)[0]) for i in range(4)])
    assert result["results"]["student"]["loss"] == pytest.approx(float((found - truth).square().mean()), rel=1e-5)


def test_token_sets_from_disk_are_learned_and_retrieved(root: Path, tmp_path: Path) -> None:
    sets = {f"frame-{index:06d}.color": torch.randn(10, 6) for index in range(12)}
    save_file(sets, tmp_path / "captions.safetensors")
    teacher = {"teacher.name": "embeddings", "teacher.path": str(tmp_path / "captions.safetensors")}
    values = {"method.crops": 0, "method.head": "flatten", **teacher}
    run = api.pretrain(small(root, tmp_path, **values), out=tmp_path / "run", cpu=True)
    result = api.evaluate(run, "retrieval", cpu=True)["results"]
    method, test = run.method(), run.parts.dataset(split="val")
    found = torch.stack([method.predict([test[index]])[0] for index in range(4)])
    truth = torch.stack(list(sets.values())[8:])
    assert result["student"]["loss"] == pytest.approx(float((found - truth).square().mean()), rel=1e-5)
    mean = torch.stack(list(sets.values())[:7]).mean(0)
    assert result["training mean"]["loss"] == pytest.approx(float((mean - truth).square().mean()), rel=1e-5)


def test_a_stopped_run_goes_on_to_the_same_weights(root: Path, tmp_path: Path) -> None:
    whole = api.pretrain(small(root, tmp_path), out=tmp_path / "whole", cpu=True)

    def stop(what: str, done: int, total: int) -> None:
        if what == "training" and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.pretrain(small(root, tmp_path), out=tmp_path / "stopped", progress=stop, cpu=True)
    resumed = api.pretrain(small(root, tmp_path), out=tmp_path / "stopped", cpu=True)
    first, second = whole.method().trained.state_dict(), resumed.method().trained.state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_run_does_not_need_the_checkpoint_that_it_began_with(root: Path, tmp_path: Path, caplog) -> None:
    path = tmp_path / "point-mae.pth"
    tensors = {key: 0.1 * value if value.is_floating_point() else value for key, value in point_mae().items()}
    torch.save(tensors, path)
    with caplog.at_level(logging.INFO):
        begun = small(root, tmp_path, **{"student.weights": str(path), "student.inputs": ["offset"]})
        run = api.pretrain(begun, out=tmp_path / "run", cpu=True)
    assert "point-mae.pth: " in caplog.text
    assert "keys taken" in caplog.text
    path.unlink()
    again = Run(run.folder)
    trained, fresh = again.student().state_dict(), again.fresh_student(0).state_dict()
    assert not torch.allclose(trained["blocks.0.mlp.0.weight"], fresh["blocks.0.mlp.0.weight"], atol=0.02)
    assert float(fresh["blocks.0.mlp.0.weight"].mean()) == pytest.approx(0, abs=1e-3)  # random, not the checkpoint's
    api.evaluate(again, "retrieval", cpu=True)


def test_the_rehearsal_counts_the_parts_and_prepares_once(root: Path, tmp_path: Path, caplog) -> None:
    with caplog.at_level(logging.INFO):
        result = dry_run(small(root, tmp_path), cpu=True)
    assert caplog.text.count("token sets of 5 x 64") == 1
    assert result["parameters"]["student"] == result["parameters"]["encoder"]
    assert result["parameters"]["concept module"] == 3 * 96 + 12 * 96 * 96 + 12 * 96
    assert any("concept head" in row[0] for row in table(result))


def test_retrieval_needs_a_run_that_predicts_token_sets(root: Path, tmp_path: Path) -> None:
    run = api.pretrain(
        small(root, tmp_path, **{"method.target": "none", "method.reconstruction": 1.0}), out=tmp_path / "run", cpu=True
    )
    with pytest.raises(RecipeError, match="which only a method that trained token sets has"):
        api.evaluate(run, "retrieval", cpu=True)


@pytest.mark.parametrize("task", ["zero-shot", "exemplar", "structure"])
def test_protocols_of_point_features_refuse_a_run_that_trains_none(root: Path, tmp_path: Path, task: str) -> None:
    run = api.pretrain(small(root, tmp_path), out=tmp_path / "run", cpu=True)
    with pytest.raises(RecipeError, match="no features in the teacher's space"):
        api.evaluate(run, task, cpu=True)


def test_a_run_of_image_patches_has_point_features(root: Path, tmp_path: Path) -> None:
    run = api.pretrain(small(root, tmp_path, **{"method.target": "patches"}), out=tmp_path / "run", cpu=True)
    run.require_point_features("predict")
    points = np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32)
    assert api.load(run.folder).features(points).shape == (100, 64)
