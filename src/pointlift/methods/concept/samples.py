"""What a scene contributes to a step of concept distillation, and a batch of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pointlift.data.batch import Batch
from pointlift.data.scene import Scene
from pointlift.methods.concept.alignment import ImagePatchBatch, ImagePatches


class Sample(NamedTuple):
    """One cloud in the unit sphere, what it is to learn, and in which order its patches are hidden."""

    scene: Scene
    target: Tensor | None
    image: ImagePatches | None
    order: Tensor


@dataclass
class ConceptBatch:
    """B clouds, their token sets (B, T, D) or the patches of their images, and orders (B, G) of their patches."""

    points: Batch
    targets: Tensor | None
    images: ImagePatchBatch | None
    order: Tensor

    @property
    def scene_ids(self) -> list[str]:
        """Ids of the scenes, for messages."""
        return self.points.scene_ids

    def to(self, device: torch.device) -> ConceptBatch:
        """The same batch on another device."""
        return ConceptBatch(
            self.points.to(device, non_blocking=True),
            None if self.targets is None else self.targets.to(device, non_blocking=True),
            None if self.images is None else self.images.to(device),
            self.order.to(device, non_blocking=True),
        )
