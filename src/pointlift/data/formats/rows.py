"""Rows of float32 without a header: KITTI's .bin and nuScenes' .pcd.bin."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pointlift.errors import DataError


def parse_kitti(data: bytes, path: Path) -> dict[str, np.ndarray]:
    """The columns x, y, z and intensity, each (N,) float32.

    Args:
        data: the content of the file.
        path: its name, for messages.

    Raises:
        DataError: the size of the file is not that of whole rows.
    """
    return _rows(data, path, ("x", "y", "z", "intensity"), other=("nuScenes' five are read from names in .pcd.bin", 20))


def parse_nuscenes(data: bytes, path: Path) -> dict[str, np.ndarray]:
    """The columns x, y, z, intensity (0 to 255) and ring, each (N,) float32; arguments and errors as `parse_kitti`."""
    return _rows(data, path, ("x", "y", "z", "intensity", "ring"), other=("KITTI's four are read from .bin", 16))


def _rows(data: bytes, path: Path, names: tuple[str, ...], other: tuple[str, int]) -> dict[str, np.ndarray]:
    width = 4 * len(names)
    if len(data) % width:
        hint = f"; {other[0]}" if len(data) % other[1] == 0 else ""
        raise DataError(
            f"{path}: the scan is truncated or has other columns: {len(data)} bytes are not a multiple of {width} "
            f"({', '.join(names)} as float32){hint}"
        )
    table = np.frombuffer(data, "<f4").reshape(-1, len(names))
    return {name: table[:, column] for column, name in enumerate(names)}
