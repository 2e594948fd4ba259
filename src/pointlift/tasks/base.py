"""The contract of tasks: what labels ask of a network, for whoever probes, fine-tunes or scores it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor, nn

from pointlift.contract import asked_of_class, derives, has_names, plain, takes
from pointlift.data.augmentation import PointAugmentation
from pointlift.data.batch import Batch
from pointlift.data.dataset import Dataset, LabelKind
from pointlift.data.scene import Scene
from pointlift.errors import PluginError
from pointlift.students.base import Student
from pointlift.tasks.metric import Metric
from pointlift.tasks.supervised import Supervised

if TYPE_CHECKING:
    from pointlift.registry import Part

DEFAULT = "segmentation"
"""The task where none is named."""
KNOWN = {"labels": get_args(LabelKind), "rows": ("points", "clouds", None)}
"""What a task may say of itself."""


class Task:
    """What labels ask, with the classes of one data set.

    A classifier on frozen features needs ``rows``, ``pooled``, ``targets`` and ``class_names``; fine-tuning ``head``,
    ``outputs``, ``loss`` and ``predict``, or a ``training`` of its own; scoring ``metric`` and ``targets``.

    Args:
        scenes: the data set that gives labels.

    Attributes:
        name: as it is registered, which the registry sees to.
        labels: which kind of labels it needs.
        rows: what has a class, every point or every cloud; None where the answer is no class of either, such as boxes.
        class_names: names of the C classes.
        settings: its options, as they were used.
    """

    name: str = "task"
    labels: LabelKind
    rows: Literal["points", "clouds"] | None = None
    class_names: tuple[str, ...]
    settings: Mapping[str, Any] = {}

    def __init__(self, scenes: Dataset) -> None:
        self.class_names = self.classes(scenes)

    @classmethod
    def classes(cls, scenes: Dataset) -> tuple[str, ...]:
        """Which names of a data set are those of the task's classes."""
        raise NotImplementedError

    def targets(self, scene: Scene, what: str = "scan") -> Any:
        """What is true of a scene: with ``rows``, classes (R,) int64, -1 to ignore.

        Raises:
            DataError: the scene has no such labels, or one that is no class; ``what`` is what it is called.
        """
        raise NotImplementedError

    def metric(self) -> Metric:
        """An empty metric, whose ``update`` takes a prediction and `targets`."""
        raise NotImplementedError

    def pooled(self, features: Tensor) -> Tensor:
        """One row of features for each target: those (N, D) of the points, or (1, 2 D) their mean and maximum."""
        if self.rows == "points":
            return features
        return torch.cat([features.mean(dim=0), features.max(dim=0).values])[None]

    def head(self, student: Student) -> nn.Module:
        """A new head for a student, with weights from torch's global generator."""
        raise NotImplementedError

    def outputs(self, student: Student, head: nn.Module, batch: Batch) -> Any:
        """What a student with a head says of a batch: by default the head of the decoder's features at each point."""
        return head(student.decoder_features(batch))

    def loss(self, outputs: Any, batch: Batch) -> dict[str, Tensor]:
        """The scalar ``loss`` of the global batch, and whatever else is worth logging."""
        raise NotImplementedError

    def predict(self, outputs: Any) -> Any:
        """What ``metric`` takes for the only scene of a batch, from its outputs."""
        raise NotImplementedError

    def training(
        self, student: Student, points: PointAugmentation | None = None, *, head_factor: float = 1.0
    ) -> Supervised:
        """A student with a new head as a method that the training loop repeats."""
        return Supervised(self, student, points, head_factor=head_factor)

    def words(self) -> Mapping[str, str]:
        """What is trained, for people, under the keys ``loss`` and ``head``."""
        return {"loss": "the task's own", "head": "the task's own"}


def check_task(part: Part) -> None:
    """A `ValueError` unless what is registered is a task that says what it needs and what is true of a scene."""
    what, kind = f"the task '{part.name}'", part.factory
    derives(what, kind, Task, "classes", "targets", "metric", "labels")
    assert isinstance(kind, type)
    takes(what, kind, "scenes")
    asked_of_class(what, kind, classes=("scenes",))
    plain(what, kind, name=str)
    for key, known in KNOWN.items():
        value = inspect.getattr_static(kind, key)
        if not isinstance(value, property) and value not in known:
            raise ValueError(f"{what} has {value!r} as '{key}', which must be one of {_listed(known)}")


def checked_task(task: Task, name: str) -> Task:
    """A task that was built, under its registered name; a `PluginError` if it does not say its classes."""
    what = f"the task '{name}'"
    has_names(what, task, "class_names")
    for key, known in KNOWN.items():
        value = getattr(task, key)
        if value not in known:
            raise PluginError(f"{what} has {value!r} as '{key}', which must be one of {_listed(known)}")
    task.name = name
    return task


def _listed(values: tuple[Any, ...]) -> str:
    return ", ".join(repr(value) for value in values)
