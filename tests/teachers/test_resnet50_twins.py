"""Checkpoints of self-supervised learning: two encoders beside each other, under the names that trainers give them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from pointlift.errors import CheckpointError
from pointlift.registry import TEACHERS
from pointlift.teachers.resnet50 import DilatedResNet50

NUMBERS = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}
PAIRS = {  # the trained one first
    "MoCo": ("module.encoder_q.", "module.encoder_k."),
    "MoCo v3": ("module.base_encoder.", "module.momentum_encoder."),
    "BYOL": ("online_encoder.net.", "target_encoder.net."),
    "BYOL, networks": ("online_network.encoder.", "target_network.encoder."),
    "DINO": ("student.backbone.", "teacher.backbone."),
    "solo": ("backbone.", "momentum_backbone."),
    "lightly": ("backbone.", "backbone_momentum."),
    "PixPro": ("module.encoder.", "module.encoder_k."),
    "averaged": ("encoder.", "encoder_ema."),
    "compiled": ("_orig_mod.model.query_encoder.", "_orig_mod.model.key_encoder."),
}


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return DilatedResNet50().state_dict()


@pytest.fixture(scope="module")
def others(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value * 0.9 if value.is_floating_point() else value for key, value in weights.items()}


@pytest.fixture(scope="module")
def wanted(weights: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> str:
    return _built(weights, tmp_path_factory.mktemp("one") / "one.pth")


def _built(tensors: dict[str, Tensor], path: Path) -> str:
    torch.save({"epoch": 3, "state_dict": tensors}, path)
    return TEACHERS.build("resnet50", source=str(path), output_stride=32).fingerprint


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{key}": value for key, value in tensors.items()}


def _numbered(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {".".join([NUMBERS[key.split(".")[0]], *key.split(".")[1:]]): value for key, value in tensors.items()}


@pytest.mark.parametrize("trainer", PAIRS)
def test_the_trained_one_is_taken(trainer: str, weights, others, wanted, tmp_path: Path) -> None:
    first, second = PAIRS[trainer]
    beside = {**_under(second, others), **_under(first, weights), "module.queue": torch.zeros(3)}
    assert _built(beside, tmp_path / "both.pth") == wanted
    assert _built(_under(second, weights), tmp_path / "alone.pth") == wanted  # the only one there is


@pytest.mark.parametrize("prefix", ["", "backbone.", "module.encoder_q."])
def test_children_in_a_row_are_known_by_their_numbers(prefix: str, weights, others, wanted, tmp_path: Path) -> None:
    assert _built(_under(prefix, _numbered(weights)), tmp_path / "one.pth") == wanted
    if prefix:
        beside = _under(prefix, _numbered(weights)) | _under("momentum.", _numbered(others))
        assert _built(beside, tmp_path / "both.pth") == wanted


def test_two_names_of_the_same_are_one(weights, wanted, tmp_path: Path) -> None:
    beside = _under("backbone.", weights) | _under("encoder_q.0.", weights)
    assert _built(beside, tmp_path / "both.pth") == wanted


@pytest.mark.parametrize("names", [("net_1.", "net_2."), ("backbone.", "encoder."), ("target.", "momentum.")])
def test_it_is_said_where_names_do_not_tell(names: tuple[str, str], weights, others, tmp_path: Path) -> None:
    beside = _under(names[0], weights) | _under(names[1], others)
    with pytest.raises(CheckpointError, match=r"holds 2 ResNets .* save the weights of that one alone"):
        _built(beside, tmp_path / "both.pth")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("resnet.encoder.stages.0.layers.0.layer.0.convolution.weight", "give the folder that has config.json"),
        ("backbone.bottom_up.res2.0.conv1.weight", "these are Detectron2's names"),
        ("patch_embed.proj.weight", "choose the teacher dinov2"),
        ("something.weight", "called as in torchvision"),
    ],
)
def test_names_of_others(key: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=said):
        _built({key: torch.zeros(2)}, tmp_path / "weights.pth")
