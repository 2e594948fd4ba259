"""The recipe of label maps from end to end, on a synthetic street."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pointlift
from pointlift.errors import DataError, RecipeError
from pointlift.recipe import load, portable
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


MAP = """
source: cityscapes19
target: semantickitti
map: {%s}
"""


@pytest.mark.parametrize("fixed", [False, True])
def test_moved_maps_do_not_refuse_a_resume(fixed: bool, root: Path, tmp_path: Path) -> None:
    """Neither a class map of one's own nor the label maps decide by their place, and what a class map says does."""
    from pointlift.data.class_maps import load_class_map

    shipped = load_class_map("cityscapes-to-semantickitti", None)
    pairs = zip(shipped.source.names, shipped.targets, strict=True)
    names = {name: None if target is None else shipped.target.names[target] for name, target in pairs}
    text = MAP % ", ".join(f"{name}: {'null' if target is None else target}" for name, target in names.items())
    places = [tmp_path / "here", tmp_path / "there"]
    for place in places:
        place.mkdir()
        (place / "own.yaml").write_text(text)
        for image in root.glob("sequences/*/image_2_cityscapes19/*.png"):
            (place / "labels").mkdir(exist_ok=True)
            (place / "labels" / image.name).write_bytes(image.read_bytes())

    def changes(place: Path) -> list[str]:
        path = [f"teacher.path={place}/labels/{{stem}}.png"] if fixed else []
        return [f"teacher.map={place}/own.yaml", "training.checkpoint_every=2", *path]

    pretrain(root, tmp_path / "run", *changes(places[0]))
    again = pretrain(root, tmp_path / "run", *changes(places[1]))
    assert len(again.metrics()) == len(pointlift.run.Run(tmp_path / "run").metrics())
    (places[1] / "own.yaml").write_text(text.replace("car: car", "car: truck"))
    with pytest.raises(pointlift.errors.CheckpointError, match="was trained with another teacher"):
        pretrain(root, tmp_path / "run", *changes(places[1]))


def test_a_place_is_not_for_others_and_a_public_name_is(root: Path) -> None:
    for value, kept in (("cityscapes-to-semantickitti", True), ("maps/own.yaml", False), ("/data/own.yaml", False)):
        recipe = load("semantickitti-small-labelmaps", {"data.root": str(root), "teacher.map": value})
        assert ("map" in portable(recipe)["teacher"]) == kept


def test_a_loss_of_classes_is_refused_before_any_work(root: Path, tiny_dinov2: Path, tmp_path: Path) -> None:
    changes = ["teacher.name=dinov2", f"teacher.source={tiny_dinov2}", f"cache.folder={tmp_path / 'cache'}"]
    with pytest.raises(RecipeError, match="this loss is of class probabilities"):
        pretrain(root, tmp_path / "run", *changes)
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "cache").exists()
