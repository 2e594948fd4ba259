"""Rigid transforms of the tables: a translation and a quaternion (w, x, y, z), in float64."""

from __future__ import annotations

import numpy as np

from pointlift.data.formats.matrices import quaternion_rotation


def rigid(pose: np.ndarray) -> np.ndarray:
    """Matrix (4, 4) of a pose (7,): translation (x, y, z) and quaternion (w, x, y, z)."""
    matrix = np.eye(4)
    matrix[:3, :3] = quaternion_rotation(pose[3:])
    matrix[:3, 3] = pose[:3]
    return matrix


def inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a rigid transform (4, 4): ``[Rᵀ | -Rᵀ t]``."""
    result = np.eye(4)
    result[:3, :3] = matrix[:3, :3].T
    result[:3, 3] = -matrix[:3, :3].T @ matrix[:3, 3]
    return result
