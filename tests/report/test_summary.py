import json
from pathlib import Path
from typing import Any

import pytest

from pointlift.errors import DataError
from pointlift.evaluation.result import Row
from pointlift.report import markdown, summarise
from pointlift.report.results import spoken
from pointlift.train.checkpoint import FORMAT
from tests.report.fabricate import linear_probe, retrieval, structure, three_losses, write_result, write_run, zero_shot


def test_runs_of_one_recipe_are_one_group_with_sample_spread(tmp_path: Path) -> None:
    summary = summarise(three_losses(tmp_path))
    assert [group.label for group in summary.groups] == [
        "relational",
        "contrastive",
        "similarity",
        "relational · pairs shuffled",
    ]
    group = summary.groups[0]
    assert (group.name, group.loss, group.seeds) == ("semantickitti-small-relational", "relational", [0, 1, 2])
    assert (group.teacher, group.student, group.data) == ("dinov2", "minkunet14", "semantickitti")
    assert group.steps == 700
    student = group.results["zero-shot"].student()
    assert student is not None
    miou = student.metrics["miou"]
    assert miou.values == [0.60, 0.62, 0.67]
    assert miou.mean == pytest.approx(0.63)
    assert miou.std == pytest.approx(((0.03**2 + 0.01**2 + 0.04**2) / 2) ** 0.5)
    assert student.classes["car"]["iou"].mean == pytest.approx(0.315)
    values = summary.to_dict()
    assert json.loads(json.dumps(values)) == values
    assert values["groups"][0]["results"]["zero-shot"]["rows"][3]["role"] == "teacher"
    assert "seed" not in group.recipe
    assert not [key for key in group.recipe if key.endswith((".root", ".folder"))]


def test_results_that_tell_classes_apart_come_first_and_beside_the_teacher_before_all(tmp_path: Path) -> None:
    results = [structure(1.9, 0.6), retrieval(0.002, 8.0), linear_probe(0.5), zero_shot(0.5, 0.5)]
    summary = summarise([write_run(tmp_path / "run", results)])
    assert summary.names() == ["zero-shot", "linear-probe", "structure", "retrieval"]


def test_one_seed_has_no_spread(tmp_path: Path) -> None:
    measured = summarise([write_run(tmp_path / "run", [linear_probe(0.5)])]).groups[0].results["linear-probe"]
    found = measured.decided()
    assert found is not None
    assert (found.mean, found.std, found.values) == (0.5, None, [0.5])


def test_missing_results_and_values_are_left_out(tmp_path: Path) -> None:
    with_result = write_run(tmp_path / "a", [linear_probe(0.5)])
    without = write_run(tmp_path / "b", overrides={"seed": 1})
    odd = linear_probe(0.4)
    odd.student.metrics["miou"] = None
    third = write_run(tmp_path / "c", [odd], overrides={"seed": 2})
    student = summarise([with_result, without, third]).groups[0].results["linear-probe"].student()
    assert student is not None
    assert student.metrics["miou"].values == [0.5, None, None]
    assert (student.metrics["miou"].mean, student.metrics["miou"].std) == (0.5, None)
    assert student.metrics["accuracy"].mean == pytest.approx(0.65)
    empty = summarise([without])
    assert empty.groups[0].results == {}
    assert markdown(empty).strip() == ""


def test_a_seed_that_comes_twice_does_not_narrow_the_spread(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, [linear_probe(0.5)]) for name in ("a", "b")]
    summary = summarise(runs)
    assert summary.groups[0].runs == [str(tmp_path / "a")]
    assert summary.notes == [f"{tmp_path / 'b'} repeats seed 0 of semantickitti-small-relational and is left out."]


def test_recipes_that_differ_in_one_value_are_told_apart(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / str(steps), overrides={"training.steps": steps}) for steps in (50, 60)]
    assert [group.label for group in summarise(runs).groups] == [
        "semantickitti-small-relational (training.steps=50)",
        "semantickitti-small-relational (training.steps=60)",
    ]


def test_places_tell_no_recipes_apart_but_the_weights_of_the_teacher_do(tmp_path: Path) -> None:
    places = [{"data.root": f"/somewhere/{n}", "cache.folder": f"/{n}", "teacher.source": f"/{n}"} for n in range(3)]
    runs = [write_run(tmp_path / str(n), overrides={"seed": n, **where}) for n, where in enumerate(places)]
    assert [group.seeds for group in summarise(runs).groups] == [[0, 1, 2]]
    for run, teacher in zip(runs, ("a", None, "b"), strict=True):
        if teacher:
            _checkpoint(run.folder, teacher)
    assert [group.seeds for group in summarise(runs).groups] == [[0, 1], [2]]
    assert [group.label for group in summarise(runs).groups] == [
        "semantickitti-small-relational (teacher.weights=a)",
        "semantickitti-small-relational (teacher.weights=b)",
    ]


def _checkpoint(folder: Path, teacher: str) -> None:
    """As much of a checkpoint as tells which teacher a run learned from."""
    path = folder / "checkpoints" / "step-00000001"
    path.mkdir(parents=True)
    for name in ("weights.safetensors", "optimizer.safetensors"):
        (path / name).touch()
    (path / "state.json").write_text(json.dumps({"format": FORMAT, "step": 1, "optimizer": {}, "teacher": teacher}))


def test_other_test_data_is_said(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", [zero_shot(0.5, 0.5)])
    second = write_run(tmp_path / "b", [zero_shot(0.5, 0.5)], overrides={"seed": 1})
    path = second.folder / "evaluation" / "zero-shot.json"
    result = json.loads(path.read_text())
    for data in (result["settings"]["data"]["test"], result["words"]["test data"]):
        data["scans"] = 99
    path.write_text(json.dumps(result))
    summary = summarise([first, second])
    assert summary.groups[0].results["zero-shot"].differs == ["test data"]
    assert summary.notes == ["Not all runs were measured on the same test data: zero-shot."]


def test_results_go_by_what_is_in_them_and_not_by_their_files_names(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    path = write_result(run, zero_shot(0.5, 0.6), test_data={"sector": [-30, 60]})
    path.rename(path.with_name("zero-shot-town=coast.json"))
    write_result(run, zero_shot(0.4, 0.5), test_data={"sector": [30, 60]})
    old = write_result(run, zero_shot(0.1, 0.1), split="test")
    old.rename(old.with_name("zero-shot.json"))
    write_result(run, zero_shot(0.7, 0.7), split="test")  # measured again since, under its own name
    results = summarise([run]).groups[0].results
    found = {measured.title: measured.decided() for measured in results.values()}
    assert {title: one.mean if one else None for title, one in found.items()} == {
        "zero-shot (test split)": 0.7,
        "zero-shot (val split, sector=[-30, 60])": 0.5,
        "zero-shot (val split, sector=[30, 60])": 0.4,
    }


@pytest.mark.parametrize(
    ("run", "task", "said"),
    [
        ({}, "segmentation", "linear-probe"),
        ({}, "detection", "linear-probe (detection)"),
        ({"split": "test", "test_data": {"sector": None}}, None, "linear-probe (no sector)"),
        ({"test_data": {"town": "coast", "beams": 64}}, None, "linear-probe (beams=64, town=coast)"),
        ({"label_data": {"name": "rooms", "part": "a"}}, None, "linear-probe (labels: rooms, labels: part=a)"),
    ],
)
def test_names_of_results_are_read_out(run: dict[str, Any], task: str | None, said: str) -> None:
    assert spoken("linear-probe", task, run) == said


@pytest.mark.parametrize("content", ["{", "[]", '{"task": "zero-shot"}', '{"format": 2}'])
def test_a_damaged_result_is_named(content: str, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    path = run.folder / "evaluation" / "zero-shot.json"
    path.write_text(content)
    with pytest.raises(DataError, match=str(path)):
        summarise([run])


def test_rows_of_one_name_are_told_apart_by_their_subset(tmp_path: Path) -> None:
    measured = summarise([write_run(tmp_path / "run", [zero_shot(0.5, 0.6)])]).groups[0].results["zero-shot"]
    assert [row.title for row in measured.of_role("baseline", None)] == [
        "random network",
        "majority class",
        "random network, visible points",
        "majority class, visible points",
    ]
    everywhere, seen = measured.decided(), measured.decided("visible points")
    assert everywhere is not None
    assert seen is not None
    assert (everywhere.mean, seen.mean) == (0.5, 0.6)
    assert measured.student("nowhere") is None


def test_yes_and_no_are_counted(tmp_path: Path) -> None:
    runs = []
    for seed, plateaued in enumerate((True, False)):
        result = linear_probe(0.5)
        result.rows.append(Row("odd", "control", {"plateaued": plateaued, "said": "text"}))
        runs.append(write_run(tmp_path / str(seed), [result], overrides={"seed": seed}))
    (odd,) = summarise(runs).groups[0].results["linear-probe"].of_role("control")
    assert odd.metrics["plateaued"].values == [1.0, 0.0]
    assert "said" not in odd.metrics
