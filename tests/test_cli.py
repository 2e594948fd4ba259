import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import pointlift
from pointlift import cli
from pointlift.evaluation.result import Result
from pointlift.train import checkpoint

NAME = "semantickitti-small-relational"


def call(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error, the latter as one line."""
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    output = capsys.readouterr()
    return int(caught.value.code or 0), output.out, " ".join(output.err.split())


def settings(overrides: list[str]) -> list[str]:
    return [part for override in overrides for part in ("--set", override)]


def pretrain(overrides: list[str], out: Path) -> list[str]:
    return ["pretrain", NAME, *settings(overrides), "--out", str(out), "--cpu"]


def test_pretrain_evaluate_and_load(
    tiny_overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    code, text, _ = call([*pretrain(tiny_overrides, out), "--json"], capsys)
    assert code == 0
    assert json.loads(text)["step"] == 6
    assert {"recipe.yaml", "metrics.jsonl", "checkpoints", "tensorboard"} <= {path.name for path in out.iterdir()}
    options = ["--set", "classifier_epochs=1", "--set", "minimum_steps=20"]
    code, text, _ = call(["evaluate", str(out), "--protocol", "linear-probe", *options, "--json"], capsys)
    assert code == 0
    result = json.loads(text)
    assert Result.from_dict(result)["student"]["miou"] >= 0
    assert json.loads(next((out / "evaluation").glob("linear-probe*.json")).read_text()) == result
    code, text, _ = call(["evaluate", str(out), "--protocol", "structure"], capsys)
    assert code == 0
    assert "CKA" in text
    run = pointlift.run.Run(out)
    run.parts.recipe.data.sequences = ["00"]
    assert {scene.id[:2] for scene in run.parts.dataset()} == {"00"}
    assert {scene.id[:2] for scene in run.parts.dataset(split="val")} == {"08"}
    points = torch.randn(50, 4).numpy() * 5
    assert pointlift.load(out).features(points).shape == (50, 24)


def test_a_killed_command_resumes_to_the_same_weights(tiny_overrides: list[str], tmp_path: Path) -> None:
    whole = pointlift.pretrain(NAME, tiny_overrides, out=tmp_path / "whole", cpu=True)
    out = tmp_path / "killed"
    script = (
        "import os, signal, sys\n"
        "import pointlift\n"
        "def die(what, done, total):\n"
        "    if what == 'training' and done == 5:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "pointlift.pretrain(sys.argv[1], sys.argv[3:], out=sys.argv[2], progress=die, cpu=True)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, NAME, str(out), *tiny_overrides], check=False)
    assert killed.returncode == -9
    assert checkpoint.latest(out / "checkpoints").name == "step-00000003"
    resumed = pointlift.pretrain(NAME, tiny_overrides, out=out, cpu=True)
    first, second = (checkpoint.read_weights(run.checkpoint) for run in (whole, resumed))
    assert all(torch.equal(value, second[key]) for key, value in first.items())


@pytest.mark.parametrize("control", [False, True], ids=["pairs", "shuffled"])
def test_two_processes_train_the_real_student_as_one(control: bool, tiny_overrides: list[str], tmp_path: Path) -> None:
    overrides = [*tiny_overrides, f"method.shuffle_pairs={str(control).lower()}", "training.steps=3"]
    single = pointlift.pretrain(NAME, overrides, out=tmp_path / "one", cpu=True)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0"]
    command = [*launch, "--standalone", "-m", "pointlift.cli", *pretrain(overrides, tmp_path / "two"), "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    assert json.loads(result.stdout)["step"] == 3  # one process speaks for both
    double = pointlift.run.Run(tmp_path / "two")
    for one, two in zip(single.metrics(), double.metrics(), strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-4)
    for key, value in checkpoint.read_weights(single.checkpoint).items():
        torch.testing.assert_close(value, checkpoint.read_weights(double.checkpoint)[key], rtol=1e-2, atol=2e-3)


def test_a_changed_recipe_is_not_resumed(
    tiny_overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert call(pretrain(tiny_overrides, out), capsys)[0] == 0
    code, _, error = call(pretrain([*tiny_overrides, "training.learning_rate=0.5"], out), capsys)
    assert code == 2
    assert "training.learning_rate was 0.002 and is 0.5" in error
    assert call(pretrain([*tiny_overrides, "training.log_every=3"], out), capsys)[0] == 0


def test_a_mistake_that_is_mended_is_no_other_recipe(
    tiny_overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    code, _, error = call(pretrain([*tiny_overrides, "teacher.layer=99"], out), capsys)
    assert code == 2
    assert "99" in error
    assert not out.exists()
    assert call(pretrain(tiny_overrides, out), capsys)[0] == 0


def test_check_writes_overlays(kitti_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = call(["check", "semantickitti", "--data-root", str(kitti_root), "--out", str(tmp_path)], capsys)
    assert code == 0
    assert "road" in text
    assert list(tmp_path.glob("*.png"))


@pytest.mark.parametrize("kind", ["datasets", "teachers", "students", "losses", "methods", "protocols", "recipes"])
def test_list(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = call(["list", kind, "--json"], capsys)
    assert code == 0
    assert json.loads(text)


@pytest.mark.parametrize("command", ["pretrain", "evaluate", "check", "list"])
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = call([command, "--help"], capsys)
    assert code == 0
    assert "Example: pointlift" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "lossess"], "did you mean 'losses'"),
        (["pretrain", "semantickitti-smal-relational"], "did you mean 'semantickitti-small-relational'"),
        (["pretrain", NAME], "give --data-root FOLDER"),
        (["pretrain", NAME, "--data-root", "nowhere", "--teacher", "{teacher}"], "nowhere"),
        (["pretrain", NAME, "--data-root", "{data}", "--teacher", "{empty}"], "{empty}"),
        (["pretrain", NAME, "--data-root", "{data}", "--set", "student.width=wide"], "student.width"),
        (["evaluate", "{empty}", "--protocol", "linear-probe"], "not a run folder"),
        (["check", "semantickiti", "--data-root", "{data}"], "did you mean 'semantickitti'"),
        (["check", "semantickitti"], "give --data-root FOLDER"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_2(
    arguments: list[str],
    said: str,
    kitti_root: Path,
    tiny_dinov2: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    known = {"data": kitti_root, "teacher": tiny_dinov2, "empty": "empty"}
    code, _, error = call([argument.format(**known) for argument in arguments], capsys)
    assert code == 2
    assert error.startswith("error: ")
    assert said.format(**known) in error
    assert "Traceback" not in error


def test_an_unknown_protocol_suggests_the_nearest(
    tiny_overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    call(pretrain(tiny_overrides, out), capsys)
    code, _, error = call(["evaluate", str(out), "--protocol", "linear-prob"], capsys)
    assert code == 2
    assert "did you mean 'linear-probe'" in error
    code, _, error = call(["evaluate", str(out), "--task", "linear-probe"], capsys)
    assert code == 2
    assert "'linear-probe' is a protocol: --protocol linear-probe" in error
    code, _, error = call(["evaluate", str(out)], capsys)
    assert code == 2
    assert "give --protocol, one of: exemplar," in error
    code, _, error = call(["evaluate", str(out), "--protocol", "linear-probe", "--set", "epoch=3"], capsys)
    assert code == 2
    assert "there is no key 'epoch'" in error
    code, _, error = call(["evaluate", str(out), "--protocol", "linear-probe", "--set", "split=train"], capsys)
    assert code == 2
    assert "there is no key 'split'" in error


def test_import_is_light() -> None:
    """Neither torchvision nor a GPU is needed, and nothing heavy is imported before it is used."""
    script = "import sys, pointlift; assert 'torch' not in sys.modules; import pointlift.cli; print('fine')"
    assert "fine" in subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
