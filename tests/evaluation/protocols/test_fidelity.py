from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pointlift.errors import DataError
from pointlift.evaluation.protocols.fidelity import fidelity
from tests.evaluation.protocols.test_exemplar import noisy_colors
from tests.evaluation.test_contract import on_frames
from tests.evaluation.world import Oracle, World, pixel_colors, trial


class Log(World):
    """A log without labels or classes."""

    class_names = ()

    def __init__(self, count: int, seed: int = 0) -> None:
        super().__init__(count, seed, labels=False)


def test_a_log_without_labels_gets_a_number(tmp_path: Path) -> None:
    given = trial(tmp_path, train=Log(4), test=Log(3, seed=1), student=Oracle(), pixel_features=lambda: noisy_colors)
    result = fidelity(given, points=300)
    assert [(row.name, row.role) for row in result] == [
        ("student", "student"),
        ("random network", "baseline"),
        ("training mean", "baseline"),
    ]
    assert result["student"]["points"] == 300
    assert result["student"]["paired_gap"] < result["training mean"]["paired_gap"]
    assert result["student"]["linear_cka"] > result["random network"]["linear_cka"]
    assert result.decides == "paired_gap"
    assert "labelled" not in result.settings["data"]


def test_the_gap_of_the_training_mean_against_a_literal_loop(tmp_path: Path) -> None:
    given = trial(tmp_path, train=Log(2), test=Log(2, seed=1), pixel_features=lambda: pixel_colors)

    def unit_rows(scene) -> np.ndarray:
        rows = pixel_colors(scene, scene.pairs()).numpy().astype(float)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    mean = np.mean([unit_rows(scene).mean(axis=0) for scene in given.pretrained()], axis=0)
    mean /= np.linalg.norm(mean)
    tested = np.concatenate([unit_rows(scene) for scene in given.test])
    found = fidelity(given)["training mean"]
    assert found["points"] == len(tested)
    assert found["paired_gap"] == pytest.approx(1 - np.mean(tested @ mean), abs=1e-5)


def test_runs_without_features_at_points_have_their_loss_alone(tmp_path: Path) -> None:
    given = on_frames(tmp_path)
    result = fidelity(given, batch_size=3)
    assert [column.key for column in result.columns] == ["loss"]
    assert result.decides == "loss"
    assert result["student"]["loss"] > 0
    assert fidelity(on_frames(tmp_path), batch_size=3)["student"] == result["student"]


def test_what_cannot_be_measured_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the test split of 'world' has no scans"):
        fidelity(trial(tmp_path, test=Log(0)))
    blind = World(2, labels=False, views=0)
    with pytest.raises(DataError, match="no point of the test scans is seen by an image"):
        fidelity(trial(tmp_path, test=blind))
    broken = Oracle()
    torch.nn.init.constant_(broken.body[1].weight, torch.nan)
    broken.head = torch.nn.Linear(11, 3)
    with pytest.raises(DataError, match="of the scene '00/000000' are not finite"):
        fidelity(trial(tmp_path, student=broken))
