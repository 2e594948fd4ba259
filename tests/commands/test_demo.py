import json
from pathlib import Path

import numpy as np
import pytest

from pointlift import cli
from pointlift.commands import demo
from pointlift.datasets import street
from pointlift.recipe import load

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
def few_test_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(street.SPLITS, "test", (2, 1))
    quick = {"baselines": False, "max_points": 500, "minimum_steps": 5, "classifier_epochs": 1}
    tasks = {"zero-shot": dict(demo.VISIBLE), "linear-probe": quick, "structure": dict(demo.VISIBLE)}
    monkeypatch.setattr(demo, "tasks", lambda first: tasks)


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
    assert all(title in printed for title in ("Results", "zero-shot: the teacher's ceiling", "Structure"))
    summary = json.loads((out / "results.json").read_text())
    assert [group["loss"] for group in summary["groups"]] == ["relational", "contrastive", "similarity"]
    for group in summary["groups"]:
        assert set(group["tasks"]) == {"zero-shot", "linear-probe", "structure"}
        assert group["tasks"]["zero-shot"]["split"] == "test"
    page = (out / "report.html").read_text()
    assert page.lower().startswith("<!doctype html>")
    assert "one seed" in page.lower() or "1 seed" in page
    assert str(tmp_path) not in page

    run = out / "runs" / "street-relational-seed0"
    assert call("report", run) == 0
    assert "how to make it again" in (run / "report.html").read_text().lower()
    elsewhere = ("evaluate", run, "--task", "zero-shot", "--split", "test", "--cpu", "--test-data")
    assert call(*elsewhere, "town=coast") == 0
    assert (run / "evaluation" / "zero-shot-town=coast.json").is_file()
    capsys.readouterr()
    assert call(*elsewhere, "tonw=coast") == 2
    assert "did you mean 'town'" in " ".join(capsys.readouterr().err.split())
    (run / "evaluation" / "zero-shot-town=coast.json").unlink()
    scan = tmp_path / "scan.npy"
    np.save(scan, np.random.default_rng(0).random((200, 4), dtype=np.float32))
    assert call("predict", run, scan, "--prompts", "car,road,brick house", "--out", tmp_path / "labels", "--cpu") == 0
    assert np.load(tmp_path / "labels" / "scan-labels.npy").shape == (200,)
    capsys.readouterr()
    assert call("predict", run, scan, "--prompts", "car,rode", "--cpu") == 2
    assert "road" in capsys.readouterr().err

    asked: list[str] = []
    monkeypatch.setattr(demo.api, "evaluate", lambda run, task, *rest, **more: asked.append(task))
    again = demo.demo(out, overrides=TINY, cpu=True)
    assert asked == []
    assert again == summary


@pytest.mark.parametrize("name", [*demo.RECIPES, *demo.CONTROLS])
def test_recipes_differ_from_the_first_in_one_thing(name: str) -> None:
    first, other = (load(recipe).to_dict() for recipe in (demo.RECIPES[0], name))
    changed = {key for key in first if first[key] != other[key]} - {"name"}
    assert other["name"] == name
    assert changed == ({"loss"} if name in demo.RECIPES[1:] else set() if name in demo.RECIPES else changed)
    assert len(changed) <= 1
