"""Pinhole cameras: each sees one moment of a world under sun and sky."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np

from pointlift.data import camera as geometry
from pointlift.worlds.engine.film import exposed
from pointlift.worlds.engine.lighting import shaded, sky
from pointlift.worlds.engine.rays import Caster, turned
from pointlift.worlds.engine.solids import Point
from pointlift.worlds.engine.world import World

FAR = 250.0  # metres; a depth image ends at 256


class Picture(TypedDict):
    """What one camera sees: ``image (H, W, 3)`` uint8 RGB and, of each pixel's centre, what is there.

    ``labels (H, W)`` and ``material (H, W)`` int64, -1 in the sky; ``depth (H, W)`` float32, metres along the camera's
    axis, 0 in the sky; ``lit (H, W)`` bool, whether the sun shines on it.
    """

    image: np.ndarray
    labels: np.ndarray
    material: np.ndarray
    depth: np.ndarray
    lit: np.ndarray


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Args:
        name: of the camera.
        intrinsics: K (3, 3) float64.
        size: (height, width) of its images.
        pose: (4, 4) float64, from its axes (x right, y down, z forward) to those of what it is mounted on, or, for
            `render_view`, of the world.
    """

    name: str
    intrinsics: np.ndarray
    size: tuple[int, int]
    pose: np.ndarray

    def placed(self, world_from_mount: np.ndarray) -> Camera:
        """The camera in the world, given the pose (4, 4) of what it is mounted on."""
        return replace(self, pose=world_from_mount @ self.pose)

    def camera_from_points(self, origin: Point = (0.0, 0.0, 0.0)) -> np.ndarray:
        """(4, 4) float64: takes points to the camera's frame; theirs is the mount's, but for its ``origin`` there."""
        rotation, position = self.pose[:3, :3], self.pose[:3, 3]
        matrix = np.eye(4)
        matrix[:3, :3] = rotation.T
        matrix[:3, 3] = rotation.T @ (np.asarray(origin, dtype=float) - position)
        return matrix


def render_view(world: World, caster: Caster, camera: Camera, rng: np.random.Generator) -> Picture:
    """What a camera sees of a world, one ray through the centre of each pixel.

    Args:
        world: without what carries the camera, which would stand in the picture.
        caster: of the world's triangles.
        camera: in the world; see `Camera.placed`.
        rng: draws the noise of the image, for all pixels alike, whatever they show.
    """
    height, width = camera.size
    noise = rng.standard_normal((height, width, 3), dtype=np.float32)
    rays, depth_per_metre = pixel_rays(camera.intrinsics, camera.size)
    rays, origin = turned(rays, camera.pose), camera.pose[:3, 3]
    distance, face = caster.first_hit(origin, rays)
    hit = (face >= 0) & (distance * depth_per_metre <= FAR)
    color = np.empty((height * width, 3), dtype=np.float32)
    lit = np.zeros(height * width, dtype=bool)
    pixel = 1.0 / camera.intrinsics[0, 0]
    color[hit], lit[hit] = shaded(world, caster, origin, rays[hit], distance[hit], face[hit], pixel)
    color[~hit] = sky(world.light, rays[~hit])
    shape = (height, width)
    return {
        "image": exposed(color.reshape(height, width, 3), world.light.exposure, noise),
        "labels": np.where(hit, world.labels[face], -1).reshape(shape),
        "material": np.where(hit, world.material_of[face], -1).reshape(shape),
        "depth": np.where(hit, distance * depth_per_metre, 0).astype(np.float32).reshape(shape),
        "lit": lit.reshape(shape),
    }


def pixel_rays(intrinsics: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (H · W, 3) through the centres of all pixels, and how much depth each gains per metre (H · W,)."""
    rays = geometry.back_project(np.ones(size), intrinsics).reshape(-1, 3)
    length = np.sqrt(np.einsum("ri,ri->r", rays, rays))
    return rays / length[:, None], 1.0 / length
