import json
from pathlib import Path

import pytest

from pointlift.errors import DataError
from pointlift.report import markdown, summarise
from tests.report.fabricate import linear_probe, segmentation, three_losses, write_run, zero_shot


def test_runs_of_one_recipe_are_one_group_with_sample_spread(tmp_path: Path) -> None:
    summary = summarise(three_losses(tmp_path))
    assert [group["label"] for group in summary["groups"]] == [
        "relational",
        "contrastive",
        "similarity",
        "relational · pairs shuffled",
    ]
    group = summary["groups"][0]
    assert (group["name"], group["loss"], group["seeds"]) == ("semantickitti-small-relational", "relational", [0, 1, 2])
    assert (group["teacher"], group["student"], group["data"]) == ("dinov2", "minkunet14", "semantickitti")
    assert group["steps"] == 700
    miou = group["tasks"]["zero-shot"]["rows"]["student"]["miou"]
    assert miou["values"] == [0.60, 0.62, 0.67]
    assert miou["mean"] == pytest.approx(0.63)
    assert miou["std"] == pytest.approx(((0.03**2 + 0.01**2 + 0.04**2) / 2) ** 0.5)
    classes = group["tasks"]["zero-shot"]["classes"]["student"]
    assert classes["car"]["iou"]["mean"] == pytest.approx(0.315)
    assert json.loads(json.dumps(summary)) == summary
    assert "seed" not in group["recipe"]
    assert not [key for key in group["recipe"] if key.endswith((".root", ".folder"))]


def test_one_seed_has_no_spread(tmp_path: Path) -> None:
    group = summarise([write_run(tmp_path / "run", {"linear-probe": linear_probe(0.5)})])["groups"][0]
    assert group["tasks"]["linear-probe"]["rows"]["student"]["miou"] == {"mean": 0.5, "std": None, "values": [0.5]}


def test_missing_tasks_and_values_are_left_out(tmp_path: Path) -> None:
    with_task = write_run(tmp_path / "a", {"linear-probe": linear_probe(0.5)})
    without = write_run(tmp_path / "b", {}, overrides={"seed": 1})
    odd = {"student": segmentation(0.4) | {"miou": None}}
    third = write_run(tmp_path / "c", {"linear-probe": odd}, overrides={"seed": 2})
    rows = summarise([with_task, without, third])["groups"][0]["tasks"]["linear-probe"]["rows"]
    assert rows["student"]["miou"] == {"mean": 0.5, "std": None, "values": [0.5, None, None]}
    assert rows["student"]["accuracy"]["mean"] == pytest.approx(0.65)
    empty = summarise([without])
    assert empty["groups"][0]["tasks"] == {}
    assert markdown(empty).strip() == ""


def test_a_seed_that_comes_twice_does_not_narrow_the_spread(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, {"linear-probe": linear_probe(0.5)}) for name in ("a", "b")]
    summary = summarise(runs)
    assert summary["groups"][0]["runs"] == [str(tmp_path / "a")]
    assert summary["notes"] == [f"{tmp_path / 'b'} repeats seed 0 of semantickitti-small-relational and is left out."]


def test_recipes_that_differ_in_one_value_are_told_apart(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / str(steps), {}, overrides={"training.steps": steps}) for steps in (50, 60)]
    assert [group["label"] for group in summarise(runs)["groups"]] == [
        "semantickitti-small-relational (training.steps=50)",
        "semantickitti-small-relational (training.steps=60)",
    ]


def test_other_test_data_is_said(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", {"zero-shot": zero_shot(0.5, 0.5)})
    second = write_run(tmp_path / "b", {"zero-shot": zero_shot(0.5, 0.5)}, overrides={"seed": 1})
    path = second.folder / "evaluation" / "zero-shot.json"
    result = json.loads(path.read_text())
    result["protocol"]["test data"]["scans"] = 99
    path.write_text(json.dumps(result))
    summary = summarise([first, second])
    assert summary["groups"][0]["tasks"]["zero-shot"]["protocol_differs"] == ["test data"]
    assert summary["notes"] == ["Not all runs were measured on the same test data: zero-shot."]


@pytest.mark.parametrize("content", ["{", "[]", '{"task": "zero-shot"}'])
def test_a_damaged_result_is_named(content: str, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {})
    path = run.folder / "evaluation" / "zero-shot.json"
    path.write_text(content)
    with pytest.raises(DataError, match=str(path)):
        summarise([run])


def test_markdown_has_one_line_per_group_and_baselines_once(tmp_path: Path) -> None:
    text = markdown(summarise(three_losses(tmp_path)))
    results = text.split("\n\n")[1].splitlines()
    heading = "|  | seeds | zero-shot mIoU | zero-shot accuracy | linear probe mIoU | linear probe accuracy |"
    assert results[0] == heading
    assert results[2] == "| relational | 3 | 63.0 ± 3.6 | 83.0 ± 3.6 | 73.0 ± 3.6 | 93.0 ± 3.6 |"
    assert results[4] == "| similarity | one | 58.0 | 78.0 | 68.0 | 88.0 |"
    assert results[5] == "| control: relational · pairs shuffled | one | 5.0 | 25.0 | – | – |"
    assert [line.split("|")[1].strip() for line in results[6:]] == [
        "*local geometry*",
        "*raw features*",
        "*random network*",
        "*majority class*",
        "*teacher*",
    ]
    assert "| *raw features* | – | – | – | 25.0 | 45.0 |" in results
