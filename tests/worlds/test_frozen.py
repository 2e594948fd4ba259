"""Worlds and cache folders are those of commit 1a2c826: what lies in users' caches stays valid, and results comparable.

Nothing here depends on the ray caster, whose rounding differs between machines.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointlift.datasets.rooms import Rooms
from pointlift.datasets.shapes import Shapes
from pointlift.datasets.street import Street
from pointlift.worlds.engine.cache import Spec
from pointlift.worlds.engine.world import Materials
from pointlift.worlds.rooms import world as rooms
from pointlift.worlds.shapes import catalogue
from pointlift.worlds.street import town

FROZEN: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "frozen.json").read_text())


def crc(values: np.ndarray, dtype: type) -> int:
    return zlib.crc32(np.ascontiguousarray(values, dtype=dtype).tobytes())


def summary(
    vertices: np.ndarray, faces: np.ndarray, labels: np.ndarray, material_of: np.ndarray, materials: Materials
) -> dict[str, Any]:
    return {
        "faces": crc(faces, np.int32),
        "labels": crc(labels, np.int8),
        "materials": crc(material_of, np.int32),
        "looks": crc(materials.textures, np.int8),
        "words": zlib.crc32(json.dumps(materials.words).encode()),
        "middle": vertices.mean(axis=0).tolist(),
    }


def built(name: str) -> dict[str, Any]:
    world, kind = name.split()
    if world == "shapes":
        form, looks = catalogue.build(kind, np.random.default_rng([3, 0]))
        return summary(form.vertices, form.faces, form.part_of, form.material_of, looks)
    made = town.build(3, style=kind).world(5) if world == "street" else rooms.build(3, kind=kind)
    return summary(made.vertices, made.faces, made.labels, made.material_of, made.materials)


@pytest.mark.parametrize("name", FROZEN["worlds"])
def test_a_world_is_what_it_was(name):
    found, expected = built(name), dict(FROZEN["worlds"][name])
    assert found.pop("middle") == pytest.approx(expected.pop("middle"), abs=1e-2)
    assert found == expected


def test_every_kind_of_world_is_frozen():
    kinds = [("street", town.STYLES), ("rooms", rooms.KINDS), ("shapes", catalogue.CATEGORIES)]
    assert list(FROZEN["worlds"]) == [f"{world} {kind}" for world, names in kinds for kind in names]


def test_cache_folders_and_what_they_are_made_from_are_what_they_were(tmp_path):
    street = Street(root=tmp_path, split="val", seed=7, beams=64, cameras=("front", "rear"))
    frames, clouds = Rooms(root=tmp_path, seed=7), Rooms(root=tmp_path, kind="scenes", points=5000)
    objects, bare = Shapes(root=tmp_path, split="test", seed=7), Shapes(root=tmp_path, views=0)
    specs: list[Spec] = [street._specs[-1], frames._specs[1][2], clouds._clouds[-1], objects._specs[-1], bare._specs[0]]
    found = [{"folder": spec.folder.relative_to(tmp_path).as_posix(), "made_from": spec.made_from} for spec in specs]
    assert found == FROZEN["folders"]["specs"]
