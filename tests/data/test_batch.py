from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pointlift.data.batch import Batch
from pointlift.errors import DataError


def scene(count: int, features: int = 1, labels: bool = True) -> SimpleNamespace:
    generator = np.random.default_rng(count)
    return SimpleNamespace(
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
    ],
)
def test_shapes_are_checked(changes: dict, message: str) -> None:
    fields = {"points": torch.zeros(4, 3), "features": torch.zeros(4, 1), "offsets": torch.tensor([0, 4])}
    with pytest.raises(DataError, match=message):
        Batch(**{**fields, **changes})
