"""A world of a few boxes and what the sensors see of it, for tests that should not depend on the town."""

from __future__ import annotations

import numpy as np

from pointlift.worlds.engine import lidar
from pointlift.worlds.engine.cameras import Picture, render_view
from pointlift.worlds.engine.rays import Caster
from pointlift.worlds.engine.world import TEXTURES, Light, Materials
from pointlift.worlds.street import ego
from pointlift.worlds.street.classes import EGO
from pointlift.worlds.street.ego import Moment

# label, centre, size, material
BOXES = (
    (3, (18.0, 9.0, 4.0), (10.0, 6.0, 8.0), 2),
    (3, (2.0, -14.0, 5.0), (30.0, 6.0, 10.0), 3),
    (5, (10.0, -2.5, 0.75), (4.2, 1.8, 1.5), 4),
    (5, (-9.0, 2.5, 0.8), (4.4, 1.8, 1.6), 5),
    (4, (12.0, 4.0, 3.0), (2.5, 2.5, 4.0), 6),
    (10, (6.0, 5.0, 2.5), (0.2, 0.2, 5.0), 7),
    (2, (0.0, 12.0, 0.1), (60.0, 12.0, 0.2), 8),
    (12, (5.0, 1.0, 0.4), (0.4, 0.4, 0.8), 9),
    (EGO, (0.3, 0.0, 0.7), (4.2, 1.7, 0.9), 4),
)
CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
SIDES = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
LOOKS = (  # texture, scale, colour, second colour, reflectance, gloss
    ("asphalt", 0.5, (0.08, 0.08, 0.085), (0.05, 0.05, 0.05), 0.16, 0.04),
    ("markings", 0.5, (0.7, 0.7, 0.68), (0.1, 0.1, 0.1), 0.8, 0.04),
    ("bricks", 0.25, (0.35, 0.1, 0.06), (0.5, 0.45, 0.4), 0.4, 0.02),
    ("windows", 3.0, (0.5, 0.42, 0.3), (0.04, 0.05, 0.06), 0.5, 0.02),
    ("plain", 1.0, (0.4, 0.03, 0.03), (0.3, 0.03, 0.03), 0.4, 0.5),
    ("panels", 1.2, (0.1, 0.2, 0.5), (0.05, 0.1, 0.3), 0.4, 0.4),
    ("leaves", 0.25, (0.09, 0.2, 0.05), (0.02, 0.06, 0.02), 0.5, 0.0),
    ("planks", 0.2, (0.3, 0.18, 0.1), (0.12, 0.07, 0.04), 0.45, 0.0),
    ("noise", 0.5, (0.12, 0.25, 0.06), (0.2, 0.2, 0.08), 0.5, 0.0),
    ("stripes", 0.3, (0.7, 0.2, 0.03), (0.75, 0.75, 0.75), 0.7, 0.1),
)


def materials() -> Materials:
    texture, scale, first, second, reflectance, gloss = zip(*LOOKS, strict=True)
    return Materials(
        np.array(first, np.float32),
        np.array(second, np.float32),
        np.array([TEXTURES.index(name) for name in texture]),
        np.array(scale, np.float32),
        np.array(reflectance, np.float32),
        np.array(gloss, np.float32),
        tuple((name,) for name in texture),
    )


def light() -> Light:
    sun = np.array([0.4, 0.55, 0.73])
    return Light(
        sun / np.linalg.norm(sun),
        np.array([2.6, 2.4, 2.1], np.float32),
        np.array([0.55, 0.65, 0.85], np.float32),
        np.array([0.2, 0.4, 0.85], np.float32),
        np.array([0.75, 0.82, 0.9], np.float32),
        haze=400.0,
        clouds=0.4,
        exposure=0.6,
    )


def ground() -> tuple[np.ndarray, np.ndarray]:
    """Squares of 10 m at height 0."""
    n = 17
    x, y = np.meshgrid(np.linspace(-80, 80, n), np.linspace(-80, 80, n), indexing="ij")
    corner = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).reshape(-1)
    halves = [np.stack([corner, corner + n, corner + n + 1], 1), np.stack([corner, corner + n + 1, corner + 1], 1)]
    return np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3), np.concatenate(halves)


def box_world(x: float = 0.0) -> Moment:
    """The boxes around an ego vehicle that stands at (x, 0) and looks along x."""
    vertices, faces = ground()
    all_vertices, all_faces, labels, instances, looks = (
        [vertices],
        [faces],
        [0] * len(faces),
        [0] * len(faces),
        [0] * len(faces),
    )
    for number, (label, center, size, look) in enumerate(BOXES, start=1):
        start = sum(len(part) for part in all_vertices)
        shift = np.array([x, 0, 0]) if label == EGO else 0
        all_vertices.append(CORNERS * size + center + shift)
        all_faces.append(start + np.array([t for a, b, c, d in SIDES for t in ((a, b, c), (a, c, d))]))
        labels += [label] * 12
        instances += [number] * 12
        looks += [look] * 12
    pose = np.eye(4)
    pose[0, 3] = x
    bases = [(0.0, 0.0, 0.0), *((cx, cy, cz - sz / 2) for _, (cx, cy, cz), (_, _, sz), _ in BOXES)]
    return Moment(
        np.concatenate(all_vertices),
        np.concatenate(all_faces),
        np.array(labels),
        np.array(instances),
        np.array(looks),
        np.array(bases),
        np.zeros(len(bases)),
        materials(),
        light(),
        pose,
    )


def stage(world: Moment, engine: str | None = None) -> tuple[Moment, Caster, Caster]:
    street, own = world.split()
    return street, Caster(street.vertices, street.faces, engine), Caster(own.vertices, own.faces, engine)


def scan(world: Moment, beams: int = 32, seed: int = 0, engine: str | None = None) -> lidar.Scan:
    return lidar.scan(*stage(world, engine), world.world_from_lidar, beams, np.random.default_rng(seed))


def picture(world: Moment, name: str = "front", size=(48, 96), seed: int = 0, engine: str | None = None) -> Picture:
    street, caster, _ = stage(world, engine)
    seen_from = ego.camera(name, size).placed(street.world_from_ego)
    return render_view(street, caster, seen_from, np.random.default_rng(seed))


def distance_to_boxes(points: np.ndarray, world: Moment) -> np.ndarray:
    """Of points in the LiDAR's frame to the plane of the nearest side of any triangle's box: 0 on a surface."""
    moved = points @ world.world_from_lidar[:3, :3].T + world.world_from_lidar[:3, 3]
    corners = world.vertices[world.faces]
    low, high = corners.min(axis=1), corners.max(axis=1)
    outside = np.maximum(np.maximum(low - moved[:, None], moved[:, None] - high), 0)
    return np.linalg.norm(outside, axis=2).min(axis=1)
