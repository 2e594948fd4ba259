"""Protocols that know no task by name run on tasks that are no segmentation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pointlift.data.dataset import Dataset
from pointlift.errors import DataError
from pointlift.evaluation.base import Trial
from pointlift.evaluation.table import tables
from pointlift.registry import PROTOCOLS
from pointlift.tasks.base import Task
from tests.evaluation.world import World, trial
from tests.tasks.toy import Centre, Clouds, ObjectClass

TUNED = {"steps": 30, "evaluate_every": 10, "minimum_steps": 10, "warmup_steps": 2, "patience": 2, "batch_size": 4}
TUNED |= {"learning_rate": 0.02, "head_learning_rate": 0.02}


def asked(tmp_path: Path, kind: type[Task], train: Dataset | None = None) -> Trial:
    train = train or Clouds(16)
    return trial(tmp_path, kind(train), train=train, test=Clouds(10, seed=1))


def test_a_linear_probe_of_clouds(tmp_path: Path) -> None:
    result = PROTOCOLS.build("linear-probe", asked(tmp_path, ObjectClass), minimum_steps=200, max_points=1000)
    assert (result.task, result.decides) == ("toy-object", "accuracy")
    assert [column.key for column in result.columns] == ["accuracy", "points"]
    student = result["student"]
    assert (student["training_points"], student["points"]) == (16, 10)
    assert student["feature_dim"] == 2 * 3  # mean and maximum of the output
    assert student["accuracy"] > 0.85
    assert result["majority class"]["accuracy"] == 0.5
    assert result["raw features"]["accuracy"] > 0.85
    assert result.words["training points"].startswith("16: up to 62 labelled clouds of each scan")
    assert result.settings["task"] == {"name": "toy-object"}
    assert result.settings["classes"] == ["ball", "rod"]
    assert result.student.classes["rod"]["points"] == 5
    assert json.dumps(result.to_dict(), allow_nan=False)
    assert len(tables(result)) == 2


def test_fine_tuning_of_clouds(tmp_path: Path) -> None:
    result = PROTOCOLS.build("finetune", asked(tmp_path, ObjectClass), **TUNED)
    assert [row.role for row in result] == ["student", "baseline", "baseline"]
    assert result.student.metrics["held_out_accuracy"] > 0.7
    assert result.student.metrics["accuracy"] > 0.7
    assert {"step", "held_out_accuracy", "loss"} == set(result.student.details["curve"][0])


def test_fine_tuning_of_what_has_no_classes_and_is_better_the_lower_it_is(tmp_path: Path) -> None:
    result = PROTOCOLS.build("finetune", asked(tmp_path, Centre), **TUNED)
    assert [row.name for row in result] == ["pretrained", "from scratch"]  # a majority there is only of classes
    curve = [point["held_out_distance"] for point in result.student.details["curve"]]
    assert result.student.metrics["held_out_distance"] == min(curve)
    assert result.class_columns == ()
    assert result.student.metrics["distance"] < 2


def test_what_a_task_cannot_be_asked_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the task 'toy-centre' gives no class to points or clouds"):
        PROTOCOLS.build("linear-probe", asked(tmp_path, Centre))
    given = asked(tmp_path, ObjectClass)
    given.embed_text = lambda prompts: pytest.fail("the work has begun")
    for protocol in ("exemplar", "zero-shot"):
        with pytest.raises(DataError, match="the task 'toy-object' gives no class to every point"):
            PROTOCOLS.build(protocol, given)
    flat = World(4)
    flat.object_names = Clouds.object_names
    with pytest.raises(DataError, match=r"needs labels of objects, which the data set 'world' has not .*points"):
        PROTOCOLS.build("linear-probe", asked(tmp_path, ObjectClass, flat))
