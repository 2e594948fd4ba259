"""The ego vehicle: what its sensors are, where they sit on it, and what they see of a street."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pointlift.worlds.engine.cameras import Camera
from pointlift.worlds.engine.world import World
from pointlift.worlds.street.classes import EGO

LIDAR_HEIGHT = 1.9
"""Metres above the ego vehicle's origin; the LiDAR's axes are the vehicle's."""
CAMERAS: dict[str, tuple[float, tuple[float, float, float]]] = {
    "front": (0.0, (1.0, 0.0, 1.6)),
    "left": (90.0, (0.4, 0.6, 1.6)),
    "right": (-90.0, (0.4, -0.6, 1.6)),
    "rear": (180.0, (-0.8, 0.0, 1.6)),
}
"""Name to azimuth, degrees from x towards y, and position in the ego frame, metres."""
CAMERA_PITCH = 5.0  # degrees downward
FIELD_OF_VIEW = 90.0  # degrees, horizontal


@dataclass(frozen=True)
class Moment(World):
    """One moment of a street; world frame x east, y north, z up, metres; the ego vehicle's triangles have label `EGO`.

    Attributes:
        world_from_ego: (4, 4) float64 pose of the ego vehicle: origin on the road below the LiDAR, x forward, y left.
    """

    world_from_ego: np.ndarray

    @property
    def world_from_lidar(self) -> np.ndarray:
        """Pose (4, 4) float64 of the LiDAR."""
        pose = self.world_from_ego.copy()
        pose[:3, 3] += LIDAR_HEIGHT * pose[:3, 2]
        return pose

    def split(self) -> tuple[Moment, Moment]:
        """The street without the ego vehicle, which its sensors see, and the ego vehicle alone."""
        own = self.labels == EGO
        return self._only(~own), self._only(own)

    def _only(self, kept: np.ndarray) -> Moment:
        return replace(
            self,
            faces=self.faces[kept],
            labels=self.labels[kept],
            instances=self.instances[kept],
            material_of=self.material_of[kept],
        )


def camera(name: str, size: tuple[int, int]) -> Camera:
    """The camera of that name in `CAMERAS`, mounted on the ego vehicle, with images of ``size`` (height, width)."""
    azimuth, position = CAMERAS[name]
    height, width = size
    focal = 0.5 * width / np.tan(np.radians(0.5 * FIELD_OF_VIEW))
    intrinsics = np.array([[focal, 0, 0.5 * (width - 1)], [0, focal, 0.5 * (height - 1)], [0, 0, 1]])
    turn, pitch = np.radians(azimuth), np.radians(CAMERA_PITCH)
    level = np.array([np.cos(turn), np.sin(turn), 0.0])
    right = np.array([np.sin(turn), -np.cos(turn), 0.0])
    forward = np.cos(pitch) * level - np.array([0.0, 0.0, np.sin(pitch)])
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    matrix[:3, 3] = position
    return Camera(name, intrinsics, (height, width), matrix)


def camera_from_lidar(camera: Camera) -> np.ndarray:
    """(4, 4) float64: takes points of the LiDAR to the frame of a camera on the ego vehicle."""
    return camera.camera_from_points((0.0, 0.0, LIDAR_HEIGHT))
