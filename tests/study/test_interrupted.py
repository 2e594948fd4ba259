"""A study that is killed, and called again: nothing is lost that was complete, nothing is done twice, same bits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from pointlift import study as studies
from pointlift.recipe import Recipe
from pointlift.run import Run
from pointlift.study import Cell, Measured, Study, running
from pointlift.train import checkpoint
from tests.study.small import TINY, Stub, places

FIRST, SECOND = "street-relational-seed0", "street-similarity-seed0"
SCRIPT = """
import json, os, signal, sys
from pathlib import Path
import torch
from pointlift import study
from pointlift.study import running
from tests.study.small import Stub
from tests.study.test_interrupted import cells

torch.set_num_threads(1)
kept, out, fatal = sys.argv[1:]

def die_at(what):
    if what == fatal:
        os.kill(os.getpid(), signal.SIGKILL)

class Dying(Stub):
    def __call__(self, run, asked, *more):
        die_at(f"{run.folder.name}: before {asked.title}")
        found = super().__call__(run, asked, *more)
        die_at(f"{run.folder.name}: after {asked.title}")
        return found

running.evaluate = Dying()
study.run(cells(Path(kept)), Path(out), progress=lambda what, done, _: die_at(f"{what} {done}"), cpu=True)
"""


def cells(kept: Path) -> list[Cell]:
    values = {
        "title": "T",
        "recipes": ["street-relational", "street-similarity"],
        "evaluations": ["linear-probe", "structure"],
    }
    return Study.model_validate(values).cells({**TINY, "training.steps": 3, **places(kept)})


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def whole(kept: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Measured]:
    """The study without interruption."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "evaluate", Stub())
        return studies.run(cells(kept), tmp_path_factory.mktemp("whole"), cpu=True)


@pytest.mark.parametrize(
    ("fatal", "trained", "measured"),
    [
        (f"{FIRST}: training 1", [FIRST, SECOND], [FIRST, FIRST, SECOND, SECOND]),
        (f"{FIRST}: before structure", [SECOND], [FIRST, SECOND, SECOND]),
        (f"{FIRST}: after structure", [SECOND], [SECOND, SECOND]),
        (f"{SECOND}: training 2", [SECOND], [SECOND, SECOND]),
    ],
)
def test_a_killed_study_goes_on(
    fatal: str,
    trained: list[str],
    measured: list[str],
    kept: Path,
    whole: list[Measured],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stub, train, done = Stub(), running.train, []

    def noted(recipe: Recipe, folder: Path, *more: Any, **options: Any) -> Run:
        done.append(folder.name)
        return train(recipe, folder, *more, **options)

    monkeypatch.setattr(running, "evaluate", stub)
    out = tmp_path / "killed"
    command = [sys.executable, "-c", SCRIPT, str(kept), str(out), fatal]
    killed = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert killed.returncode == -9, killed.stderr[-2000:]
    monkeypatch.setattr(running, "train", noted)
    again = studies.run(cells(kept), out, cpu=True)
    assert done == trained
    assert [name for name, _, _ in stub.asked] == measured
    for one, two in zip(whole, again, strict=True):
        assert json.dumps(two.results["structure"].to_dict()) == json.dumps(one.results["structure"].to_dict())
        first, second = (checkpoint.read_weights(each.run.checkpoint) for each in (one, two))
        assert all(torch.equal(value, second[key]) for key, value in first.items())
