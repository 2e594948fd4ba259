"""Distillation with six cameras on the one real keyframe of nuScenes that is at hand."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import pointlift
from pointlift.run import Run
from pointlift.train import checkpoint

STEPS = 30


@pytest.fixture(scope="module")
def root(shared: Path) -> Path:
    folder = shared / "data" / "nuscenes-one-sample"
    if not folder.is_dir():
        pytest.skip("../shared/data/nuscenes-one-sample is not there")
    return folder


@pytest.fixture(scope="module")
def overrides(root: Path, dinov2_small: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    return {
        "data.name": "nuscenes",
        "data.root": str(root),
        "teacher.source": str(dinov2_small),
        "cache": {"folder": str(tmp_path_factory.mktemp("cache")), "image_size": [140, 252]},
        "student.width": 0.25,
        "student.voxel_size": 0.4,
        "method.pairs_per_scene": 600,
        "points.rotate_z": 180.0,
        "training.epochs": STEPS,
        "training.batch_size": 1,
        "training.learning_rate": 0.01,
        "training.warmup_steps": 3,
        "training.log_every": 1,
        "training.checkpoint_every": 20,
        "training.threads": 1,
    }


@pytest.fixture(scope="module")
def run(overrides: dict, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "run"
    return pointlift.pretrain("semantickitti-small-relational", overrides, out=out, cpu=True)


def test_six_cameras_are_learned_to_be_matched(run: Run) -> None:
    losses = [line["loss"] for line in run.metrics()]
    assert run.steps == len(losses) == STEPS
    assert np.mean(losses[-5:]) < 0.65 * losses[0]
    scene = run.parts.dataset()[0]
    pairs = scene.pairs(occlusion=0.05)
    assert (pairs.per_view(6) > 1000).all()
    teacher = run.parts.pixel_features(scene, pairs)
    student = torch.from_numpy(run.student().features(scene))[pairs.point_index]
    cosines = torch.nn.functional.cosine_similarity(student, teacher).numpy()
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(teacher)))
    shuffled = torch.nn.functional.cosine_similarity(student, teacher[order]).numpy()
    for view in range(6):  # in every camera, and not only the feature that all pixels have in common
        mine = pairs.view_index == view
        assert cosines[mine].mean() > shuffled[mine].mean() + 0.06


def test_resuming_gives_the_same_bits(run: Run, overrides: dict, tmp_path: Path) -> None:
    stopped = tmp_path / "stopped"
    shutil.copytree(run.folder, stopped)
    shutil.rmtree(stopped / "checkpoints" / run.checkpoint.name)
    resumed = pointlift.pretrain("semantickitti-small-relational", overrides, out=stopped, cpu=True)
    assert resumed.checkpoint.name == run.checkpoint.name
    first, second = (checkpoint.read_weights(one.checkpoint) for one in (run, resumed))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert [line["loss"] for line in run.metrics()] == [line["loss"] for line in resumed.metrics()]


def test_one_random_camera_a_step_learns_too(overrides: dict, tmp_path: Path) -> None:
    changed = overrides | {"method.views_per_scene": 1}
    run = pointlift.pretrain("semantickitti-small-relational", changed, out=tmp_path / "one", cpu=True)
    losses = [line["loss"] for line in run.metrics()]
    assert np.mean(losses[-5:]) < 0.75 * losses[0]
