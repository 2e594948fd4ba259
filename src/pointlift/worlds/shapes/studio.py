"""A small place for one object: light, a floor or a plain backdrop, and cameras around it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pointlift.worlds.engine.cameras import Camera
from pointlift.worlds.engine.materials import Palette, pick
from pointlift.worlds.engine.world import Light, Materials, World
from pointlift.worlds.shapes.forms import Form, disc

FIELD_OF_VIEW = 45.0  # degrees, across the shorter side
FLOOR = 60.0  # radius, in radii of the object
BACKGROUND = -1  # label of the floor
_FLOORS = "wood wood tiled concrete cloth plaster gravel grass stone"
_COLORS = "white beige beige grey grey brown blue green red black"


class Studio(NamedTuple):
    """A world with the object, and the cameras that look at it."""

    world: World
    cameras: list[Camera]


def studio(form: Form, materials: Materials, rng: np.random.Generator, views: int, size: tuple[int, int]) -> Studio:
    """Put an object, inside the unit sphere, on a floor or before a plain backdrop, with cameras all round.

    Args:
        form: the object.
        materials: its looks.
        rng: draws light, floor and cameras.
        views: number of cameras, at about equal angles.
        size: (height, width) of their images.
    """
    light = _light(rng)
    floor = rng.random() < 0.75
    palette = Palette()  # of the floor
    palette.make(rng, pick(rng, _COLORS), pick(rng, _FLOORS))
    vertices, faces = form.vertices, form.faces
    labels, material_of = form.part_of, form.material_of
    if floor:
        low = float(vertices[np.unique(faces), 2].min()) - 1e-4
        plate = disc(FLOOR, 0.5, (0, 0, low - 0.5), 48)
        faces = np.concatenate([faces, plate.faces + len(vertices)])
        vertices = np.concatenate([vertices, plate.vertices])
        labels = np.concatenate([labels, np.full(len(plate.faces), BACKGROUND)])
        material_of = np.concatenate([material_of, np.full(len(plate.faces), len(materials.words))])
    instances = np.repeat([1, 0], [len(form.faces), len(faces) - len(form.faces)])
    # each object's pattern lies elsewhere in its noise, so that two of one material differ
    origins = np.stack([rng.uniform(-50, 50, 3), rng.uniform(-50, 50, 3)])
    world = World(
        vertices, faces, labels, instances, material_of, origins, rng.uniform(0, 6.28, 2) * (1, 0),
        _joined(materials, palette.materials()), light,
    )  # fmt: skip
    start = rng.uniform(0, 2 * np.pi)
    cameras = [_camera(rng, index, start + index * 2 * np.pi / views, size) for index in range(views)]
    return Studio(world, cameras)


def _joined(first: Materials, second: Materials) -> Materials:
    def both(name: str) -> np.ndarray:
        return np.concatenate([getattr(first, name), getattr(second, name)])

    return Materials(
        colors=both("colors"),
        second_colors=both("second_colors"),
        textures=both("textures"),
        scales=both("scales"),
        reflectance=both("reflectance"),
        gloss=both("gloss"),
        words=first.words + second.words,
    )


def _light(rng: np.random.Generator) -> Light:
    """One lamp from above, soft light from all round, and a plain backdrop of some tone."""
    elevation, azimuth = np.radians(rng.uniform(30, 75)), rng.uniform(0, 2 * np.pi)
    lamp = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    strength = rng.uniform(0.5, 1.8)
    warmth = rng.uniform(-0.12, 0.12)
    backdrop = rng.uniform(0.25, 1.3) * (1 + rng.uniform(-0.2, 0.2, 3))
    ambient = rng.uniform(0.5, 0.9) * (1 + warmth * np.array([-1, 0, 1]))
    exposure = rng.uniform(0.8, 1.25) * 1.2 / (0.7 * strength + float(ambient.mean()) + 0.2)
    return Light(
        sun=lamp,
        sun_color=np.asarray(strength * (1 + warmth * np.array([1, 0, -1])), np.float32),
        ambient=np.asarray(ambient, np.float32),
        zenith=np.asarray(backdrop * rng.uniform(0.7, 1.0), np.float32),
        horizon=np.asarray(backdrop, np.float32),
        haze=1e3,
        clouds=-1.0,  # none at all
        exposure=float(exposure),
    )


def _camera(rng: np.random.Generator, index: int, azimuth: float, size: tuple[int, int]) -> Camera:
    """At some distance and height, looking at a place near the object's middle."""
    height, width = size
    focal = 0.5 * min(size) / np.tan(np.radians(0.5 * FIELD_OF_VIEW))
    intrinsics = np.array([[focal, 0, 0.5 * (width - 1)], [0, focal, 0.5 * (height - 1)], [0, 0, 1]])
    azimuth, elevation = azimuth + rng.uniform(-0.3, 0.3), np.radians(rng.uniform(5, 45))
    level = np.cos(elevation)
    outwards = np.array([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)])
    target = rng.uniform(-0.08, 0.08, 3)
    position = target + outwards * rng.uniform(1.0, 1.35) / np.sin(np.radians(0.5 * FIELD_OF_VIEW))
    right = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, np.cross(-outwards, right), -outwards], axis=1)
    matrix[:3, 3] = position
    return Camera(f"view{index}", intrinsics, (height, width), matrix)
