"""The library as somebody meets it in a Python prompt and in a loop of their own."""

from __future__ import annotations

import pydoc
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import pointlift
from pointlift.errors import DataError
from pointlift.run import Run

FROZEN = Path(__file__).parent / "frozen"


def log(count: int = 4) -> pointlift.Dataset:
    from pointlift.data.dataset import Scenes

    rng = np.random.default_rng(0)
    return Scenes(
        [
            pointlift.Scene(
                rng.normal(size=(50, 3)).astype(np.float32), rng.random((50, 1)).astype(np.float32), id=str(n)
            )
            for n in range(count)
        ]
    )


def test_dir_and_help_show_the_calls() -> None:
    assert {"pretrain", "evaluate", "predict", "load", "dataset", "losses", "Batch", "collate"} <= set(dir(pointlift))
    said = pydoc.plain(pydoc.render_doc(pointlift))
    for call in ("pretrain(recipe", "dataset(name", "collate(scenes", "class Batch"):
        assert call in said, call
    code = "import pointlift, sys; dir(pointlift); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_types_are_there_for_checkers() -> None:
    assert (resources.files("pointlift") / "py.typed").is_file()


def test_a_run_says_what_it_is() -> None:
    assert repr(Run(FROZEN / "points")).endswith("street-relational, seed 0, step-00000002)")
    assert repr(Run(FROZEN / "tokens")).startswith("Run('")


def test_generated_data_need_no_root() -> None:
    assert len(pointlift.dataset("street", sequences=2, frames=1)) == 2
    assert isinstance(pointlift.dataset("shapes", split="val"), pointlift.Dataset)


def test_a_loop_of_ones_own() -> None:
    student = pointlift.student("minkunet14", 1, 3, width=0.25, voxel_size=0.5)
    for batch in DataLoader(log(), batch_size=2, collate_fn=pointlift.collate):
        assert isinstance(batch, pointlift.Batch)
        loss = pointlift.losses.similarity(student(batch), torch.ones(len(batch.points), 3))
        loss.backward()
    assert all(torch.isfinite(one.grad).all() for one in student.parameters() if one.grad is not None)


def test_a_student_takes_what_one_would_give_it_or_says_what_it_takes() -> None:
    student = pointlift.student("minkunet14", 1, 3, width=0.25, voxel_size=0.5)
    scene = log()[0]
    points = np.concatenate([scene.points, scene.features], axis=1)
    expected = student.features(scene)
    for given in (
        points,
        points.astype(np.float64),
        torch.from_numpy(points),
        torch.from_numpy(points).requires_grad_(),
    ):
        np.testing.assert_allclose(student.features(given), expected, atol=1e-5)
    for wrong in (scene, points, torch.from_numpy(points), [scene]):
        with pytest.raises(DataError, match="a student takes a Batch, not "):
            student(wrong)
    for wrong in ("scan.bin", points.tolist(), np.array([["a"] * 4])):
        with pytest.raises(DataError, match="an array or tensor of numbers"):
            student.features(wrong)


@pytest.mark.parametrize(
    "name", ["contrastive", "similarity", "cross_modal", "intra_modal", "relational", "cka", "mse", "posterior"]
)
def test_losses_of_arrays_are_one_sentence(name: str) -> None:
    rows = np.random.default_rng(0).random((4, 3)).astype(np.float32)
    loss = getattr(pointlift.losses, name)
    with pytest.raises(DataError, match=r"student must be a torch tensor, not numpy.ndarray; torch.as_tensor"):
        loss(rows, rows)
    with pytest.raises(DataError, match="teacher must be a torch tensor, not builtins.list"):
        loss(torch.from_numpy(rows), rows.tolist())


def test_other_losses_of_arrays_are_one_sentence() -> None:
    rows = np.zeros((2, 4, 3), np.float32)
    for call, arguments in (
        (pointlift.losses.chamfer, (rows, rows)),
        (pointlift.losses.segmentation_loss, (rows[0], np.zeros(4, int))),
        (pointlift.losses.token_rows, (rows,)),
    ):
        with pytest.raises(DataError, match="must be a torch tensor"):
            call(*arguments)
