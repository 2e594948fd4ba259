"""Intrinsics and poses as text files hold them: tables of numbers, checked for what they are."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pointlift.errors import DataError
from pointlift.files import read_bytes

RIGID_TOLERANCE = 1e-2
"""Poses of hand-held scans come out of an optimisation and are printed with few digits."""
_NONZERO = re.compile(rb"[1-9]")


def read_matrix(path: Path) -> np.ndarray:
    """A table of numbers in a text file, as float64 (rows, columns)."""
    text = read_bytes(path).decode("latin-1").replace(",", " ")
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    try:
        table = [[_number(word) for word in row] for row in rows]
    except ValueError as error:
        raise DataError(f"{path}: the file is not a table of numbers ({error})") from error
    if not table or len({len(row) for row in table}) != 1:
        raise DataError(
            f"{path}: the file is not a matrix: its rows have {sorted({len(row) for row in table})} numbers"
        )
    return np.array(table)


def _number(word: str) -> float:
    """A number as C prints it: Microsoft's runtime has -1.#INF, 1.#QNAN and 1.#IND for what is not finite."""
    return math.nan if "#" in word else float(word)


def read_intrinsics(path: Path) -> np.ndarray:
    """K (3, 3) of a file with a 3 x 3 or 4 x 4 matrix, or with fx fy cx cy in one row."""
    return intrinsics(read_matrix(path), str(path))


def intrinsics(values: Sequence[float] | np.ndarray, where: str) -> np.ndarray:
    """K (3, 3) of fx fy cx cy, of 9 or 16 numbers, or of a 3 x 3 or 4 x 4 matrix."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.size == 4:
        fx, fy, cx, cy = numbers.ravel()
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    elif numbers.size in (9, 16):
        side = 3 if numbers.size == 9 else 4
        K = np.ascontiguousarray(numbers.reshape(side, side)[:3, :3])
    else:
        raise DataError(
            f"{where}: intrinsics are a 3 x 3 or 4 x 4 matrix or fx, fy, cx, cy, not {numbers.size} numbers"
        )
    if not np.isfinite(K).all() or not np.array_equal(K[2], (0, 0, 1)) or K[0, 0] <= 0 or K[1, 1] <= 0:
        raise DataError(f"{where}: these are not the intrinsics of a camera: {K.tolist()}")
    return K


def read_pose(path: Path) -> np.ndarray:
    """A rigid transform (4, 4) from a text file; a `DataError` says what is wrong with it."""
    if not path.is_file():
        raise DataError(f"{path}: the pose is missing")
    return rigid(read_matrix(path), str(path))


def is_lost(path: Path) -> bool:
    """Whether a pose file says that tracking was lost: it is empty, not finite, or all zeros; absent is an error."""
    if not path.is_file():
        raise DataError(f"{path}: the pose is missing")
    text = read_bytes(path).lower()
    if not text.strip():
        return True
    # Scans have thousands of them: only what looks like it is taken apart.
    suspect = any(word in text for word in (b"inf", b"nan", b"#")) or not _NONZERO.search(text)
    return suspect and lost(read_matrix(path))


def lost(values: np.ndarray) -> bool:
    """Whether the numbers of a pose are what recorders write where tracking was lost: not finite, or all zeros."""
    return not np.isfinite(values).all() or not values.any()


def quaternion_rotation(quaternion: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) of a quaternion (w, x, y, z), normalised first; NaN for the quaternion 0.

    ``R = (w² - v·v) I + 2 v vᵀ + 2 w [v]×`` with v = (x, y, z), of unit length together with w.
    """
    with np.errstate(invalid="ignore"):
        w, x, y, z = np.asarray(quaternion, dtype=np.float64) / np.linalg.norm(quaternion)
    v = np.array([x, y, z])
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return (w * w - v @ v) * np.eye(3) + 2.0 * np.outer(v, v) + 2.0 * w * cross


def rigid(values: Sequence[float] | np.ndarray, where: str) -> np.ndarray:
    """A rigid transform (4, 4) float64 of 16 numbers or a 4 x 4 matrix, its rotation made exactly orthonormal."""
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.shape == (16,):
        matrix = matrix.reshape(4, 4)
    if matrix.shape != (4, 4):
        raise DataError(f"{where}: a pose is a 4 x 4 matrix, not one of {' x '.join(map(str, matrix.shape))} numbers")
    if not np.isfinite(matrix).all():
        raise DataError(f"{where}: the pose is not finite, as where tracking was lost")
    rotation = matrix[:3, :3]
    deviation = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if np.abs(matrix[3] - (0, 0, 0, 1)).max() > 1e-6 or deviation > RIGID_TOLERANCE or np.linalg.det(rotation) < 0:
        raise DataError(
            f"{where}: the pose is not rigid (R Rᵀ differs from I by {deviation:.2g}, the determinant of R is "
            f"{np.linalg.det(rotation):.3g}, the last row is {matrix[3].tolist()})"
        )
    left, _, right = np.linalg.svd(rotation)
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = left @ right, matrix[:3, 3]
    return result
