"""Doing a study: what is done, what is not done again, and what several processes do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pointlift import recipe as recipe_module
from pointlift import study as studies
from pointlift.errors import CheckpointError, PointliftError, TrainingError
from pointlift.run import prepare
from pointlift.study import Cell, Study, running
from tests.study.small import TINY, Stub, places


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    stub = Stub()
    monkeypatch.setattr(running, "evaluate", stub)
    return stub


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated streets and features, shared by the tests."""
    return tmp_path_factory.mktemp("kept")


def cells(kept: Path, **more: object) -> list[Cell]:
    values = {
        "title": "T",
        "recipes": ["street-relational", "street-similarity"],
        "evaluations": [
            {"protocol": "linear-probe", "options": {"baselines": False}, "first_options": {"baselines": True}}
        ],
        **more,
    }
    return Study.model_validate(values).cells({**TINY, **places(kept)})


def test_nothing_is_done_twice(stub: Stub, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = studies.run(cells(kept), tmp_path, cpu=True)
    assert [one.run.folder.name for one in first] == ["street-relational-seed0", "street-similarity-seed0"]
    assert [(name, options) for name, _, options in stub.asked] == [
        ("street-relational-seed0", {"baselines": True}), ("street-similarity-seed0", {"baselines": False}),
    ]  # fmt: skip

    def not_again(*_: object, **__: object) -> None:
        raise AssertionError("a complete run was trained again")

    stub.asked.clear()
    monkeypatch.setattr(running, "train", not_again)
    again = studies.run(cells(kept), tmp_path, cpu=True)
    assert stub.asked == []
    assert [one.results for one in again] == [one.results for one in first]


def test_what_is_missing_or_was_measured_otherwise_is_done(stub: Stub, kept: Path, tmp_path: Path) -> None:
    studies.run(cells(kept), tmp_path, cpu=True)
    files = [tmp_path / "runs" / f"street-{name}-seed0" / "evaluation" for name in ("relational", "similarity")]
    stub.asked.clear()
    (files[0] / "linear-probe.json").write_text("half a fi")
    measured_by_hand = json.loads((files[1] / "linear-probe.json").read_text())
    measured_by_hand["run"]["options"] = {"baselines": True}
    (files[1] / "linear-probe.json").write_text(json.dumps(measured_by_hand))
    studies.run(cells(kept), tmp_path, cpu=True)
    assert len(stub.asked) == 2
    stub.asked.clear()
    studies.run(cells(kept, seeds=[0, 1]), tmp_path, cpu=True)
    assert [name for name, _, _ in stub.asked] == ["street-relational-seed1", "street-similarity-seed1"]


def test_an_interrupted_run_goes_on(stub: Stub, kept: Path, tmp_path: Path) -> None:
    chosen = cells(kept, recipes=["street-relational"])

    def stopped(what: str, done: int, total: int) -> None:
        if "train" in what and done == 1:
            raise KeyboardInterrupt

    whole = studies.run(chosen, tmp_path / "whole", cpu=True)
    with pytest.raises(KeyboardInterrupt):
        studies.run(chosen, tmp_path / "stopped", progress=stopped, cpu=True)
    resumed = studies.run(chosen, tmp_path / "stopped", cpu=True)
    assert [line["loss"] for line in resumed[0].run.metrics()] == [line["loss"] for line in whole[0].run.metrics()]


def test_another_recipe_in_the_folder_is_an_error(stub: Stub, kept: Path, tmp_path: Path) -> None:
    studies.run(cells(kept), tmp_path, cpu=True)
    with pytest.raises(CheckpointError, match=r"another recipe \(loss\.p was 1 and is 2\)"):
        studies.run(cells(kept, overrides={"loss.p": 2}, recipes=["street-relational"]), tmp_path, cpu=True)


def test_progress_says_which_cell_it_belongs_to(stub: Stub, kept: Path, tmp_path: Path) -> None:
    said: set[str] = set()
    studies.run(cells(kept), tmp_path, progress=lambda what, *_: said.add(what.split(":")[0]), cpu=True)
    assert said == {"street-relational-seed0", "street-similarity-seed0"}


def test_processes_do_what_one_would(kept: Path, tmp_path: Path) -> None:
    chosen = [
        Cell(cell.label, cell.control, cell.recipe, ())  # a stand-in for the evaluation would stay in this process
        for cell in cells(kept)
    ]
    said: set[str] = set()
    two = studies.run(chosen, tmp_path / "two", parallel=2, progress=lambda what, *_: said.add(what), cpu=True)
    one = studies.run(chosen, tmp_path / "one", cpu=True)
    assert any(what.startswith("street-similarity-seed0: ") for what in said)
    for a, b in zip(one, two, strict=True):
        assert [line["loss"] for line in a.run.metrics()] == [line["loss"] for line in b.run.metrics()]


def test_a_task_that_was_measured_by_hand_is_not_taken_for_the_usual_one(
    stub: Stub, kept: Path, tmp_path: Path
) -> None:
    chosen = cells(kept, recipes=["street-relational"])
    studies.run(chosen, tmp_path, cpu=True)
    folder = tmp_path / "runs" / chosen[0].name / "evaluation"
    other = json.loads((folder / "linear-probe.json").read_text())
    other["run"] |= {"task": "obstacles", "asked_task": "obstacles"}
    other["task"], other["rows"][0]["metrics"]["miou"] = "obstacles", 0.99
    (folder / "linear-probe+obstacles.json").write_text(json.dumps(other))  # it comes before the other in the folder
    (again,) = studies.run(chosen, tmp_path, cpu=True)
    assert again.results["linear-probe"].student.metrics["miou"] == 0.5


def test_a_cell_that_fails_one_after_the_other_is_named(stub: Stub, kept: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "street-relational-seed0"
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text("not: a recipe")
    with pytest.raises(PointliftError, match="^street-relational-seed0: .*there is no key 'not'"):
        studies.run(cells(kept), tmp_path, cpu=True)


def test_features_that_cells_share_are_computed_once(stub: Stub, tmp_path: Path) -> None:
    chosen = [
        Cell(cell.label, cell.control, cell.recipe, ())
        for cell in cells(tmp_path, recipes=["street-relational", "street-similarity", "street-random-teacher"])
    ]
    ((names, recipes),) = running._sharing(chosen, tmp_path)
    assert (names, len(recipes)) == ("street-relational-seed0 and 1 more", 1)  # the random teacher is another
    prepare(recipe_module.from_values(recipes[0]), cpu=True)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "features").rglob("*.safetensors")}
    assert kept
    studies.run(chosen[:2], tmp_path, cpu=True)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "features").rglob("*.safetensors")} == kept
    assert running._sharing(chosen, tmp_path) == []


def test_a_cell_that_fails_in_its_process_is_named(kept: Path, tmp_path: Path) -> None:
    chosen = [Cell(cell.label, cell.control, cell.recipe, ()) for cell in cells(kept, recipes=["street-relational"])]
    folder = tmp_path / "runs" / chosen[0].name
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text("not: a recipe")
    with pytest.raises(TrainingError, match="street-relational-seed0: .*there is no key 'not'") as caught:
        studies.run(chosen, tmp_path, parallel=2, cpu=True)
    assert isinstance(caught.value, PointliftError)
