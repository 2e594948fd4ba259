from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pointlift.data import Scene, View
from tests.fixtures_kitti import write_semantickitti


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic SemanticKITTI root that tests only read."""
    return write_semantickitti(tmp_path_factory.mktemp("street"), {"00": 3, "01": 2, "08": 2})


def turned(degrees: float, translation: tuple[float, float, float]) -> np.ndarray:
    """A camera in a LiDAR frame (x forward, y left, z up) whose axis is turned by an azimuth."""
    angle = np.radians(degrees)
    forward = np.array([np.cos(angle), np.sin(angle), 0])
    right = np.array([np.sin(angle), -np.cos(angle), 0])
    matrix = np.eye(4)
    matrix[:3, :3] = [right, [0, 0, -1], forward]
    matrix[:3, 3] = -matrix[:3, :3] @ translation
    return matrix


@pytest.fixture
def scene() -> Scene:
    """500 random points around two cameras of different size that look forward and to the left."""
    rng = np.random.default_rng(3)
    points = rng.uniform(-20, 20, size=(500, 3)).astype(np.float32)
    points[:, 2] *= 0.2
    intrinsics = np.array([[60.0, 0.5, 49.0], [0, 62.0, 30.0], [0, 0, 1]])
    views = [
        View("front", intrinsics, turned(5, (0.3, 0.1, 0.2)), rng.integers(0, 255, (60, 100, 3), dtype=np.uint8)),
        View("left", intrinsics, turned(80, (0.0, 0.4, 0.2)), rng.integers(0, 255, (50, 90, 3), dtype=np.uint8)),
    ]
    return Scene(
        points=points,
        features=rng.random((500, 1), dtype=np.float32),
        views=views,
        labels=rng.integers(-1, 3, 500),
        instances=np.arange(500),
        id="random/0",
        files={"points": Path("scan.bin"), "views": Path("calib.txt")},
    )
