from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pointlift.errors import DataError, RecipeError
from pointlift.evaluation.base import Trial
from pointlift.evaluation.protocol import described
from pointlift.registry import PROTOCOLS, STUDENTS, TASKS
from tests.methods.frames import Frames, concept, student

QUICK = {"points": 64, "steps": 40, "batch_size": 4, "learning_rate": 3e-3}


def trial(folder: Path, **changes: Any) -> Trial:
    values: dict[str, Any] = {"student": student(), "fresh_student": lambda seed: student()}
    values |= {"pretrained": Frames(6), "test": Frames(4, seed=1), **changes}
    learned_from = values["pretrained"]
    values |= {"pretrained": lambda: learned_from, "pretrained_on": described(learned_from)}
    values |= {"labelled": learned_from, "task": TASKS.build("segmentation", learned_from)}
    return Trial(pixel_features=None, folder=folder, **values)  # type: ignore[arg-type]


def test_training_the_decoder_helps_and_the_encoder_stays(tmp_path: Path) -> None:
    asked = trial(tmp_path)
    before = {key: value.clone() for key, value in asked.student.state_dict().items()}
    result = PROTOCOLS.build("reconstruction", asked, **QUICK)
    assert [row.name for row in result] == ["student", "random network", "patch centres"]
    assert result["student"]["trained"] < 0.9 * result["student"]["untrained"]
    assert result["student"] == result["random network"]  # here they are the same network
    assert all(torch.equal(value, before[key]) for key, value in asked.student.state_dict().items())
    assert [column.key for column in result.columns] == ["untrained", "trained"]
    assert (result.decides, {column.better for column in result.columns}) == ("trained", {"lower"})
    assert result.words["hidden"].startswith("a random 60%")
    assert PROTOCOLS.build("reconstruction", asked, **QUICK) == result


def test_the_decoder_of_the_run_is_measured_too(tmp_path: Path) -> None:
    method = concept(target="none", reconstruction=1.0)
    asked = trial(tmp_path, student=method.student, method=lambda seed: method)
    result = PROTOCOLS.build("reconstruction", asked, **{**QUICK, "steps": 0})
    assert set(result["student"]) == {"untrained", "own"}


def test_drop_path_of_the_decoder_depends_on_the_seed_alone(tmp_path: Path) -> None:
    made = student(drop_path=0.5)
    asked = trial(tmp_path, student=made, fresh_student=lambda seed: made)
    first = PROTOCOLS.build("reconstruction", asked, **QUICK)
    torch.rand(1)
    state = torch.get_rng_state()
    assert PROTOCOLS.build("reconstruction", asked, **QUICK) == first
    assert torch.equal(torch.get_rng_state(), state)


def test_clouds_with_too_few_points_are_one_sentence(tmp_path: Path) -> None:
    asked = trial(tmp_path, test=Frames(4, points=5))
    with pytest.raises(DataError, match="the cloud 'a/000' has 5 points, but 8 patches of 8 points need at least 8"):
        PROTOCOLS.build("reconstruction", asked, **{**QUICK, "steps": 0})


def test_only_a_point_transformer_has_patches(tmp_path: Path) -> None:
    other = STUDENTS.build("minkunet14", 1, 3, width=0.125)
    with pytest.raises(RecipeError, match="such as point_transformer"):
        PROTOCOLS.build("reconstruction", trial(tmp_path, student=other), **QUICK)
