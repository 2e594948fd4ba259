"""Fixtures that several test modules share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

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
