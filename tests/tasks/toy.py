"""Tasks that are no segmentation, on a toy world: the class of a cloud, and where its centre is."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from pointlift.data.batch import Batch
from pointlift.data.dataset import Dataset, LabelKind
from pointlift.data.scene import Scene
from pointlift.errors import DataError
from pointlift.students.base import Student
from pointlift.tasks.base import Task
from pointlift.tasks.confusion import Confusion
from pointlift.tasks.metric import Column, Metric

OBJECTS = ("ball", "rod")


class Clouds(Dataset):
    """``count`` clouds of two classes in turn, each around a centre of its own that a box says."""

    name = "clouds"
    feature_names = ("grey",)
    object_names = OBJECTS
    box_names = ("all",)
    labels: frozenset[LabelKind] = frozenset({"objects", "boxes"})

    def __init__(self, count: int, seed: int = 0, points: int = 40) -> None:
        self._count, self._seed, self._points = count, seed, points

    @property
    def ids(self) -> list[str]:
        return [f"{index // 4:02d}/{index % 4}" for index in range(self._count)]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Scene:  # type: ignore[override]
        if not 0 <= index < self._count:
            raise IndexError(index)
        rng = np.random.default_rng([self._seed, index])
        extent = np.array([1, 1, 1]) if index % 2 == 0 else np.array([3, 0.1, 0.1])
        centre = rng.normal(size=3)
        points = (rng.normal(size=(self._points, 3)) * extent + centre).astype(np.float32)
        return Scene(
            points,
            (index % 2 + rng.normal(0, 0.1, (self._points, 1))).astype(np.float32),
            id=self.ids[index],
            object_class=index % 2,
            boxes=np.array([[*centre, 1, 1, 1, 0]]),
            box_labels=np.zeros(1, np.int64),
        )


class Accuracy(Confusion):
    """Share of right clouds, which decides."""

    columns = (Column("accuracy", "accuracy", "share", "higher"), Column("points", "clouds", "count"))
    decides = "accuracy"

    def score(self) -> float:
        return self.result()["accuracy"]


class ObjectClass(Task):
    """The class of a cloud, from mean and maximum of its points' features."""

    name = "toy-object"
    labels: LabelKind = "objects"
    rows: Literal["points", "clouds"] | None = "clouds"

    @classmethod
    def classes(cls, scenes: Dataset) -> tuple[str, ...]:
        return scenes.object_names

    def targets(self, scene: Scene, what: str = "scan") -> np.ndarray:
        if scene.object_class is None:
            raise DataError(f"the {what} '{scene.id}' has no class")
        return np.array([scene.object_class])

    def metric(self) -> Accuracy:
        return Accuracy(len(self.class_names), self.class_names)

    def head(self, student: Student) -> nn.Module:
        return nn.Linear(2 * student.decoder_channels, len(self.class_names))

    def outputs(self, student: Student, head: nn.Module, batch: Batch) -> Tensor:
        clouds = student.decoder_features(batch).split(batch.offsets.diff().tolist())
        return head(torch.cat([self.pooled(cloud) for cloud in clouds]))

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        return {"loss": nn.functional.cross_entropy(outputs, batch.object_classes)}

    def predict(self, outputs: Tensor) -> np.ndarray:
        return outputs.argmax(1).cpu().numpy()


class MeanDistance(Metric):
    """Mean distance to the true centre; lower is better."""

    columns = (Column("distance", "distance", better="lower"),)
    decides = "distance"

    def __init__(self, distances: tuple[float, ...] = ()) -> None:
        self.distances = distances

    @property
    def counted(self) -> int:
        return len(self.distances)

    def update(self, prediction: Any, truth: Any) -> None:
        self.distances += (float(np.linalg.norm(prediction - truth)),)

    def __add__(self, other: MeanDistance) -> MeanDistance:
        return MeanDistance(self.distances + other.distances)

    def values(self) -> dict[str, Any]:
        return {"distance": self.score() if self.distances else None}

    def score(self) -> float:
        return sum(self.distances) / len(self.distances) if self.distances else float("nan")


class Centre(Task):
    """Where the box of a cloud is: an answer that is no class."""

    name = "toy-centre"
    labels: LabelKind = "boxes"

    @classmethod
    def classes(cls, scenes: Dataset) -> tuple[str, ...]:
        return scenes.box_names

    def targets(self, scene: Scene, what: str = "scan") -> np.ndarray:
        if scene.boxes is None:
            raise DataError(f"the {what} '{scene.id}' has no boxes")
        return scene.boxes[0, :3]

    def metric(self) -> MeanDistance:
        return MeanDistance()

    def head(self, student: Student) -> nn.Module:
        return nn.Linear(student.decoder_channels, 3)

    def outputs(self, student: Student, head: nn.Module, batch: Batch) -> Tensor:
        clouds = student.decoder_features(batch).split(batch.offsets.diff().tolist())
        return torch.stack([head(cloud).mean(0) for cloud in clouds])

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        assert batch.boxes is not None
        return {"loss": (outputs - batch.boxes[:, :3]).square().mean()}

    def predict(self, outputs: Tensor) -> np.ndarray:
        return outputs[0].cpu().numpy()
