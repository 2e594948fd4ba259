"""A tiny world whose classes are directions, seen by one camera: stand-ins for data, student and teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pointlift.data.batch import Batch
from pointlift.data.dataset import Dataset
from pointlift.data.scene import Pairs, Scene, View
from pointlift.evaluation.base import Trial
from pointlift.evaluation.protocol import described
from pointlift.evaluation.result import Result
from pointlift.students.base import Student
from pointlift.tasks.base import Task
from pointlift.tasks.segmentation import Segmentation

CLASSES = ("left", "middle", "right", "rare")
K = np.array([[20.0, 0, 23.5], [0, 20.0, 15.5], [0, 0, 1]])
CAMERA_FROM_POINTS = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
COLORS = np.array([[250, 20, 20], [20, 250, 20], [20, 20, 250]])


def true_class(points: np.ndarray) -> np.ndarray:
    slope = points[:, 1] / np.abs(points[:, 0])
    return np.select([slope > 0.25, slope < -0.25], [0, 2], 1)


def image() -> np.ndarray:
    u = np.arange(48)
    slope = -(u - K[0, 2]) / K[0, 0]
    return np.broadcast_to(COLORS[np.select([slope > 0.25, slope < -0.25], [0, 2], 1)], (32, 48, 3)).astype(np.uint8)


class World(Dataset):
    """``count`` scans of ``points`` points in front of and behind the camera, about 10 % of them unlabelled."""

    name = "world"
    class_names = CLASSES
    feature_names = ("intensity",)

    def __init__(
        self, count: int, seed: int = 0, points: int = 240, labels: bool = True, rare: int = 0, views: int = 1
    ) -> None:
        self._count, self._seed, self._points, self._labels, self._rare = count, seed, points, labels, rare
        self._views = views
        self.settings = {"split": "all"}
        self.labels = frozenset({"points"} if labels else ())

    @property
    def ids(self) -> list[str]:
        return [f"{index // 2:02d}/{index % 2:06d}" for index in range(self._count)]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Scene:  # type: ignore[override]
        if not 0 <= index < self._count:
            raise IndexError(index)
        rng = np.random.default_rng([self._seed, index])
        x = rng.uniform(2, 12, self._points) * rng.choice([-1, 1], self._points)
        points = np.stack([x, np.abs(x) * rng.uniform(-1, 1, self._points), rng.uniform(-1, 1, self._points)], axis=1)
        labels = true_class(points)
        labels[: self._rare] = 3
        intensity = (labels / 3 + rng.normal(0, 0.02, self._points)).clip(0, 1)
        labels[rng.random(self._points) < 0.1] = -1
        return Scene(
            points=points.astype(np.float32),
            features=intensity[:, None].astype(np.float32),
            views=[View(f"camera{number}", K, CAMERA_FROM_POINTS, image()) for number in range(self._views)],
            labels=labels.astype(np.int64) if self._labels else None,
            id=self.ids[index],
        )


class ToyStudent(Student):
    """Per-point network: linear, batch normalisation, ReLU, then the head."""

    in_channels, out_channels, decoder_channels = 1, 3, 8

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU())
        self.head = nn.Linear(8, 3)

    def decoder_features(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        features = self.body(torch.cat([batch.points, batch.features], dim=1))
        return features if rows is None else features[rows]


class LastThree(nn.Module):
    """A head that looks at the last three channels."""

    def forward(self, features: Tensor) -> Tensor:
        return features[:, -3:]


class Oracle(ToyStudent):
    """Its output is the colour that the image has in the point's direction, also where no camera looks."""

    decoder_channels = 11

    def __init__(self) -> None:
        super().__init__()
        self.head = LastThree()  # type: ignore[assignment]

    def decoder_features(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        colors = torch.from_numpy(COLORS[true_class(batch.points.numpy())] / 255.0).float()
        features = torch.cat([super().decoder_features(batch), colors], dim=1)
        return features if rows is None else features[rows]


def fresh_student(seed: int) -> ToyStudent:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ToyStudent()


def pixel_colors(scene: Scene, pairs: Pairs) -> Tensor:
    """A teacher with D = 3: the colour of the nearest pixel."""
    colors = np.zeros((len(pairs.point_index), 3), np.float32)
    for row, (view, (u, v)) in enumerate(zip(pairs.view_index, pairs.pixels, strict=True)):
        colors[row] = scene.views[view].image[int(v + 0.5), int(u + 0.5)] / 255.0
    return torch.from_numpy(colors)


def trial(tmp_path: Path, task: Task | None = None, **changes: Any) -> Trial:
    """A trial on the world; ``train`` is what gives labels, and what was pretrained on if nothing else is said."""
    labelled = changes.pop("train") if "train" in changes else World(4)
    pretrained = changes.pop("pretrained") if "pretrained" in changes else labelled
    given: dict[str, Any] = {
        "student": fresh_student(5),
        "pretrained": lambda: pretrained,
        "pretrained_on": described(pretrained),
        "labelled": labelled,
        "test": World(2, seed=1),
        "task": task or Segmentation(labelled),
        "fresh_student": fresh_student,
        "pixel_features": lambda: pixel_colors,
        "folder": tmp_path,
    }
    return Trial(**{**given, **changes})


def visible(result: Result, name: str) -> dict[str, Any]:
    """The metrics of a contestant at visible points."""
    return result.row(name, "visible points").metrics
