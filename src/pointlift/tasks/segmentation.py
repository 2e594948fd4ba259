"""Supervised semantic segmentation with the labels of the scenes: what fine-tuning repeats."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from pointlift.data.augmentation import PointAugmentation, augment_points
from pointlift.data.batch import Batch
from pointlift.data.scene import Pairs, Scene
from pointlift.errors import DataError
from pointlift.losses.distributed import gather_rows
from pointlift.losses.segmentation import segmentation_loss
from pointlift.students import Student, evaluating
from pointlift.train.method import Method

_NO_PAIRS = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2), np.float32))


class Segmentation(Method):
    """Cross-entropy + Lovász-Softmax of a new linear head on the student's decoder features (``methods.md`` A.8).

    Args:
        student: the 3D network; its distillation head is left aside.
        num_classes: classes of the data set.
        points: augmentation of the points.
        lovasz_weight: weight of the Lovász term.
        head_factor: factor on the learning rate of the new head.
    """

    def __init__(
        self,
        student: Student,
        num_classes: int,
        points: PointAugmentation | None = None,
        *,
        lovasz_weight: float = 1.0,
        head_factor: float = 1.0,
    ) -> None:
        super().__init__()
        self.trained = nn.ModuleDict({"student": student, "head": nn.Linear(student.decoder_channels, num_classes)})
        for name, parameter in student.named_parameters():
            if name.startswith("head."):
                parameter.requires_grad_(False)
        self.points, self.lovasz_weight = points, lovasz_weight
        self.learning_rate_factors = {"head.": head_factor}

    def logits(self, batch: Batch) -> torch.Tensor:
        """Class scores ``(ΣN, C)`` of every point."""
        parts = self.trained.get_submodule("student"), self.trained.get_submodule("head")
        return parts[1](parts[0].decoder_features(batch))  # type: ignore[operator]

    def sample(self, scene: Scene, rng: np.random.Generator) -> Scene:
        """Augment one labelled scene."""
        if scene.labels is None:
            raise DataError(f"scene {scene.id} has no labels, and fine-tuning needs them")
        if self.points is None:
            return scene
        return augment_points(scene, _NO_PAIRS, self.points.model_copy(update={"min_pairs": 0}), rng)[0]

    def collate(self, samples: list[Scene], rng: np.random.Generator) -> Batch:
        """Concatenate labelled clouds."""
        return Batch.from_scenes(samples)

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Loss over the labelled points of the global batch."""
        assert batch.labels is not None
        logits, labels = gather_rows(self.logits(batch)), gather_rows(batch.labels[:, None])[:, 0]
        return {"loss": segmentation_loss(logits, labels, lovasz_weight=self.lovasz_weight)}

    def predict(self, scene: Scene) -> np.ndarray:
        """Class of every point, ``(N,)`` int64."""
        batch = Batch.from_scenes([scene]).to(next(self.parameters()).device)
        with evaluating(self):
            return self.logits(batch).argmax(1).cpu().numpy()
