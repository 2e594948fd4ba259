"""Fixtures that several test modules share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pointlift.data import Scene, View
from tests.fixtures_kitti import write_semantickitti

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real scans and weights beside the project; tests that need it skip where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the folder ../shared with real scans is not there")
    return SHARED


@pytest.fixture(scope="session")
def semantickitti_mini(shared: Path) -> Path:
    root = shared / "data" / "semantickitti-mini"
    if not root.is_dir():
        pytest.skip("../shared/data/semantickitti-mini is not there")
    return root


@pytest.fixture(scope="session")
def dinov2_small(shared: Path) -> Path:
    folder = shared / "weights" / "dinov2-small-fp16"
    if not folder.is_dir():
        pytest.skip("../shared/weights/dinov2-small-fp16 is not there")
    return folder


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def kitti_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny synthetic street in the official SemanticKITTI layout; read only."""
    return write_semantickitti(tmp_path_factory.mktemp("kitti"), {"00": 3, "01": 2, "08": 2})


@pytest.fixture(scope="session")
def tiny_dinov2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DINOv2 of two narrow layers with random weights, saved as transformers saves it; read only."""
    from transformers import Dinov2Config, Dinov2Model

    folder = tmp_path_factory.mktemp("dinov2")
    torch.manual_seed(0)
    config = Dinov2Config(hidden_size=24, num_hidden_layers=2, num_attention_heads=2, patch_size=14, image_size=56)
    Dinov2Model(config).save_pretrained(folder)
    return folder


@pytest.fixture
def tiny_overrides(kitti_root: Path, tiny_dinov2: Path, tmp_path: Path) -> list[str]:
    """Overrides that make a shipped SemanticKITTI recipe run in a second on the synthetic street."""
    return [
        f"data.root={kitti_root}",
        f"teacher.source={tiny_dinov2}",
        "teacher.layer=1",
        f"cache.folder={tmp_path / 'cache'}",
        "student.width=0.25",
        "student.voxel_size=0.5",
        "method.pairs_per_scene=64",
        "training.steps=6",
        "training.checkpoint_every=3",
        "training.log_every=1",
        "training.warmup_steps=2",
        "training.threads=1",
    ]


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
