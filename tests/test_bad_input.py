"""Every mistake that a user can make ends in one sentence that names the file or key, and exit code 2."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pointlift import cli
from pointlift.train import checkpoint

NAME = "semantickitti-small-contrastive"


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must be refused, and gives the sentence that it says."""

    def run(*arguments: str) -> str:
        capsys.readouterr()  # what earlier commands said
        with pytest.raises(SystemExit) as caught:
            cli.main(list(arguments))
        said = capsys.readouterr().err
        assert caught.value.code == 2, said
        assert "Traceback" not in said
        assert len(said.strip().splitlines()) == 1, said
        assert said.startswith("error: ")
        return said.strip()

    return run


@pytest.fixture
def root(kitti_root: Path, tmp_path: Path) -> Path:
    """A copy of the synthetic street that a test may break."""
    return shutil.copytree(kitti_root, tmp_path / "data")


def settings(*overrides: str) -> list[str]:
    return [part for override in overrides for part in ("--set", override)]


def pretrain(overrides: list[str], out: Path, *more: str) -> list[str]:
    return ["pretrain", NAME, *settings(*overrides, *more), "--out", str(out), "--cpu"]


def missing_folder(root: Path) -> None:
    shutil.rmtree(root)


def folder_of_something_else(root: Path) -> None:
    (root / "sequences").rename(root / "scans")


def empty_sequence(root: Path) -> None:
    for file in (root / "sequences" / "00" / "velodyne").iterdir():
        file.unlink()


def truncated_scan(root: Path) -> None:
    file = root / "sequences" / "00" / "velodyne" / "000001.bin"
    file.write_bytes(file.read_bytes()[:-3])


def nan_coordinates(root: Path) -> None:
    file = root / "sequences" / "00" / "velodyne" / "000001.bin"
    points = np.fromfile(file, "<f4").reshape(-1, 4)
    points[7, 1] = np.nan
    points.tofile(file)


def labels_of_another_length(root: Path, sequence: str = "00") -> None:
    file = root / "sequences" / sequence / "labels" / "000001.label"
    file.write_bytes(file.read_bytes()[:400])


def unknown_label(root: Path) -> None:
    file = root / "sequences" / "00" / "labels" / "000001.label"
    labels = np.fromfile(file, "<u4")
    labels[3] = 77
    labels.tofile(file)


def text_instead_of_an_image(root: Path) -> None:
    (root / "sequences" / "00" / "image_2" / "000001.png").write_text("not an image")


def truncated_image(root: Path) -> None:
    file = root / "sequences" / "00" / "image_2" / "000001.png"
    file.write_bytes(file.read_bytes()[:2000])


def change_calibration(root: Path, key: str, values: str | None) -> None:
    file = root / "sequences" / "00" / "calib.txt"
    rows = dict(line.split(": ", 1) for line in file.read_text().splitlines())
    rows.pop(key)
    rows |= {key: values} if values else {}
    file.write_text("".join(f"{name}: {row}\n" for name, row in rows.items()))


def calibration_without_tr(root: Path) -> None:
    change_calibration(root, "Tr", None)


def calibration_of_ten_numbers(root: Path) -> None:
    change_calibration(root, "Tr", "1 0 0 0 0 1 0 0 0 0")


def singular_intrinsics(root: Path) -> None:
    change_calibration(root, "P2", "100 0 99 0 100 0 99 0 0 0 1 0")


DAMAGE: dict[Callable[[Path], None], tuple[str, str]] = {
    missing_folder: ("data", "the folder does not exist; root is the folder that holds 'sequences'"),
    folder_of_something_else: ("data", "the folder holds neither 'sequences' nor 'dataset/sequences'"),
    empty_sequence: ("00/velodyne", "the sequence has no scans (*.bin)"),
    truncated_scan: ("00/velodyne/000001.bin", "the scan is truncated"),
    nan_coordinates: ("00/velodyne/000001.bin", "1 rows with NaN or infinity, the first is row 7"),
    labels_of_another_length: ("00/labels/000001.label", "there are 100 labels for"),
    unknown_label: ("00/labels/000001.label", "label 77 of point 3 is not an id of SemanticKITTI"),
    text_instead_of_an_image: ("00/image_2/000001.png", "the image cannot be decoded"),
    truncated_image: ("00/image_2/000001.png", "the image cannot be decoded"),
    calibration_without_tr: ("00/calib.txt", "the key 'Tr' is missing; keys are: P0, P1, P2, P3"),
    calibration_of_ten_numbers: ("00/calib.txt", "'Tr' must have 12 finite numbers (3 x 4), not 10"),
    singular_intrinsics: ("00/calib.txt", "the intrinsics in P2 are singular"),
}


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_damaged_data_are_named_by_check(
    damage: Callable[[Path], None], root: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    damage(root)
    said = refused("check", "semantickitti", "--data-root", str(root), "--out", str(tmp_path / "overlays"))
    file, what = DAMAGE[damage]
    assert f"{file}: " in said
    assert what in said


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("damage", [truncated_scan, truncated_image], ids=lambda damage: damage.__name__)
def test_damaged_data_are_named_by_training(
    damage: Callable[[Path], None],
    workers: int,
    root: Path,
    tmp_path: Path,
    tiny_overrides: list[str],
    refused: Callable[..., str],
) -> None:
    damage(root)
    said = refused(
        *pretrain(
            tiny_overrides, tmp_path / "run", f"data.root={root}", f"training.workers={workers}", "cache.enabled=false"
        )
    )
    file, what = DAMAGE[damage]
    assert f"{file}: " in said
    assert what in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pretrain", "semantickitti-small-contrastiv"], f"did you mean '{NAME}'"),
        (["pretrain", "absent.yaml"], "the recipe file absent.yaml cannot be read"),
        (["pretrain", "mistyped.yaml"], "there is no key 'trainig'; did you mean 'training'?"),
        (["pretrain", "broken.yaml"], "broken.yaml is not valid YAML at line"),
        (["pretrain", NAME, *settings("training.lerning_rate=1")], "did you mean 'learning_rate'?"),
        (["pretrain", NAME, *settings("loss.temprature=1")], "did you mean 'temperature'?"),
        (["pretrain", NAME, *settings("data.rooot=here")], "did you mean 'root'?"),
        (["pretrain", NAME, *settings("training.steps=many")], "'training.steps' is 'many'"),
        (["pretrain", NAME, *settings("training.steps")], "should look like loss.temperature=0.1"),
        (["pretrain", NAME, *settings("training.steps.most=1")], "'steps', which is a single value"),
        (["pretrain", NAME, *settings("teacher.name=dinov")], "no teacher called 'dinov'; did you mean 'dinov2'?"),
        (["pretrain", NAME, *settings("student.name=minkunet-14")], "did you mean 'minkunet14'?"),
        (["pretrain", NAME, *settings("loss.name=contrast")], "did you mean 'contrastive'?"),
        (["pretrain", NAME, *settings("method.name=point-pixel")], "did you mean 'point_pixel'?"),
        (["check", "semantickity"], "did you mean 'semantickitti'?"),
        (["check", "semantickitti", "--data-root", "{root}", "--split", "vall"], "should be 'train', 'val', 'test' or"),
        (["list", "teacher"], "did you mean 'teachers'?"),
    ],
)
def test_mistyped_keys_and_names_are_put_right(
    arguments: list[str],
    said: str,
    kitti_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: Callable[..., str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mistyped.yaml").write_text(f"extends: {NAME}\ntrainig:\n  steps: 3\n")
    Path("broken.yaml").write_text("name: mine\nseed: [1\n")
    where = {"root": kitti_root}
    more = ["--data-root", str(kitti_root)] if arguments[0] == "pretrain" else []
    assert said in refused(*(argument.format(**where) for argument in arguments), *more)


@pytest.mark.parametrize(
    ("removed", "added", "said"),
    [
        ("model.safetensors", None, "holds no weights; model.safetensors is needed there"),
        ("model.safetensors", "pytorch_model.bin", "only pytorch_model.bin, a pickle, which is never loaded"),
        ("config.json", None, "has no config.json"),
    ],
)
def test_an_incomplete_teacher_is_named(
    removed: str,
    added: str | None,
    said: str,
    tiny_overrides: list[str],
    tiny_dinov2: Path,
    tmp_path: Path,
    refused: Callable[..., str],
) -> None:
    folder = shutil.copytree(tiny_dinov2, tmp_path / "teacher")
    (folder / removed).unlink()
    if added:
        (folder / added).write_bytes(b"pickle")
    sentence = refused(*pretrain(tiny_overrides, tmp_path / "run", f"teacher.source={folder}"))
    assert f"teacher.source: '{folder}'" in sentence
    assert said in sentence


def test_a_run_that_cannot_go_on_or_be_measured(
    tiny_overrides: list[str], root: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    out = tmp_path / "run"
    with pytest.raises(SystemExit) as done:
        cli.main(pretrain(tiny_overrides, out, "training.steps=1", "training.warmup_steps=0"))
    assert not done.value.code
    said = refused(
        *pretrain(tiny_overrides, out, "training.steps=1", "training.warmup_steps=0", "loss.temperature=0.5")
    )
    assert f"{out} holds a run of another recipe (loss.temperature was 0.07 and is 0.5)" in said
    evaluate = ["evaluate", str(out), "--cpu", "--data-root", str(root), "--protocol"]
    assert "did you mean 'finetune'?" in refused(*evaluate, "fine-tune")
    said = refused(*evaluate, "linear-probe", *settings("max_point=9"))
    assert "there is no key 'max_point'; did you mean 'max_points'?" in said
    labels_of_another_length(root, "08")
    said = refused(*evaluate, "linear-probe", *settings("minimum_steps=1", "classifier_epochs=1"))
    assert "08/labels/000001.label: there are 100 labels for" in said


def test_a_full_disk_is_named(
    tiny_overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    said = refused(*pretrain(tiny_overrides, tmp_path / "run", "training.steps=1", "training.warmup_steps=0"))
    assert f"the checkpoint in {tmp_path / 'run' / 'checkpoints'} could not be written (the disk is full" in said
    assert not list((tmp_path / "run" / "checkpoints").iterdir())
