"""The files of SemanticKITTI: scans, labels, calibrations and poses, each checked as it is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pointlift.datasets.semantickitti.classes import UNKNOWN, learning_map
from pointlift.errors import DataError
from pointlift.files import read_bytes


def read_points(path: Path) -> np.ndarray:
    """Rows x, y, z, intensity (N, 4) float32 of a scan."""
    data = read_bytes(path)
    if not data:
        raise DataError(f"{path}: the file is empty, there are no points")
    if len(data) % 16:
        raise DataError(
            f"{path}: the scan is truncated: {len(data)} bytes are not a multiple of 16 (x, y, z, intensity as float32)"
        )
    return np.frombuffer(data, dtype="<f4").astype(np.float32, copy=False).reshape(-1, 4)


def read_labels(path: Path, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes 0..18 (-1 to ignore) and instances, both (N,) int64: the lower and the upper 16 bits."""
    data = read_bytes(path)
    if len(data) != 4 * points:
        raise DataError(f"{path}: there are {len(data) / 4:g} labels for {points} points")
    raw = np.frombuffer(data, dtype="<u4")
    labels = learning_map()[raw & 0xFFFF]
    if (labels == UNKNOWN).any():
        first = int(np.flatnonzero(labels == UNKNOWN)[0])
        raise DataError(f"{path}: label {raw[first] & 0xFFFF} of point {first} is not an id of SemanticKITTI")
    return labels, (raw >> 16).astype(np.int64)


def read_calibration(path: Path, projection: str) -> dict[str, np.ndarray]:
    """The (3, 4) matrix of the camera, and Tr as (4, 4) from the LiDAR to camera 0."""
    rows = dict(line.split(":", 1) for line in read_bytes(path).decode("latin-1").splitlines() if ":" in line)
    matrices = {}
    for key in (projection, "Tr"):
        if key not in rows:
            raise DataError(f"{path}: the key '{key}' is missing; keys are: {', '.join(rows)}")
        matrices[key] = _matrix(rows[key], f"{path}: '{key}'")
    return {projection: matrices[projection], "Tr": np.vstack([matrices["Tr"], (0.0, 0.0, 0.0, 1.0)])}


def read_poses(path: Path) -> np.ndarray:
    """Poses (frames, 4, 4) of camera 0, from its frame at the time to its frame at the start."""
    lines = read_bytes(path).decode("latin-1").splitlines()
    rows = [_matrix(line, f"{path}: row {number}") for number, line in enumerate(lines) if line.strip()]
    bottom = np.broadcast_to([0.0, 0.0, 0.0, 1.0], (len(rows), 1, 4))
    return np.concatenate([np.reshape(rows, (-1, 3, 4)), bottom], axis=1)


def _matrix(text: str, where: str) -> np.ndarray:
    try:
        values = np.array(text.split(), dtype=np.float64)
    except ValueError as error:
        raise DataError(f"{where} is not a row of numbers: {text.strip()[:60]}") from error
    if values.shape != (12,) or not np.isfinite(values).all():
        raise DataError(f"{where} must have 12 finite numbers (3 x 4), not {values.size}: {text.strip()[:60]}")
    return values.reshape(3, 4)
