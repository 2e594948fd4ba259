import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from pointlift import cli, studies
from pointlift.commands import demo
from pointlift.datasets import street
from pointlift.options import controls
from pointlift.recipe import load
from pointlift.study import Cell, running
from pointlift.study import load as load_study

TINY = [
    "training.steps=3",
    "training.warmup_steps=1",
    "training.log_every=1",
    "training.threads=1",
    "data.sequences=2",
    "data.image_size=[48, 96]",
    "data.workers=0",
    "student.width=0.25",
    "student.voxel_size=1.0",
    "method.pairs_per_scene=64",
]


@pytest.fixture
def few_test_scans(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(street.SPLITS, "test", (2, 1))
    study = yaml.safe_load(studies.texts()[demo.STUDY])
    for evaluation in study["evaluations"]:
        if evaluation["protocol"] == "linear-probe":
            evaluation["options"] = {"max_points": 500, "minimum_steps": 5, "classifier_epochs": 1, "baselines": False}
            evaluation["first_options"] = {}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(study))
    monkeypatch.setattr(demo, "STUDY", tmp_path / "small.yaml")


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in arguments])
    return int(caught.value.code or 0)


@pytest.mark.usefixtures("few_test_scans")
def test_demo_makes_everything_and_does_nothing_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "demo"
    said = [part for override in TINY for part in ("--set", override)]
    assert call("demo", "--out", out, "--cpu", *said) == 0
    printed = capsys.readouterr().out
    assert all(
        title in printed for title in ("Results", "zero-shot: beside the teacher", "structure", "relational gap")
    )
    summary = json.loads((out / "results.json").read_text())
    assert [group["loss"] for group in summary["groups"]] == ["relational", "contrastive", "similarity"]
    for group in summary["groups"]:
        measured = {one["protocol"]: one for one in group["results"].values()}
        assert set(measured) == {"zero-shot", "linear-probe", "structure"}
        assert measured["zero-shot"]["run"]["split"] == "test"
    page = (out / "report.html").read_text()
    assert page.lower().startswith("<!doctype html>")
    assert "one seed" in page.lower() or "1 seed" in page
    assert str(tmp_path) not in page

    run = out / "runs" / "street-relational-seed0"
    assert call("report", run) == 0
    assert "how to make it again" in (run / "report.html").read_text().lower()
    elsewhere = ("evaluate", run, "--protocol", "zero-shot", "--split", "test", "--cpu", "--test-data")
    assert call(*elsewhere, "town=coast") == 0
    assert (run / "evaluation" / "zero-shot-split=test-town=coast.json").is_file()
    capsys.readouterr()
    assert call(*elsewhere, "tonw=coast") == 2
    assert "did you mean 'town'" in " ".join(capsys.readouterr().err.split())
    (run / "evaluation" / "zero-shot-split=test-town=coast.json").unlink()
    scan = tmp_path / "scan.npy"
    np.save(scan, np.random.default_rng(0).random((200, 4), dtype=np.float32))
    assert call("predict", run, scan, "--prompts", "car,road,brick house", "--out", tmp_path / "labels", "--cpu") == 0
    assert np.load(tmp_path / "labels" / "scan-labels.npy").shape == (200,)
    capsys.readouterr()
    assert call("predict", run, scan, "--prompts", "car,rode", "--cpu") == 2
    assert "road" in capsys.readouterr().err

    def not_again(*_: object) -> None:
        raise AssertionError("what is there was measured again")

    monkeypatch.setattr(running, "evaluate", not_again)
    again = demo.demo(out, overrides=TINY, cpu=True)
    assert json.loads(json.dumps(again.to_dict())) == summary


def test_settings_of_the_demo() -> None:
    study = load_study(demo.STUDY)
    first, *others = study.cells(controls=False)
    assert [cell.recipe.loss.name for cell in (first, *others)] == ["relational", "contrastive", "similarity"]
    assert all(one.split == "test" for cell in (first, *others) for one in cell.evaluations)
    options = {one.title: one.options for one in first.evaluations}
    assert options == {
        "zero-shot": {"occlusion": 0.05},
        "linear-probe": {"baselines": True, "max_points": 200_000},
        "structure": {"occlusion": 0.05},
    }
    assert {one.title: one.options for one in others[-1].evaluations} == {
        **options, "linear-probe": {"baselines": False, "max_points": 200_000},
    }  # fmt: skip


@pytest.mark.parametrize("cell", load_study(demo.STUDY).cells(), ids=lambda cell: cell.name)
def test_recipes_differ_from_the_first_in_one_thing(cell: Cell) -> None:
    first, other = load("street-relational").to_dict(), cell.recipe.to_dict()
    changed = {key for key in first if first[key] != other[key]} - {"name"}
    assert other["name"] == cell.label
    assert len(changed) <= 1
    assert cell.control or changed <= {"loss"}
    assert cell.control == bool(list(controls(cell.recipe)))
