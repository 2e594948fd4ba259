"""The smallest instance of every registered teacher, from tiny random networks: what the contract test builds."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from pointlift.data.scene import View
from pointlift.teachers.base import Teacher
from tests.teachers.towers import save_clip, save_siglip

STEMS = ("first", "second")
"""Names of the images that teachers which read files know."""


def write_dinov2(folder: Path) -> dict[str, Any]:
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    config = Dinov2Config(hidden_size=24, num_hidden_layers=2, num_attention_heads=2, patch_size=14, image_size=56)
    Dinov2Model(config).save_pretrained(folder)
    return {"source": str(folder)}


def write_clip(folder: Path) -> dict[str, Any]:
    save_clip(folder)
    return {"source": str(folder)}


def write_siglip(folder: Path) -> dict[str, Any]:
    save_siglip(folder)
    return {"source": str(folder)}


def write_clipcap(folder: Path) -> dict[str, Any]:
    from pointlift.teachers.mappers import MLPMapper

    save_clip(folder / "clip")
    torch.manual_seed(2)
    tensors = {f"clip_project.{key}": value for key, value in MLPMapper(12, 10, hidden=6).state_dict().items()}
    torch.save(tensors, folder / "mapper.pt")
    return {"source": str(folder / "clip"), "mapper": folder / "mapper.pt"}


def write_resnet50(folder: Path) -> dict[str, Any]:
    from pointlift.teachers.resnet50 import DilatedResNet50

    torch.manual_seed(0)
    torch.save(DilatedResNet50().state_dict(), folder / "resnet50.pth")
    return {"source": str(folder / "resnet50.pth"), "output_stride": 32}


def write_segmenter(folder: Path) -> dict[str, Any]:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    names = dict(enumerate(("road", "sky", "car")))
    config = SegformerConfig(
        depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 16, 16], num_attention_heads=[1, 1, 2, 2], decoder_hidden_size=16,
        id2label=names, label2id={name: number for number, name in names.items()}, initializer_range=0.5,
    )  # fmt: skip
    torch.manual_seed(0)
    SegformerForSemanticSegmentation(config).save_pretrained(folder)
    return {"source": str(folder)}


def write_street(folder: Path) -> dict[str, Any]:
    return {}


def write_labelmaps(folder: Path) -> dict[str, Any]:
    (folder / "maps").mkdir()
    for number, stem in enumerate(STEMS):
        ids = np.random.default_rng(number).choice([0, 1, 8, 13], (12, 20)).astype(np.uint8)
        Image.fromarray(ids).save(folder / "maps" / f"{stem}.png")
    return {"path": f"{folder}/maps/{{stem}}.png", "map": "cityscapes-to-semantickitti"}


def write_embeddings(folder: Path) -> dict[str, Any]:
    (folder / "sets").mkdir()
    for number, stem in enumerate(STEMS):
        save_file({"tokens": torch.full((2, 3), float(number))}, folder / "sets" / f"{stem}.safetensors")
    return {"path": f"{folder}/sets/{{stem}}.safetensors", "shape": (2, 3)}


SMALLEST: dict[str, Callable[[Path], dict[str, Any]]] = {
    "clip": write_clip,
    "clipcap": write_clipcap,
    "dinov2": write_dinov2,
    "embeddings": write_embeddings,
    "labelmaps": write_labelmaps,
    "resnet50": write_resnet50,
    "segmenter": write_segmenter,
    "siglip": write_siglip,
    "street": write_street,
}
"""Writes a teacher's files into an empty folder, always the same ones, and returns the options that build it."""

OTHER: dict[str, dict[str, Any]] = {
    "clip": {"residual": False},
    "clipcap": {"prefix": False},
    "dinov2": {"layer": 1},
    "embeddings": {"shape": (3, 2)},
    "labelmaps": {"map": None, "classes": "cityscapes19"},
    "resnet50": {"output_stride": 16},
    "segmenter": {"random": True, "random_seed": 1},
    "siglip": {"random": True},
    "street": {"random": True},
}
"""Options with which each is another teacher."""


def elsewhere(pickled: bytes) -> dict[str, tuple[str, torch.Tensor]]:
    """In another process: fingerprints of teachers that are built anew, and what the pickled ones say.

    Args:
        pickled: by name: options, the teacher, images and views.
    """
    from pointlift.registry import TEACHERS

    torch.set_num_threads(1)
    given: dict[str, Any] = pickle.loads(pickled)
    return {
        name: (TEACHERS.build(name, **options).fingerprint, said(teacher, images, views))
        for name, (options, teacher, images, views) in given.items()
    }


def said(teacher: Teacher, images: torch.Tensor, views: Sequence[View]) -> torch.Tensor:
    """Dense features of images, or their token sets from a teacher that has nothing else."""
    return teacher.features(images, views) if teacher.has_features else teacher.tokens(images, views)
