from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch

from pointlift.data.batch import Batch
from pointlift.data.scene import Scene
from pointlift.errors import DataError


def scene(count: int, features: int = 1, labels: bool = True) -> Scene:
    generator = np.random.default_rng(count)
    return Scene(
        points=generator.normal(size=(count, 3)).astype(np.float32),
        features=generator.normal(size=(count, features)).astype(np.float32),
        labels=generator.integers(0, 4, count) if labels else None,
        id=f"scene{count}",
    )


def test_from_scenes_concatenates() -> None:
    scenes = [scene(3), scene(0), scene(2)]
    batch = Batch.from_scenes(scenes)
    assert len(batch) == 3
    assert batch.offsets.tolist() == [0, 3, 3, 5]
    assert batch.batch_index().tolist() == [0, 0, 0, 2, 2]
    assert batch.scene_ids == ["scene3", "scene0", "scene2"]
    np.testing.assert_array_equal(batch.points.numpy(), np.concatenate([s.points for s in scenes]))
    np.testing.assert_array_equal(batch.labels.numpy(), np.concatenate([s.labels for s in scenes]))


def test_labels_need_every_scene() -> None:
    assert Batch.from_scenes([scene(3), scene(2, labels=False)]).labels is None


def full(count: int, boxes: int) -> Scene:
    """A scene with all that a batch can hold."""
    one = scene(count)
    one.instances = np.arange(count)
    one.boxes = np.random.default_rng(boxes).random((boxes, 7))
    one.box_labels = np.arange(boxes) - 1
    one.object_class = count
    return one


def test_everything_that_all_scenes_have_is_kept_boxes_with_offsets_of_their_own() -> None:
    scenes = [full(3, 2), full(1, 0), full(2, 1)]
    batch = Batch.from_scenes(scenes)
    assert batch.instances.tolist() == [0, 1, 2, 0, 0, 1]
    assert batch.box_offsets.tolist() == [0, 2, 2, 3]
    assert batch.boxes.dtype == torch.float32
    np.testing.assert_allclose(batch.boxes.numpy(), np.concatenate([one.boxes for one in scenes]), rtol=1e-6)
    assert batch.box_labels.tolist() == [-1, 0, -1]
    assert batch.object_classes.tolist() == [3, 1, 2]
    assert batch.object_classes.dtype == batch.box_labels.dtype == batch.instances.dtype == torch.int64


@pytest.mark.parametrize("name", ["labels", "instances", "boxes", "box_labels", "object_class"])
def test_what_one_scene_lacks_the_batch_lacks(name: str) -> None:
    scenes = [full(3, 2), full(1, 1)]
    setattr(scenes[1], name, None)
    batch = Batch.from_scenes(scenes)
    gone = {"boxes": ["boxes", "box_offsets", "box_labels"], "object_class": ["object_classes"]}.get(name, [name])
    everything = ["labels", "instances", "boxes", "box_offsets", "box_labels", "object_classes"]
    assert [one for one in everything if getattr(batch, one) is None] == gone


def test_every_field_of_a_scene_is_in_the_batch_or_is_left_behind_on_purpose() -> None:
    known = {"points", "features", "labels", "instances", "boxes", "box_labels"}
    renamed = {"id": "scene_ids", "object_class": "object_classes", "up_axis": "up_axes"}
    left = {"views", "normal_columns", "files", "dropped"}  # no tensors, or of the data set as a whole
    assert known | set(renamed) | left == {one.name for one in fields(Scene)}
    assert known | set(renamed.values()) | {"offsets", "box_offsets"} == {one.name for one in fields(Batch)}


@pytest.mark.parametrize("move", ["to", "pin_memory"])
def test_every_tensor_is_moved(move: str, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[torch.Tensor] = []
    monkeypatch.setattr(torch.Tensor, move, lambda self, *a, **k: moved.append(self) or self + 0)
    batch = Batch.from_scenes([full(3, 2), full(2, 1)])
    other = batch.to("cpu") if move == "to" else batch.pin_memory()
    tensors = [one.name for one in fields(Batch) if one.name not in ("scene_ids", "up_axes")]
    assert len(moved) == len(tensors)
    for name in tensors:
        assert torch.equal(getattr(other, name), getattr(batch, name))
        assert getattr(other, name) is not getattr(batch, name)
    assert other.scene_ids == batch.scene_ids
    assert other.scene_ids is not batch.scene_ids


def test_to_keeps_everything() -> None:
    batch = Batch.from_scenes([scene(3)])
    moved = batch.to("cpu")
    assert moved.scene_ids == batch.scene_ids
    assert torch.equal(moved.labels, batch.labels)
    assert Batch(batch.points, batch.features, batch.offsets).to("cpu").labels is None


def test_scenes_that_do_not_go_together() -> None:
    with pytest.raises(DataError, match="same number of features"):
        Batch.from_scenes([scene(3, 1), scene(2, 2)])
    with pytest.raises(DataError, match="at least one scene"):
        Batch.from_scenes([])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points": torch.zeros(4, 2)}, "points of shape"),
        ({"features": torch.zeros(3, 1)}, "features"),
        ({"labels": torch.zeros(3)}, "labels"),
        ({"offsets": torch.zeros(0, dtype=torch.int64)}, "offsets"),
        ({"scene_ids": ["a", "b"]}, "scene ids"),
        ({"instances": torch.zeros(3)}, r"a batch of 4 points needs instances \(4,\), not \(3,\)"),
        ({"object_classes": torch.zeros(2)}, r"a batch of 1 clouds needs object_classes \(1,\)"),
        ({"boxes": torch.zeros(2, 7)}, "boxes and box_offsets, or neither"),
        ({"boxes": torch.zeros(2, 6), "box_offsets": torch.tensor([0, 2])}, r"2 boxes needs boxes \(2, 7\)"),
        ({"boxes": torch.zeros(2, 7), "box_offsets": torch.tensor([0, 1, 2])}, "needs box_offsets"),
        ({"boxes": torch.zeros(1, 7), "box_offsets": torch.tensor([0, 1]), "box_labels": torch.zeros(3)}, "box_labels"),
    ],
)
def test_shapes_are_checked(changes: dict, message: str) -> None:
    fields = {"points": torch.zeros(4, 3), "features": torch.zeros(4, 1), "offsets": torch.tensor([0, 4])}
    with pytest.raises(DataError, match=message):
        Batch(**{**fields, **changes})


def test_heights_are_along_the_up_axis_of_each_cloud() -> None:
    upright, camera = scene(4), scene(3)
    camera.up_axis = "-y"
    batch = Batch.from_scenes([upright, camera]).to("cpu")
    expected = np.concatenate([upright.points[:, 2], -camera.points[:, 1]])
    np.testing.assert_array_equal(batch.heights().numpy(), expected)
    with pytest.raises(DataError, match="a batch of 2 clouds needs as many up axes, not 1"):
        Batch(batch.points, batch.features, batch.offsets, up_axes=["z"])
