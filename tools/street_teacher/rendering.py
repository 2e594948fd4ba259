"""The streets that the teacher is trained and measured on, rendered as `Views` and kept in a folder if wished."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pointlift.datasets.street import Street
from pointlift.files import write_atomically
from pointlift.worlds.engine.cameras import Picture
from pointlift.worlds.engine.rays import Caster
from pointlift.worlds.street import town
from pointlift.worlds.street.frames import GENERATOR_VERSION, FrameSpec, seen_by
from tools.street_teacher.truth import SKY
from tools.street_teacher.views import Views, collect

Camera = Literal["front", "left", "right", "rear"]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Streets:
    """Which images of the data set's streets; all are of its seed 0.

    Attributes:
        split: of the data set.
        first: number of the first sequence.
        sequences: how many.
        frames: moments of each.
        town: as in the data set.
        cameras: at each moment.
        image_size: (height, width).
    """

    split: Literal["train", "val", "test", "teacher"]
    first: int
    sequences: int
    frames: int
    town: Literal["mixed", "coast"] = "mixed"
    cameras: tuple[Camera, ...] = ("front", "left", "right")
    image_size: tuple[int, int] = (192, 384)


def views_of(streets: Streets, cache: Path | None = None) -> Views:
    """The images of ``streets`` and what is known of their pixels, from ``cache`` if they are there."""
    if cache is None:
        return collect(_rendered(streets))
    key = json.dumps({**asdict(streets), "generator": GENERATOR_VERSION}, sort_keys=True)
    path = cache / f"{streets.split}-{streets.town}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.safetensors"
    try:
        return _read(path)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):  # not there yet, or damaged
        views = collect(_rendered(streets))
        write_atomically(path, save(views.tensors(), metadata={"words": json.dumps(views.words)}))
        return views


def _read(path: Path) -> Views:
    with safe_open(path, framework="pt") as file:
        words = json.loads(file.metadata()["words"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return Views(**tensors, words=tuple(map(tuple, words)))


def _rendered(streets: Streets) -> Iterator[tuple[dict[str, Tensor], tuple[tuple[str, ...], ...]]]:
    """The tensors of each image in turn, and the words of its town's materials."""
    specs = _specs(streets)
    for done, spec in enumerate(specs):
        if spec.number == 0:
            built = town.build(spec.town_seed, style=spec.style)
        street, _ = built.world(spec.number).split()
        caster = Caster(street.vertices, street.faces)
        for name in spec.cameras:
            yield _tensors(seen_by(name, spec, street, caster)), street.materials.words
        if (done + 1) % 20 == 0:
            logger.info("%s %s: %d of %d moments rendered", streets.split, streets.town, done + 1, len(specs))


def _specs(streets: Streets) -> list[FrameSpec]:
    dataset = Street(
        split=streets.split,
        sequences=streets.first + streets.sequences,
        frames=streets.frames,
        town=streets.town,
        cameras=streets.cameras,
        image_size=streets.image_size,
    )
    return dataset._specs[streets.first * streets.frames :]


def _tensors(picture: Picture) -> dict[str, Tensor]:
    sky = picture["material"] < 0
    return {
        "images": torch.from_numpy(picture["image"]).permute(2, 0, 1).contiguous(),
        "labels": torch.from_numpy(np.where(sky, SKY, picture["labels"]).astype(np.int8)).clamp(min=-1),
        "materials": torch.from_numpy(picture["material"]),
        "lit": torch.from_numpy(picture["lit"]),
        "depth": torch.from_numpy(picture["depth"]).half(),
    }
