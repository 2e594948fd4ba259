"""Semantic segmentation: a class of every point."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import NonNegativeFloat
from torch import Tensor, nn

from pointlift.data.batch import Batch
from pointlift.data.dataset import Dataset, LabelKind
from pointlift.data.scene import Scene
from pointlift.errors import DataError
from pointlift.losses.distributed import gather_rows
from pointlift.losses.segmentation import segmentation_loss
from pointlift.registry import TASKS
from pointlift.students.base import Student
from pointlift.tasks.base import Task
from pointlift.tasks.confusion import IGNORE, Confusion


@TASKS.register("segmentation")
class Segmentation(Task):
    """Semantic segmentation: a class of every point.

    Fine-tuned with cross-entropy + Lovász-Softmax of a linear head on the decoder's features (``docs/methods.md``).

    Args:
        scenes: the data set that gives labels.
        lovasz_weight: weight of the Lovász term.
    """

    name = "segmentation"
    labels: LabelKind = "points"
    rows: Literal["points", "clouds"] | None = "points"

    def __init__(self, scenes: Dataset, *, lovasz_weight: NonNegativeFloat = 1.0) -> None:
        super().__init__(scenes)
        self.lovasz_weight = lovasz_weight
        self.settings = {"lovasz_weight": lovasz_weight}

    @classmethod
    def classes(cls, scenes: Dataset) -> tuple[str, ...]:
        """The classes of points."""
        return tuple(scenes.class_names)

    def targets(self, scene: Scene, what: str = "scan") -> np.ndarray:
        """Class (N,) int64 of every point, -1 for ignored ones."""
        if scene.labels is None:
            raise DataError(
                f"the {what} '{scene.id}' has no labels; this protocol needs labelled points in the training and the "
                "test split"
            )
        labels, count = np.asarray(scene.labels), len(self.class_names)
        if len(labels) and (labels.max() >= count or labels.min() < IGNORE):
            wrong = labels.max() if labels.max() >= count else labels.min()
            raise DataError(
                f"the {what} '{scene.id}' has the label {wrong}; labels must be below the number of classes "
                f"({count}), or {IGNORE} for points to ignore"
            )
        return labels

    def metric(self) -> Confusion:
        """mIoU."""
        return Confusion(len(self.class_names), self.class_names)

    def head(self, student: Student) -> nn.Linear:
        """A linear layer."""
        return nn.Linear(student.decoder_channels, len(self.class_names))

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Loss over the labelled points of the global batch, given class scores (ΣN, C)."""
        assert batch.labels is not None
        logits, labels = gather_rows(outputs), gather_rows(batch.labels[:, None])[:, 0]
        return {"loss": segmentation_loss(logits, labels, lovasz_weight=self.lovasz_weight)}

    def predict(self, outputs: Tensor) -> np.ndarray:
        """Class (N,) int64 of every point."""
        return outputs.argmax(1).cpu().numpy()

    def words(self) -> Mapping[str, str]:
        """Loss and head."""
        return {
            "loss": f"cross-entropy + {self.lovasz_weight:g} x Lovász-Softmax over the classes present in the batch",
            "head": "linear, on the decoder's features",
        }
