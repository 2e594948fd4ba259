"""The dry run: what it measures, and that it keeps nothing."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import pointlift
from pointlift import recipe as recipes
from pointlift.cli import app
from pointlift.commands.rehearse import table
from pointlift.errors import CheckpointError, RecipeError

SMALL = [
    "data.sequences=3", "data.beams=32", "data.image_size=[32, 64]", "data.workers=0", "student.width=0.25",
    "student.voxel_size=0.5", "method.pairs_per_scene=32", "training.threads=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    root = tmp_path_factory.mktemp("streets")
    return pointlift.dry_run("street-relational", [*SMALL, f"data.root={root}", "training.steps=700"], cpu=True)


def test_steps_and_epochs_are_those_of_the_whole_run(result):
    assert result["steps"] == 700
    assert result["scenes"] == 3
    assert result["epochs"] == pytest.approx(700 * 2 / 3)
    assert result["seconds"]["training"] == pytest.approx(700 * result["seconds"]["step"])


def test_parameters_are_counted(result):
    recipe = recipes.load("street-relational", SMALL)
    student = pointlift.student("minkunet14", 1, 64, width=0.25, inputs=recipe.student.inputs, stem_kernel=3)
    assert result["parameters"]["student"] == sum(p.numel() for p in student.parameters())


def test_disk_is_extrapolated_from_the_scenes_that_were_read(result):
    # two steps of two scenes need three of the three scenes here: every image is in the cache of the rehearsal
    assert result["images"] == 9
    # one (64, 8, 16) float16 map for each image, or what the stride makes of it, and a header
    assert 9 * 64 * 2 < result["disk_bytes"]["features"] < 9 * 64 * 32 * 64 * 2
    # weights and two moments in fp32, in each of the checkpoints that are kept
    assert result["disk_bytes"]["checkpoints"] > 2 * 3 * 4 * result["parameters"]["student"]


def test_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    pointlift.dry_run("street-relational", [*SMALL, "data.sequences=2", f"data.root={tmp_path / 'streets'}"], cpu=True)
    assert [path.name for path in tmp_path.iterdir()] == ["streets"]


def test_an_absent_teacher_is_replaced_by_a_random_one_and_said(kitti_root, caplog):
    found = pointlift.dry_run(
        "semantickitti-small-relational",
        [
            f"data.root={kitti_root}", "teacher.source=facebook/dinov2-small", "student.width=0.25",
            "method.pairs_per_scene=16", "cache.image_size=[28, 56]", "training.threads=1", "points=null",
        ],
        cpu=True,
    )  # fmt: skip
    assert found["teacher_is_random"]
    assert "randomly initialised" in dict(table(found))["teacher"]
    assert "stands in" in caplog.text


def test_a_mistyped_folder_of_the_teacher_is_an_error_as_in_the_run_itself(kitti_root):
    with pytest.raises(CheckpointError, match="no-such-folder"):
        pointlift.dry_run(
            "semantickitti-small-relational", [f"data.root={kitti_root}", "teacher.source=./no-such-folder"], cpu=True
        )


def test_the_command_prints_what_the_run_would_need(tmp_path):
    options = [part for value in [*SMALL, "data.sequences=2"] for part in ("--set", value)]
    command = ["pretrain", "street-relational", "--dry-run", "--cpu", "--data-root", str(tmp_path), *options]
    printed = CliRunner().invoke(app, command)
    assert printed.exit_code == 0, printed.output
    for word in ("M parameters", "GiB", "time of training"):
        assert word in printed.output
    as_json = CliRunner().invoke(app, [*command, "--json"])
    assert json.loads(as_json.stdout)["steps"] == 400


def test_a_dry_run_takes_one_process(monkeypatch, tmp_path):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RecipeError, match="takes one process"):
        pointlift.dry_run("street-relational", [*SMALL, f"data.root={tmp_path}"], cpu=True)
