"""Small teachers and views that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pointlift.data.scene import View
from pointlift.teachers.base import Teacher, fingerprint_of


class MeanColor(Teacher):
    """Mean colour of each patch of 4 x 4 pixels, times a weight; counts how many images it was given."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))
        self.dropout = nn.Dropout(0.5)
        self.dim, self.stride = 3, 4
        self.images = 0
        self.shapes: list[tuple[int, ...]] = []
        self.fingerprint = fingerprint_of(self, "MeanColor")
        self.freeze()

    def _features(self, images: Tensor, views: Sequence[View] | None) -> Tensor:
        self.images += len(images)
        self.shapes.append(tuple(images.shape))
        return self.dropout(F.avg_pool2d(images, 4)) * self.weight


def make_view(source: np.ndarray | Path, name: str = "camera") -> View:
    return View(name=name, intrinsics=np.eye(3), camera_from_points=np.eye(4), source=source)


def random_image(seed: int, height: int = 16, width: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


class Lifted(MeanColor):
    """Keeps the maps of `MeanColor`, and lifts them to five channels."""

    def __init__(self) -> None:
        super().__init__()
        self.dim = 5
        self.matrix = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 5))).float()

    @property
    def map_channels(self) -> int:
        return 3

    def lift(self, samples: Tensor) -> Tensor:
        return samples @ self.matrix
