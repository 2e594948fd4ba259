"""Pinhole camera geometry: pure functions of arrays, in float64, where integer pixel coordinates are pixel centres.

The camera frame has x to the right, y down and z forward; an image of width W covers u in [-0.5, W - 0.5).
"""

from __future__ import annotations

import numpy as np


def transform(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (N, 3) moved by an affine 4 x 4 matrix, as float64 (N, 3)."""
    return _multiply(np.asarray(points, dtype=np.float64), matrix[:3, :3]) + matrix[:3, 3]


def project(
    points: np.ndarray, intrinsics: np.ndarray, camera_from_points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where points fall in the image, and how far in front of the camera they are.

    ``(u, v, 1)ᵀ = K · [R | t] · (x, y, z, 1)ᵀ / depth`` where the depth is the camera's z (Hartley & Zisserman,
    *Multiple View Geometry*, 2nd ed., section 6.1).

    Args:
        points: (N, 3), metres.
        intrinsics: K (3, 3) with last row 0 0 1.
        camera_from_points: (4, 4).

    Returns:
        Pixels (N, 2) float64 as (u, v), NaN for points that are not in front of the camera, and depth (N,) in metres.
    """
    camera_points = transform(camera_from_points, points)
    depth = camera_points[:, 2].copy()
    divisor = np.where(depth > 0, depth, np.nan)
    return _multiply(camera_points / divisor[:, None], intrinsics[:2]), depth


def _multiply(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """``rows @ matrix.T`` without BLAS, whose threads cost more than 3 x 3 products save where cores are shared."""
    return np.einsum("ni,ji->nj", rows, matrix)


def in_image(pixels: np.ndarray, size: tuple[int, int], border: float = 0.0) -> np.ndarray:
    """Mask (N,) of the pixels inside an image of ``size`` (height, width), at least ``border`` pixels from its edge.

    Inside means -0.5 + border <= u < width - 0.5 - border, and likewise v; NaN is outside.
    """
    height, width = size
    u, v = pixels[:, 0], pixels[:, 1]
    low = border - 0.5
    return (u >= low) & (u < width - 0.5 - border) & (v >= low) & (v < height - 0.5 - border)


def unoccluded(
    pixels: np.ndarray, depth: np.ndarray, size: tuple[int, int], tolerance: float = 0.1, radius: int = 3
) -> np.ndarray:
    """Mask (N,) of the points that no clearly nearer point covers, by a z-buffer.

    A LiDAR sees a little behind what the camera sees, because it sits elsewhere: such points would be given the
    features of the object in front of them. Points are much sparser than pixels, so each one covers a square of
    pixels around itself.

    Args:
        pixels: (N, 2) as (u, v), all inside the image.
        depth: (N,) metres, positive.
        size: (height, width).
        tolerance: a point is dropped when it lies more than this fraction farther than the nearest point of its
            neighbourhood (0.1: a point at 11 m stays beside one at 10 m). Too small a value thins out surfaces that
            are seen at a grazing angle.
        radius: the neighbourhood is the square of 2 radius + 1 pixels around the point.
    """
    height, width = size
    column, row = np.floor(pixels.T + 0.5).astype(np.int64)
    nearest = np.full((height, width), np.inf)
    np.minimum.at(nearest, (row, column), depth)
    for axis in (0, 1):  # the minimum over a square is the minimum of the minima of its rows
        nearest = _running_minimum(nearest, radius, axis)
    return depth <= (1.0 + tolerance) * nearest[row, column]


def _running_minimum(values: np.ndarray, radius: int, axis: int) -> np.ndarray:
    padding = [(radius, radius) if a == axis else (0, 0) for a in (0, 1)]
    padded = np.pad(values, padding, constant_values=np.inf)
    length = values.shape[axis]
    result = values
    for shift in range(2 * radius + 1):
        window = padded[shift : shift + length] if axis == 0 else padded[:, shift : shift + length]
        result = np.minimum(result, window)
    return result


def back_project(depth: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Points (H, W, 3) float64 in the camera frame of a depth image (H, W) in metres along the camera's z axis.

    Pixels without depth (0, NaN or infinity) become NaN.
    """
    height, width = depth.shape
    v, u = np.mgrid[0:height, 0:width].astype(np.float64)
    rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(intrinsics).T  # (H, W, 3), z = 1
    distance = np.asarray(depth, dtype=np.float64)
    return rays * np.where(np.isfinite(distance) & (distance > 0), distance, np.nan)[..., None]


def resize_pixels(pixels: np.ndarray, size: tuple[int, int], new_size: tuple[int, int]) -> np.ndarray:
    """Pixels (P, 2) of an image of ``size`` (height, width) once it is resized to ``new_size``.

    ``u' = (u + 0.5) · width' / width - 0.5``, so that the outer edges of the images stay on each other.
    """
    scale = np.array([new_size[1] / size[1], new_size[0] / size[0]])
    return (pixels + 0.5) * scale - 0.5
