"""A task of somebody's own: how high above the lowest point of its scan every point is, in two classes."""

from __future__ import annotations

from typing import Literal

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from pointlift.data.batch import Batch
from pointlift.data.dataset import Dataset, LabelKind
from pointlift.data.scene import Scene
from pointlift.errors import DataError
from pointlift.registry import TASKS
from pointlift.students.base import Student
from pointlift.tasks.base import Task
from pointlift.tasks.confusion import Confusion


@TASKS.register("obstacles")
class Obstacles(Task):
    """Free ground or obstacle: a class of every point, made of the data set's own."""

    name = "obstacles"
    labels: LabelKind = "points"
    rows: Literal["points", "clouds"] | None = "points"

    @classmethod
    def classes(cls, scenes: Dataset) -> tuple[str, ...]:
        """Two, where the data set has classes."""
        return ("free", "obstacle") if scenes.class_names else ()

    def targets(self, scene: Scene, what: str = "scan") -> np.ndarray:
        """0 for the first class of the data set, 1 for all others, -1 to ignore."""
        if scene.labels is None:
            raise DataError(f"the {what} '{scene.id}' has no labels, of which obstacles are made")
        return np.minimum(scene.labels, 1)

    def metric(self) -> Confusion:
        """mIoU."""
        return Confusion(2, self.class_names)

    def head(self, student: Student) -> nn.Linear:
        """A linear layer."""
        return nn.Linear(student.decoder_channels, 2)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy."""
        return {"loss": functional.cross_entropy(outputs, batch.labels.clamp(max=1), ignore_index=-1)}

    def predict(self, outputs: Tensor) -> np.ndarray:
        """Class of every point."""
        return outputs.argmax(1).cpu().numpy()
