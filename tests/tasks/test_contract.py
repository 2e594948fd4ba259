"""What every task keeps, the registered ones and the toy ones alike."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch

from pointlift.data.augmentation import PointAugmentation
from pointlift.data.batch import Batch
from pointlift.data.dataset import Dataset, Scenes
from pointlift.errors import DataError
from pointlift.registry import TASKS
from pointlift.tasks.base import DEFAULT, Task
from tests.evaluation.world import World, fresh_student
from tests.tasks.toy import Centre, Clouds, ObjectClass

TOYS: dict[str, type[Task]] = {"toy-object": ObjectClass, "toy-centre": Centre}
DATA: dict[str, Callable[[int], Dataset]] = {"points": World, "objects": Clouds, "boxes": Clouds}
"""Scenes with each kind of labels."""


@pytest.fixture(params=[*TASKS.names(), *TOYS])
def made(request) -> tuple[Task, Dataset]:
    name = request.param
    kind: type[Task] = TOYS[name] if name in TOYS else TASKS.get(name).factory
    assert kind.name == name
    scenes = DATA[kind.labels](4)
    return (kind(scenes) if name in TOYS else TASKS.build(name, scenes)), scenes


def test_the_usual_task_is_there() -> None:
    assert DEFAULT in TASKS.names()


def test_what_has_a_class_has_a_row_of_features(made) -> None:
    task, scenes = made
    assert task.class_names == task.classes(scenes)
    assert task.labels in scenes.labels
    if task.rows is None:
        return
    scene = scenes[0]
    targets = task.targets(scene)
    assert targets.shape == (len(scene) if task.rows == "points" else 1,)
    assert np.issubdtype(targets.dtype, np.integer)
    assert -1 <= targets.min() <= targets.max() < len(task.class_names)
    assert len(task.pooled(torch.rand(len(scene), 5))) == len(targets)


def test_a_scene_without_the_labels_is_named(made) -> None:
    task, scenes = made
    bare = scenes[0]
    bare.labels = bare.object_class = bare.boxes = bare.box_labels = None
    with pytest.raises(DataError, match=f"the test scan '{bare.id}' has no"):
        task.targets(bare, "test scan")


def test_the_network_is_trained_and_answers_what_the_metric_takes(made) -> None:
    task, scenes = made
    method = task.training(fresh_student(0), PointAugmentation(drop_cuboid=0.0), head_factor=3.0)
    rng = np.random.default_rng(0)
    batch = method.collate([method.sample(scenes[index], rng) for index in range(3)], rng)
    loss = method(batch)["loss"]
    assert torch.isfinite(loss)
    assert loss.ndim == 0
    loss.backward()
    trained = {name: p.grad for name, p in method.trained.named_parameters() if p.requires_grad}
    assert all(gradient is not None for gradient in trained.values())
    assert any(name.startswith("head.") for name in trained)
    assert not any(name.startswith("student.head.") for name in trained)
    assert method.learning_rate_factors == {"head.": 3.0}
    before = Batch.from_scenes([scenes[0]])
    assert before.points.equal(torch.from_numpy(scenes[0].points))  # a scene is left as it was
    metric = task.metric()
    metric.update(method.predict(scenes[0]), task.targets(scenes[0]))
    assert metric.counted > 0
    assert set(task.words()) == {"loss", "head"}


def test_metrics_add_up_and_know_their_columns(made) -> None:
    task, scenes = made
    method = task.training(fresh_student(0))
    whole, parts = task.metric(), [task.metric() for _ in range(2)]
    empty = json.loads(json.dumps(whole.values(), allow_nan=False))
    assert whole.score() != whole.score()
    for index, scene in enumerate(scenes):
        for metric in (whole, parts[index % 2]):
            metric.update(method.predict(scene), task.targets(scene))
    added = parts[0] + parts[1]
    assert added.counted == whole.counted == parts[0].counted + parts[1].counted
    assert added.score() == pytest.approx(whole.score())
    assert added.values().keys() == whole.values().keys() == empty.keys()
    assert {column.key for column in whole.columns} <= set(whole.values())
    assert whole.deciding().better in ("higher", "lower")
    assert bool(whole.classes()) == bool(whole.class_columns)
    for values in whole.classes().values():
        assert {column.key for column in whole.class_columns} <= set(values)


def test_a_task_is_made_of_names_alone(made) -> None:
    task, scenes = made
    names = {"class_names": scenes.class_names, "object_names": scenes.object_names, "box_names": scenes.box_names}
    assert type(task)(Scenes([], **names)).class_names == task.class_names
