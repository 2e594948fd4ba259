"""Fixtures that several test modules share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

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
