"""Rigid transforms of the tables: a translation and a quaternion (w, x, y, z), in float64."""

from __future__ import annotations

import numpy as np


def rotation_matrix(quaternion: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) of a quaternion (w, x, y, z), normalised first; NaN for the quaternion 0.

    ``R = (w² - v·v) I + 2 v vᵀ + 2 w [v]×`` with v = (x, y, z), of unit length together with w.
    """
    with np.errstate(invalid="ignore"):
        w, x, y, z = np.asarray(quaternion, dtype=np.float64) / np.linalg.norm(quaternion)
    v = np.array([x, y, z])
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return (w * w - v @ v) * np.eye(3) + 2.0 * np.outer(v, v) + 2.0 * w * cross


def rigid(pose: np.ndarray) -> np.ndarray:
    """Matrix (4, 4) of a pose (7,): translation (x, y, z) and quaternion (w, x, y, z)."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_matrix(pose[3:])
    matrix[:3, 3] = pose[:3]
    return matrix


def inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a rigid transform (4, 4): ``[Rᵀ | -Rᵀ t]``."""
    result = np.eye(4)
    result[:3, :3] = matrix[:3, :3].T
    result[:3, 3] = -matrix[:3, :3].T @ matrix[:3, 3]
    return result
