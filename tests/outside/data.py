"""A log of somebody's own robot: posts, ground and a wall, one scan and one image each."""

from __future__ import annotations

import numpy as np

from pointlift.data import Dataset, Scene, View
from pointlift.registry import DATASETS

INTRINSICS = np.array([[30.0, 0.0, 23.5], [0.0, 30.0, 15.5], [0.0, 0.0, 1.0]])
CAMERA_FROM_LIDAR = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
COLORS = np.array([[90, 90, 90], [200, 40, 40], [40, 60, 200]])


@DATASETS.register("robot")
class Robot(Dataset):
    """Scans of a robot in a yard."""

    name = "robot"
    class_names = ("ground", "post", "wall")
    feature_names = ("intensity",)
    labels = frozenset({"points"})

    def __init__(self, *, split: str = "train", scans: int = 4) -> None:
        self.split, self._scans = split, scans

    @property
    def ids(self) -> list[str]:
        """The id of every scan."""
        return [f"{self.split}/{index:03d}" for index in range(self._scans)]

    def __len__(self) -> int:
        return self._scans

    def __getitem__(self, index: int) -> Scene:
        if not 0 <= index < self._scans:
            raise IndexError(index)
        rng = np.random.default_rng([index, sum(self.split.encode())])
        points, labels = _yard(rng)
        image = np.zeros((32, 48, 3), np.uint8)
        view = View("front", INTRINSICS, CAMERA_FROM_LIDAR, image)
        pixels, depth = view.project(points)
        for point in np.argsort(-depth):  # near ones last
            column, row = np.floor(np.nan_to_num(pixels[point], nan=-1.0) + 0.5).astype(int)
            if depth[point] > 1 and 0 <= column < 48 and 0 <= row < 32:
                image[row, column] = COLORS[labels[point]]
        intensity = (labels[:, None] / 4 + rng.uniform(0, 0.2, (len(points), 1))).astype(np.float32)
        return Scene(points.astype(np.float32), intensity, [view], labels, self.ids[index]).validate()


def _yard(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) and classes (N,)."""
    ground = np.stack([rng.uniform(2, 12, 150), rng.uniform(-6, 6, 150), np.full(150, -1.0)], axis=1)
    posts = np.stack(
        [np.repeat(rng.uniform(4, 9, 3), 30), np.repeat(rng.uniform(-3, 3, 3), 30), rng.uniform(-1, 2, 90)], 1
    )
    wall = np.stack([np.full(100, 12.0), rng.uniform(-6, 6, 100), rng.uniform(-1, 3, 100)], axis=1)
    return np.concatenate([ground, posts, wall]), np.repeat(np.arange(3), [150, 90, 100])
