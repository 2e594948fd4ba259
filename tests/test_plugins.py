"""Parts from outside (``tests/outside``) do on the command line all that the package's own do."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

OUTSIDE = Path(__file__).parent / "outside"
RECIPE = """
name: outside
data: {name: robot}
teacher: {name: colors}
student: {name: pointwise}
loss: {name: huber, delta: 0.5}
method: {name: nearest_points}
cache: {folder: features}
training: {steps: 4, batch_size: 2, checkpoint_every: 2, log_every: 1, keep_checkpoints: 2, threads: 1, workers: 1}
"""
SPAWNED = "import multiprocessing as m; m.set_start_method('spawn'); from pointlift import cli; cli.main()"
"""The command line where data workers are started anew, as on macOS and Windows."""


def call(folder: Path, *arguments: str, start: tuple[str, ...] = ("-c", SPAWNED), path: str = "") -> tuple[int, str]:
    """Exit code and everything said of a command in ``folder``; modules are looked for in ``path`` first."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "500"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [path, os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, *start, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, timeout=300)
    return done.returncode, done.stdout + done.stderr


def with_parts(folder: Path, *arguments: str) -> str:
    code, said = call(folder, *arguments, "--import", str(OUTSIDE))
    assert code == 0, said
    return said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe of parts from outside and the run that came of it."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "outside.yaml").write_text(RECIPE)
    with_parts(folder, "pretrain", "outside.yaml", "--out", "run", "--cpu")
    return folder


def test_a_run_goes_on_where_it_stopped(folder: Path) -> None:
    shutil.copytree(folder / "run", folder / "stopped")
    shutil.rmtree(folder / "stopped" / "checkpoints" / "step-00000004")
    with_parts(folder, "pretrain", "outside.yaml", "--out", "stopped", "--cpu")
    one, other = (
        load_file(folder / name / "checkpoints" / "step-00000004" / "weights.safetensors")
        for name in ("run", "stopped")
    )
    assert all(np.array_equal(one[key], other[key]) for key in one)


def test_several_processes_know_the_parts_too(folder: Path) -> None:
    launch = ("-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", "-m", "pointlift.cli")
    arguments = ["pretrain", "outside.yaml", "--out", "ranks", "--cpu", "--set", "training.workers=0"]
    code, said = call(folder, *arguments, f"--import={OUTSIDE}", start=launch)
    assert code == 0, said
    logged = [json.loads(line) for line in (folder / "ranks" / "metrics.jsonl").read_text().splitlines()]
    alone = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in logged] == pytest.approx([line["loss"] for line in alone], rel=1e-3)


def test_runs_are_tested_predicted_with_and_reported(folder: Path) -> None:
    probe = ["--protocol", "linear-probe", "--set", "minimum_steps=20", "--set", "classifier_epochs=1", "--cpu"]
    with_parts(folder, "evaluate", "run", *probe)
    assert "obstacle" in with_parts(folder, "evaluate", "run", *probe, "--task", "obstacles")
    assert "distance of neighbours" in with_parts(folder, "evaluate", "run", "--protocol", "smoothness", "--cpu")
    scan = np.random.default_rng(0).uniform(0, 5, (50, 4)).astype(np.float32)
    np.save(folder / "scan.npy", scan / 5)
    with_parts(folder, "predict", "run", "scan.npy", "--cpu")
    assert np.load(folder / "predictions" / "scan-features.npy").shape == (50, 6)
    with_parts(folder, "report", "run", "--cpu")
    page = (folder / "run" / "report.html").read_text()
    assert "smoothness" in page
    assert "obstacles" in page


def test_a_dry_run_and_a_check_of_the_data(folder: Path) -> None:
    with_parts(folder, "pretrain", "outside.yaml", "--dry-run", "--cpu")
    assert "post" in with_parts(folder, "check", "robot")


@pytest.mark.parametrize("kind", ["datasets", "teachers", "students", "losses", "methods", "tasks", "protocols"])
def test_each_kind_of_part_is_listed(kind: str, folder: Path) -> None:
    names = ["robot", "colors", "pointwise", "huber", "nearest_points", "obstacles", "smoothness"]
    said = with_parts(folder, "list", kind, "--json")
    assert any(name in json.loads(said) for name in names)


def test_neither_recipe_nor_run_imports_by_itself(folder: Path) -> None:
    for arguments in (["pretrain", "outside.yaml"], ["report", "run"], ["evaluate", "run", "--protocol", "structure"]):
        code, said = call(folder, *arguments)
        assert code == 2, said
        assert "there is no data set called 'robot'" in said
        assert "give --import FILE" in said
    (folder / "importing.yaml").write_text(RECIPE + "import: outside\n")
    code, said = call(folder, "pretrain", "importing.yaml")
    assert code == 2
    assert "there is no key 'import'" in said


def plugin(folder: Path, name: str, text: str) -> Path:
    """An installed distribution with one module that is a plug-in."""
    (folder / f"{name}.py").write_text(text)
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[pointlift.plugins]\n{name} = {name}\n")
    return folder


LOSS = """
from pointlift.registry import LOSSES
@LOSSES.register("{name}", scope="batch")
def loss(student, teacher, normalize=True):
    "A loss of somebody's."
    return (student - teacher).square().mean()
"""


def test_installed_plug_ins_are_found_and_broken_ones_break_nothing(tmp_path: Path, folder: Path) -> None:
    plugin(tmp_path, "good_losses", LOSS.format(name="installed"))
    plugin(tmp_path, "broken_losses", "raise OSError('no such library')")
    plugin(tmp_path, "second_losses", LOSS.format(name="contrastive"))
    code, said = call(folder, "list", "losses", path=str(tmp_path))
    assert code == 0
    assert "installed" in said
    assert said.count("cannot be loaded: OSError: no such library") == 1
    assert "plug-in 'broken_losses' of broken_losses" in said
    assert re.search(
        "two parts are called loss 'contrastive': pointlift.losses.paired.* and second_losses.loss .*, line 3", said
    )
    arguments = ["pretrain", "outside.yaml", "--out", "installed", "--cpu", "--set", "loss.name=installed"]
    code, said = call(folder, *arguments, "--import", str(OUTSIDE), path=str(tmp_path))
    assert code == 0, said


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("twice.py", LOSS.format(name="relational"), "two parts are called loss 'relational': pointlift.losses"),
        ("broken.py", "1 / 0", "--import broken.py: it cannot be imported: ZeroDivisionError: division by zero"),
        ("sub/json.py", "", "a module called 'json' is there already"),
        ("my-log.py", "", "'my-log' is not a name that Python imports"),
        ("absent.py", None, "--import absent.py: there is no such file"),
        ("nothing_like_it", None, "--import nothing_like_it: it cannot be imported: ModuleNotFoundError"),
        ("contract.py", LOSS.format(name="new").replace('scope="batch"', ""), "must declare its scope"),
    ],
)
def test_a_plug_in_that_cannot_be_imported_is_one_sentence(
    file: str, text: str | None, sentence: str, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / file).parent.mkdir(exist_ok=True)  # the folder of the command itself is a place of modules, too
        (tmp_path / file).write_text(text)
    code, said = call(tmp_path, "list", "losses", "--import", file)
    assert code == 2, said
    assert sentence in said
    assert "Traceback" not in said


def test_an_import_without_a_file(tmp_path: Path) -> None:
    code, said = call(tmp_path, "list", "losses", "--import")
    assert code == 2
    assert "--import needs a file or module" in said
