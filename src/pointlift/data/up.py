"""Up: which axis of a frame points up, and all that follows from it. Nothing else in the package knows a table of axes.

Seen from above, angles about the up axis grow counter-clockwise: from the first horizontal axis towards the second.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar, get_args

import numpy as np

UpAxis = Literal["x", "y", "z", "-x", "-y", "-z"]
"""The axis of a frame that points up; ``-y`` is a camera's frame, whose y axis points down."""
UP_AXES: tuple[UpAxis, ...] = get_args(UpAxis)
Rows = TypeVar("Rows", bound=Any)  # an array or a tensor

_HORIZONTAL: dict[UpAxis, tuple[int, int]] = {
    "x": (1, 2),
    "y": (2, 0),
    "z": (0, 1),
    "-x": (2, 1),
    "-y": (0, 2),
    "-z": (1, 0),
}
# Rows: forward, left and up in the points' frame; of a camera's (up is -y), forward is where it looks.
_UPRIGHT: dict[UpAxis, tuple[tuple[int, int, int], ...]] = {
    "x": ((0, 1, 0), (0, 0, 1), (1, 0, 0)),
    "y": ((0, 0, 1), (1, 0, 0), (0, 1, 0)),
    "z": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "-x": ((0, 0, 1), (0, 1, 0), (-1, 0, 0)),
    "-y": ((0, 0, 1), (-1, 0, 0), (0, -1, 0)),
    "-z": ((0, 1, 0), (1, 0, 0), (0, 0, -1)),
}


def horizontal_axes(up_axis: UpAxis) -> tuple[int, int]:
    """The other two axes, such that first x second = up: (0, 1) for z, (0, 2) for -y."""
    return _HORIZONTAL[up_axis]


def up_vector(up_axis: UpAxis) -> np.ndarray:
    """The direction (3,) float64 that points up."""
    vector = np.zeros(3)
    vector["xyz".index(up_axis[-1])] = -1.0 if up_axis.startswith("-") else 1.0
    return vector


def heights(points: Rows, up_axis: UpAxis) -> Rows:
    """The coordinate (N,) of points (N, 3), an array or a tensor, along the up axis: it grows upwards."""
    column = points[:, "xyz".index(up_axis[-1])]
    return -column if up_axis.startswith("-") else column


def upright_rotation(up_axis: UpAxis) -> np.ndarray:
    """The rotation (3, 3) float64 to axes of which x points forward, y to the left and z up.

    Of a camera's frame (-y), forward is where the camera looks; of the others it is a horizontal axis.
    """
    return np.array(_UPRIGHT[up_axis], dtype=np.float64)


def axes_about(up_axis: UpAxis) -> np.ndarray:
    """Rows (3, 3) float64: the first horizontal axis, the second, and up; right-handed."""
    first, second = horizontal_axes(up_axis)
    return np.stack([np.eye(3)[first], np.eye(3)[second], up_vector(up_axis)])


def rotation_about(up_axis: UpAxis, angle: float) -> np.ndarray:
    """The rotation (3, 3) float64 about the up axis by an angle in radians, counter-clockwise seen from above."""
    a, b = horizontal_axes(up_axis)
    matrix = np.eye(3)
    matrix[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
    return matrix
