"""Frames whose shape says what is in their image, and a teacher of token sets: all that concept distillation needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointlift import losses
from pointlift.data.dataset import Dataset
from pointlift.data.scene import Scene, View
from pointlift.methods.concept.method import Concept
from pointlift.students.point_transformer import PointTransformer
from pointlift.teachers.cache import FeatureCache
from pointlift.teachers.pixels import PixelFeatures
from tests.teachers.helpers import MeanColor

K = np.array([[20.0, 0, 11.5], [0, 20.0, 7.5], [0, 0, 1]])


class Frames(Dataset):
    """``count`` clouds between a ball and a rod; the image is the redder, the more it is a rod."""

    name = "frames"
    class_names: tuple[str, ...] = ()
    feature_names = ("grey",)

    def __init__(self, count: int = 12, points: int = 200, views: int = 1, seed: int = 0) -> None:
        self.count, self.points, self._views, self._seed = count, points, views, seed
        self.settings = {"split": "all"}

    @property
    def ids(self) -> list[str]:
        return [f"a/{index:03d}" for index in range(self.count)]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Scene:  # type: ignore[override]
        if not 0 <= index < self.count:
            raise IndexError(index)
        rng = np.random.default_rng([self._seed, index])
        ball = rng.normal(size=(self.points, 3))
        ball /= np.linalg.norm(ball, axis=1, keepdims=True)
        rod = np.zeros_like(ball)
        rod[:, 0] = rng.uniform(-1, 1, self.points)
        is_rod = rng.random(self.points) < self.share(index)
        points = np.where(is_rod[:, None], rod, ball) * 0.8 + [0, 0, 4]
        grey = rng.random((self.points, 1)).astype(np.float32)
        return Scene(points.astype(np.float32), grey, self.views(index), id=self.ids[index], up_axis="-y")

    def share(self, index: int) -> float:
        return index / max(1, self.count - 1)

    def views(self, index: int) -> list[View]:
        red = round(255 * self.share(index))
        return [
            View(f"camera{v}", K, np.eye(4), np.full((16, 24, 3), (red, 255 - red, 20 * v), np.uint8))
            for v in range(self._views)
        ]


class TokenTeacher(MeanColor):
    """Two tokens of an image: its mean colour, and minus twice of it plus one; dense features as `MeanColor`."""

    token_shape = (2, 3)

    def tokens(self, images: Tensor, views: Sequence[View] | None = None) -> Tensor:
        self.images += len(images)
        mean = images.mean(dim=(2, 3)) * self.weight.detach()
        return torch.stack([mean, 1 - 2 * mean], dim=1)


def student(outputs: int = 0, **options: Any) -> PointTransformer:
    torch.manual_seed(0)
    defaults = {"size": "tiny", "points": 128, "groups": 8, "group_size": 8, "drop_path": 0.0}
    return PointTransformer(1, outputs, **{**defaults, **options})


def concept(folder: Any = None, network: PointTransformer | None = None, **options: Any) -> Concept:
    teacher = TokenTeacher()
    features = PixelFeatures(teacher, cache=FeatureCache(folder, teacher))
    options = {"concept_tokens": 4, **options}
    network = network or student(3 if options.get("target") == "patches" else 0)
    torch.manual_seed(1)
    return Concept(network, features, losses.build("mse"), **options)
