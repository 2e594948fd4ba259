"""A spinning LiDAR that sees one moment of a world."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from pointlift.worlds.engine.rays import Caster, turned
from pointlift.worlds.engine.world import TEXTURES, World

MAX_RANGE = 80.0
RANGE_NOISE = 0.02
FOLIAGE_DEPTH = 0.2
"""Mean way of a ray into leaves, metres."""
BEAMS: dict[int, tuple[float, float, int]] = {32: (10.0, -30.0, 1024), 64: (2.0, -24.8, 2048)}
"""Number of beams to the elevation of the highest and lowest, degrees, and the number of azimuths."""


class Scan(NamedTuple):
    """One turn of the LiDAR: N returns in its frame, by beam from the top and then clockwise from behind.

    ``points (N, 3)`` float32 metres, ``intensity (N,)`` float32 in [0, 1], ``labels (N,)`` and ``instances (N,)``
    int64; ``dropped`` counts the returns from what carries the LiDAR, which were left out.
    """

    points: np.ndarray
    intensity: np.ndarray
    labels: np.ndarray
    instances: np.ndarray
    dropped: int


def scan(
    world: World,
    caster: Caster,
    carrier: Caster,
    pose: np.ndarray,
    beams: Literal[32, 64],
    rng: np.random.Generator,
) -> Scan:
    """One turn of the LiDAR, at one instant.

    A return is lost more often the darker, the farther and the more slanted its surface; its intensity is the
    reflectance times the incidence, with a weak falloff over range. Foliage is no surface: its returns come from some
    way inside, an exponential draw. The random draws of a ray do not depend on what it or any other ray hits.

    Args:
        world: without what carries the LiDAR.
        caster: of the world's triangles.
        carrier: of the triangles of what carries it, whose returns are dropped and counted.
        pose: (4, 4) world from LiDAR.
        beams: 32 or 64, a key of `BEAMS`.
        rng: draws the noise.
    """
    directions = lidar_directions(beams)
    range_noise, luck, intensity_noise = (
        rng.normal(0, RANGE_NOISE, len(directions)),
        rng.random(len(directions)),
        rng.normal(0, 0.02, len(directions)),
    )
    depth_in_leaves = np.minimum(rng.exponential(FOLIAGE_DEPTH, len(directions)), 5 * FOLIAGE_DEPTH)
    rays = turned(directions, pose)
    distance, face = caster.first_hit(pose[:3, 3], rays)
    own = carrier.first_hit(pose[:3, 3], rays)[0]
    incidence = np.abs(np.einsum("ri,ri->r", caster.normals[face], rays)) if len(world.faces) else np.zeros(len(rays))
    reflectance = world.materials.reflectance[world.material_of[face]].astype(np.float64)
    nearest = np.minimum(distance, own)
    signal = reflectance * (0.15 + 0.85 * incidence) / (1 + (nearest / 35.0) ** 2)
    detected = luck > 0.01 + 0.99 * np.exp(-signal / 0.008)
    returned = (distance < own) & (distance <= MAX_RANGE) & detected
    dropped = int(((own <= distance) & np.isfinite(own)).sum())
    value = reflectance * (0.3 + 0.7 * incidence) / (1 + (np.minimum(distance, 200) / 90.0) ** 2) + intensity_noise
    leafy = world.materials.textures[world.material_of[face]] == TEXTURES.index("leaves")
    distance = distance + range_noise + np.where(leafy, depth_in_leaves, 0.0)
    face = face[returned]
    return Scan(
        (directions * distance[:, None])[returned].astype(np.float32),
        np.clip(value[returned], 0, 1).astype(np.float32),
        world.labels[face],
        world.instances[face],
        dropped,
    )


def lidar_directions(beams: int) -> np.ndarray:
    """Unit vectors (beams · azimuths, 3) in the LiDAR's frame, in the order of a `Scan`."""
    highest, lowest, azimuths = BEAMS[beams]
    elevation = np.radians(np.linspace(highest, lowest, beams))[:, None]
    azimuth = (np.pi - (np.arange(azimuths) + 0.5) * (2 * np.pi / azimuths))[None]
    level = np.cos(elevation)
    parts = np.broadcast_arrays(level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation))
    return np.stack(parts, axis=-1).reshape(-1, 3)
