"""Results that former versions wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pointlift.errors import DataError
from pointlift.evaluation.legacy import read
from pointlift.evaluation.result import Result
from pointlift.evaluation.table import columns, rows

FROZEN = sorted((Path(__file__).parents[1] / "frozen").glob("*/evaluation/*.json"))


@pytest.mark.parametrize("file", FROZEN, ids=lambda file: file.stem)
def test_results_of_then_are_read(file: Path) -> None:
    then = json.loads(file.read_text())
    found = read(then, file.name)
    assert found.protocol == then["task"]
    assert {row.title for row in found} == set(then["results"])
    for row in found:
        metrics = then["results"][row.title]
        assert row.classes == metrics.get("classes", {})
        for key, value in {**row.metrics, **row.details}.items():
            assert key == "share_of_teacher" or metrics[key] == value
        assert {*row.metrics, *row.details} >= set(metrics) - {"classes"}
    assert found.student.name == "student"
    assert found.of_role("baseline")
    assert found.words == then["protocol"]
    assert found.run["checkpoint"] == "step-00000002"
    assert found.run["test_data"] == then["test_data"]
    assert (found.run["seed"], found.settings["seed"]) == (then["seed"], then["evaluation_seed"])
    assert found.settings["data"]["test"] == then["protocol"]["test data"]
    assert found.decides in {column.key for column in found.columns}
    assert all(len(row) == len(columns(found)) for row in rows(found))
    assert Result.from_dict(json.loads(json.dumps(found.to_dict()))).to_dict() == found.to_dict()


def segmentation(miou: float) -> dict[str, Any]:
    """Metrics of a row as they were written then."""
    one = {"iou": miou, "accuracy": miou, "points": 900, "predicted": 900}
    means = {"miou": miou, "miou_all": miou / 2, "accuracy": miou + 0.2, "mean_accuracy": None}
    return {**means, "points": 900, "min_points": 100, "evaluated_classes": ["road"], "classes": {"road": one}}


def of(name: str) -> Result:
    return read(json.loads(next(file for file in FROZEN if file.stem.startswith(name)).read_text()))


def test_what_pictures_need_is_in_the_settings() -> None:
    found = of("zero-shot")
    assert found.settings["prompts"]["terrain"] == ["terrain", "grass", "dirt"]
    assert (found.settings["templates"], found.settings["ensemble"]) == (["{}"], "mean")
    assert (found.settings["min_depth"], found.settings["occlusion"]) == (1.0, 0.05)
    visible = {row.name: row for row in found.rows if row.subset == "visible points"}
    assert visible["teacher"].role == "teacher"
    assert visible["student"].metrics["share_of_teacher"] == pytest.approx(0.126, abs=1e-3)
    assert [column.key for column in found.columns][-1] == "share_of_teacher"
    assert [column.key for column in found.class_columns] == ["points", "iou"]


def test_fine_tuning_of_then() -> None:
    tuned = {**segmentation(0.5), "plateaued": True, "best_step": 150, "curve": [{"step": 50}]}
    results = {"pretrained": tuned, "from scratch": tuned, "majority class": segmentation(0.1)}
    found = read({"task": "finetune", "protocol": {}, "results": results})
    assert [row.role for row in found] == ["student", "baseline", "baseline"]
    assert found.student.details == {"curve": [{"step": 50}]}
    assert columns(found)[-2:] == ["best step", "plateaued"]


def test_the_present_format_is_read_too() -> None:
    now = of("structure")
    assert read(json.loads(json.dumps(now.to_dict()))).to_dict() == now.to_dict()


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {},
        {"task": "unheard-of", "results": {"student": {"miou": 0.1}}},
        {"task": "zero-shot"},
        {"task": "zero-shot", "results": {"a stranger": {"miou": 0.1}}},
        {"task": "zero-shot", "results": {"student": None}},
        {"task": "zero-shot", "results": {"student": {"accuracy": 0.1}}},
    ],
)
def test_what_cannot_be_read_is_one_sentence(wrong: Any) -> None:
    with pytest.raises(DataError, match="x.json .*; measure again"):
        read(wrong, "x.json")
