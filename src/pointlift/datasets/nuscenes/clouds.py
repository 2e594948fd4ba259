"""Files of one scan: its points, which of them the vehicle itself returned, and their lidarseg classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pointlift.errors import DataError
from pointlift.files import read_bytes

COLUMNS = ("x", "y", "z", "intensity", "ring")


def read_cloud(path: Path) -> np.ndarray:
    """Points (N, 5) float32 of a .pcd.bin file: x, y, z, intensity (0 to 255), ring."""
    data = read_bytes(path)
    if not data:
        raise DataError(f"{path}: the file is empty, there are no points")
    if len(data) % 20:
        raise DataError(
            f"{path}: the scan is truncated: {len(data)} bytes are not a multiple of 20 ({', '.join(COLUMNS)} as "
            "float32)"
        )
    cloud = np.frombuffer(data, dtype="<f4").astype(np.float32, copy=False).reshape(-1, len(COLUMNS))
    broken = np.flatnonzero(~np.isfinite(cloud[:, :4]).all(axis=1))
    if len(broken):
        raise DataError(f"{path}: points has {len(broken)} rows with NaN or infinity, the first is row {broken[0]}")
    return cloud


def outside(points: np.ndarray, radius: float) -> np.ndarray:
    """Mask (N,) of the points that the vehicle did not return: |x| or |y| is at least ``radius``, as in the devkit."""
    return (np.abs(points[:, :2]) >= radius).any(axis=1)


def read_labels(path: Path, points: int, learning_map: np.ndarray) -> np.ndarray:
    """Classes (N,) int64 of a lidarseg file, one byte per point, through `classes.learning_map`."""
    data = read_bytes(path)
    if len(data) != points:
        raise DataError(f"{path}: there are {len(data)} labels for {points} points")
    raw = np.frombuffer(data, dtype=np.uint8)
    labels = learning_map[raw]
    if labels.min() < -1:
        first = int(np.flatnonzero(labels < -1)[0])
        raise DataError(f"{path}: label {raw[first]} of point {first} is not an id of nuScenes-lidarseg")
    return labels
