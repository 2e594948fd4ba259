"""Options of a task beside those of a protocol."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pointlift import api, trial
from pointlift.errors import RecipeError
from tests.evaluation.world import World

FROZEN = Path(__file__).parents[1] / "frozen" / "points"


def test_a_task_is_opened_with_its_options() -> None:
    assert trial.open_task("segmentation", World(2)).settings == {"lovasz_weight": 1.0}
    assert trial.open_task("segmentation", World(2), lovasz_weight=0.5).settings == {"lovasz_weight": 0.5}


@pytest.mark.parametrize(
    ("task", "options", "said"),
    [
        (None, {"task.lovasz_wait": 0.5}, "task 'segmentation': there is no key 'lovasz_wait'; did you mean 'lovasz_w"),
        (None, {"lovasz_weight": 0.5}, "protocol 'finetune': there is no key 'lovasz_weight'"),
        ("segmentatoin", {}, "there is no task called 'segmentatoin'; did you mean 'segmentation'"),
    ],
)
def test_a_wrong_one_is_named_before_any_data_is_read(
    tmp_path: Path, task: str | None, options: dict, said: str
) -> None:
    shutil.copytree(FROZEN, tmp_path / "run")
    with pytest.raises(RecipeError, match=said):
        api.evaluate(tmp_path / "run", "finetune", options, task=task, data_root=tmp_path / "nowhere", cpu=True)
