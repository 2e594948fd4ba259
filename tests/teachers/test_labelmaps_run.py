"""The recipe of label maps from end to end, on a synthetic street."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pointlift
from pointlift.errors import DataError
from tests.fixtures_kitti import write_semantickitti

OVERRIDES = (
    *("student.width=0.25", "student.voxel_size=0.5", "method.pairs_per_scene=64", "method.occlusion=null"),
    *("training.steps=4", "training.warmup_steps=1", "training.threads=1", "data.sector=null", "points=null"),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two sequences whose images have label maps: sky above, road below, a car between."""
    root = write_semantickitti(tmp_path / "kitti", {"00": 2, "08": 1})
    for image in root.glob("sequences/*/image_2/*.png"):
        width, height = Image.open(image).size
        ids = np.zeros((height, width), np.uint8)
        ids[: height // 2] = 10
        ids[height // 2 : 3 * height // 4, width // 4 : width // 2] = 13
        folder = image.parent.parent / "image_2_cityscapes19"
        folder.mkdir(exist_ok=True)
        Image.fromarray(ids).save(folder / image.name)
    return root


def pretrain(root: Path, out: Path, *changes: str) -> pointlift.run.Run:
    overrides = [f"data.root={root}", *OVERRIDES, *changes]
    return pointlift.pretrain("semantickitti-small-labelmaps", overrides, out=out, cpu=True)


def test_distillation_and_zero_shot(root: Path, tmp_path: Path) -> None:
    run = pretrain(root, tmp_path / "run")
    again = pretrain(root, tmp_path / "workers", "training.workers=2")
    assert run.metrics()[-1]["loss"] == pytest.approx(again.metrics()[-1]["loss"], abs=1e-5)
    assert run.student().out_channels == 19
    result = pointlift.evaluate(run, "zero-shot", data_root=root, cpu=True)
    teacher, student = (result.row(name, "visible points") for name in ("teacher", "student"))
    assert teacher.metrics["points"] == student.metrics["points"]
    classes = teacher.classes
    assert {name for name, metrics in classes.items() if metrics["predicted"]} <= {"road", "car"}
    predicted = sum(metrics["predicted"] for metrics in classes.values())
    assert 0 < predicted < teacher.metrics["points"]  # of what is at the sky it says nothing
    assert "its class is a miss" in result.words["visible points"]


def test_a_missing_map_is_named_before_the_first_step(root: Path, tmp_path: Path) -> None:
    (root / "sequences" / "00" / "image_2_cityscapes19" / "000001.png").unlink()
    with pytest.raises(DataError, match=r"000001.png: the label map is missing \(1 of 2 views lack theirs\)"):
        pretrain(root, tmp_path / "run")


def test_maps_that_say_nothing_are_no_training(root: Path, tmp_path: Path) -> None:
    for file in root.glob("sequences/*/image_2_cityscapes19/*.png"):
        Image.fromarray(np.full_like(np.asarray(Image.open(file)), 255)).save(file)
    with pytest.raises(
        DataError, match="the teacher's files say nothing of any point of the scenes 00/000000, 00/000001"
    ):
        pretrain(root, tmp_path / "run")
