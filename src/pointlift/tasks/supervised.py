"""A student with a task's head as a method: what fine-tuning repeats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from pointlift.data.augmentation import PointAugmentation, augment_points
from pointlift.data.batch import Batch
from pointlift.data.scene import Pairs, Scene
from pointlift.students.base import Student, evaluating
from pointlift.train.method import Method

if TYPE_CHECKING:
    from pointlift.tasks.base import Task

_NO_PAIRS = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2), np.float32))


class Supervised(Method):
    """The task's loss of a new head on the student; all weights are trained (``docs/methods.md``).

    Args:
        task: which gives head, loss and answers.
        student: the 3D network; its distillation head is left aside.
        points: augmentation of the points.
        head_factor: factor on the learning rate of the new head.
    """

    def __init__(
        self, task: Task, student: Student, points: PointAugmentation | None = None, *, head_factor: float = 1.0
    ) -> None:
        super().__init__()
        self.trained = nn.ModuleDict({"student": student, "head": task.head(student)})
        for name, parameter in student.named_parameters():
            if name.startswith("head."):
                parameter.requires_grad_(False)
        self.task, self.points = task, points
        self.learning_rate_factors = {"head.": head_factor}

    def outputs(self, batch: Batch) -> Any:
        """What the network says of a batch."""
        student, head = self.trained.get_submodule("student"), self.trained.get_submodule("head")
        assert isinstance(student, Student)
        return self.task.outputs(student, head, batch)

    def sample(self, scene: Scene, rng: np.random.Generator) -> Scene:
        """Augment one labelled scene."""
        self.task.targets(scene, "training scan")  # a DataError if it has none
        if self.points is None:
            return scene
        return augment_points(scene, _NO_PAIRS, self.points.model_copy(update={"min_pairs": 0}), rng)[0]

    def collate(self, samples: list[Scene], rng: np.random.Generator) -> Batch:
        """Concatenate labelled clouds."""
        return Batch.from_scenes(samples)

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        """The task's loss of the global batch."""
        return self.task.loss(self.outputs(batch), batch)

    def predict(self, scene: Scene) -> Any:
        """The task's answer for a scene."""
        batch = Batch.from_scenes([scene]).to(next(self.parameters()).device)
        with evaluating(self):
            return self.task.predict(self.outputs(batch))
