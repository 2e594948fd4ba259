"""The keyframes of some scenes, as compact arrays: which file, time, pose and calibration every sensor has in each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pointlift.datasets.nuscenes import poses

LIDAR = "LIDAR_TOP"


class Records(NamedTuple):
    """Files of sensors: relative path (R,) bytes, time (R,) µs, row of the pose and of the calibration (R,), and the
    (height, width) that images were recorded with (R, 2), 0 where it is not said."""

    filename: np.ndarray
    timestamp: np.ndarray
    pose: np.ndarray
    calibration: np.ndarray
    size: np.ndarray


@dataclass(frozen=True, eq=False)
class Index:
    """Keyframes ordered by scene, as scene.json lists them, and by time.

    Args:
        scenes: names of the scenes.
        scene: (n,) the scene of each keyframe.
        start: (n,) the first keyframe of the same scene.
        tokens: (n,) bytes, of the samples.
        labels: (n,) bytes, relative paths of the lidarseg files, empty where there is none.
        slots: for each channel (n,) the row of `records`.
        records: what sample_data.json says of the files.
        sweeps: (S,) rows of `records`: every scan of the LiDAR, keyframe or not, ordered as the keyframes; or None.
        sweep_scene: (S,) the scene of each of them.
        poses: (P, 7) of the vehicle in the world: translation and quaternion.
        mounts: (C, 7) of the sensors on the vehicle.
        intrinsics: (C, 3, 3), NaN for sensors that are no cameras.
    """

    scenes: tuple[str, ...]
    scene: np.ndarray
    start: np.ndarray
    tokens: np.ndarray
    labels: np.ndarray
    slots: dict[str, np.ndarray]
    records: Records
    sweeps: np.ndarray | None
    sweep_scene: np.ndarray | None
    poses: np.ndarray
    mounts: np.ndarray
    intrinsics: np.ndarray

    def __len__(self) -> int:
        return len(self.scene)

    def file(self, record: int) -> str:
        """Path of the file, relative to the root."""
        return self.records.filename[record].decode()

    def global_from_sensor(self, record: int) -> np.ndarray:
        """(4, 4), from the sensor's frame to the world's at the time of the record."""
        return poses.rigid(self.poses[self.records.pose[record]]) @ poses.rigid(
            self.mounts[self.records.calibration[record]]
        )

    def earlier_sweeps(self, frame: int, count: int) -> np.ndarray:
        """Records of up to ``count`` scans before keyframe ``frame`` in its scene, the latest first."""
        assert self.sweeps is not None
        assert self.sweep_scene is not None
        low, high = np.searchsorted(self.sweep_scene, (self.scene[frame], self.scene[frame] + 1))
        own = self.sweeps[low:high]
        before = int(np.searchsorted(self.records.timestamp[own], self.records.timestamp[self.slots[LIDAR][frame]]))
        return own[max(0, before - count) : before][::-1]
