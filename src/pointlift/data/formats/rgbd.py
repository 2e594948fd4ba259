"""RGB-D frames: depth images, matrices in text files, back-projection, and the colour that each point has.

The depth camera and the colour camera may be two cameras: each has its intrinsics, and a rigid transform takes points
from the one to the other. Points are in the depth camera's frame (x right, y down, z forward; metres).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from pointlift.data import camera
from pointlift.data.scene import Scene, View
from pointlift.errors import DataError
from pointlift.files import read_bytes

FEATURES = ("red", "green", "blue")
RIGID_TOLERANCE = 1e-2
"""Poses of hand-held scans come out of an optimisation and are printed with few digits."""


@dataclass(frozen=True, eq=False)
class DepthCode:
    """What the numbers of a depth image mean.

    Args:
        scale: the number that stands for one metre.
        invalid: numbers that stand for no reading.
        min_depth: metres; what is nearer is no reading, either.
        max_depth: metres; what is farther is none, either.
    """

    scale: float = 1000.0
    invalid: tuple[int, ...] = (0, 65535)
    min_depth: float = 0.1
    max_depth: float = 10.0

    def metres(self, raw: np.ndarray) -> np.ndarray:
        """Depth (H, W) float64 in metres of a depth image (H, W), 0 where there is none."""
        depth = raw / self.scale
        bad = (depth < self.min_depth) | (depth > self.max_depth)
        for value in self.invalid:
            bad |= raw == value
        depth[bad] = 0.0
        return depth


@dataclass(frozen=True, eq=False)
class Rig:
    """The two cameras of an RGB-D sensor.

    Args:
        depth: intrinsics (3, 3) of the depth images.
        color: intrinsics (3, 3) of the colour images; None: they are registered to the depth images, pixel on pixel.
        color_from_depth: rigid transform (4, 4) from the depth camera's frame to the colour camera's.
    """

    depth: np.ndarray
    color: np.ndarray | None = None
    color_from_depth: np.ndarray = field(default_factory=lambda: np.eye(4))

    @property
    def color_intrinsics(self) -> np.ndarray:
        """Intrinsics (3, 3) of the colour images."""
        return (self.depth if self.color is None else self.color).copy()

    @property
    def registered(self) -> bool:
        """Whether a pixel of the depth image and the same pixel of the colour image show the same thing."""
        same = self.color is None or np.array_equal(self.color, self.depth)
        return same and np.array_equal(self.color_from_depth, np.eye(4))


class Cloud(NamedTuple):
    """Points of one depth image: points (N, 3) float32, colours (N, 3) float32 in [0, 1], row and column (N,) in the
    depth image, and the number of points that were left out because the colour image does not show them."""

    points: np.ndarray
    colors: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    unseen: int


def back_project(depth: np.ndarray, intrinsics: np.ndarray, stride: int = 1) -> tuple[np.ndarray, ...]:
    """Points of the pixels that have a depth, as `camera.back_project` has them, of every ``stride``-th row and column.

    Args:
        depth: (H, W) metres, 0 for none.
        intrinsics: K (3, 3).
        stride: of the pixels.

    Returns:
        Points (N, 3) float64 in the camera's frame, and row (N,) and column (N,) of each.
    """
    rows, columns = np.nonzero(depth[::stride, ::stride])
    rows, columns = rows * stride, columns * stride
    distance = depth[rows, columns]
    inverse = np.linalg.inv(intrinsics)
    pixels = np.stack([columns, rows, np.ones_like(rows)], axis=1).astype(np.float64)
    return np.einsum("ni,ji->nj", pixels, inverse) * distance[:, None], rows, columns


def colored_cloud(depth: np.ndarray, image: np.ndarray, rig: Rig, stride: int = 1) -> Cloud:
    """The points of a depth image (H, W) in metres with the colours that a colour image (H', W', 3) uint8 gives them.

    Where the two are registered, a point has the colour of its own pixel. Elsewhere it is projected into the colour
    image, whose pixels are interpolated bilinearly; points that fall outside are left out and counted.
    """
    points, rows, columns = back_project(depth, rig.depth, stride)
    if rig.registered:
        colors = image[rows, columns].astype(np.float32) / np.float32(255)
        return Cloud(points.astype(np.float32), colors, rows, columns, 0)
    pixels, _ = camera.project(points, rig.color_intrinsics, rig.color_from_depth)
    seen = camera.in_image(pixels, image.shape[:2])
    colors = np.minimum(bilinear(image, pixels[seen]) / np.float32(255), 1)  # rounding can carry white over 1
    return Cloud(points[seen].astype(np.float32), colors, rows[seen], columns[seen], int((~seen).sum()))


def bilinear(image: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Values (N, C) float32 of an image (H, W, C) at pixels (N, 2) as (u, v); beyond the outer centres, the edge's."""
    height, width, channels = image.shape
    u, v = np.clip(pixels[:, 0], 0, width - 1), np.clip(pixels[:, 1], 0, height - 1)
    left, top = u.astype(np.int64), v.astype(np.int64)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    a, b = (u - left).astype(np.float32)[:, None], (v - top).astype(np.float32)[:, None]
    flat = image.reshape(-1, channels)
    upper = flat[top * width + left] * (1 - a) + flat[top * width + right] * a
    lower = flat[bottom * width + left] * (1 - a) + flat[bottom * width + right] * a
    return upper * (1 - b) + lower * b


def check_sizes(depth: tuple[int, int], color: tuple[int, int], rig: Rig, depth_file: Path, color_file: Path) -> None:
    """A `DataError` if registered images differ in (height, width)."""
    if depth != color and rig.registered:
        raise DataError(
            f"{depth_file}: the depth image has {depth[1]} x {depth[0]} pixels and the colour image {color_file} has "
            f"{color[1]} x {color[0]}; images of different size need the intrinsics of the colour camera, too"
        )


def frame_scene(
    raw: np.ndarray,
    view: View,
    rig: Rig,
    code: DepthCode,
    *,
    id: str,
    depth_file: Path,
    color_file: Path,
    stride: int = 1,
) -> tuple[Scene, Cloud]:
    """The Scene of one frame, without labels, and its cloud.

    Args:
        raw: the depth image (H, W) uint16.
        view: of the colour image.
        rig: the cameras.
        code: what the numbers of ``raw`` mean.
        id: of the scene.
        depth_file: where ``raw`` is from, for messages.
        color_file: where the colour image is from.
        stride: of the pixels.

    Raises:
        DataError: no pixel has a depth, or the sizes do not agree.
    """
    image = view.image
    check_sizes(raw.shape[:2], image.shape[:2], rig, depth_file, color_file)
    depth = code.metres(raw)
    if not depth[::stride, ::stride].any():
        raise DataError(
            f"{depth_file}: the frame has no points: none of its {raw.size:,} pixels has a depth between "
            f"{code.min_depth:g} and {code.max_depth:g} m ({int(np.isin(raw, code.invalid).sum()):,} have no reading)"
        )
    cloud = colored_cloud(depth, image, rig, stride)
    if len(cloud.points) == 0:
        raise DataError(f"{depth_file}: none of the points is in the colour image; check the colour camera's matrices")
    files = {"points": depth_file, "features": color_file, "views": color_file}
    scene = Scene(cloud.points, cloud.colors, [view], id=id, up_axis="-y", files=files, dropped=cloud.unseen)
    return scene, cloud


def read_depth(path: Path) -> np.ndarray:
    """A depth image (H, W) uint16 as stored; a `DataError` if it does not have 16 bits per pixel."""
    image = _open(path)
    if not image.mode.startswith("I"):
        raise DataError(f"{path}: a depth image has 16 bits per pixel and one channel, not the mode {image.mode}")
    values = _decoded(image, path)
    if values.dtype != np.uint16 and (values.min() < 0 or values.max() > 65535):
        raise DataError(f"{path}: a depth image has 16 bits per pixel; this one has values up to {values.max()}")
    return values.astype(np.uint16)


def may_be_empty(path: Path, size: tuple[int, int]) -> bool:
    """Whether the file of a depth image of this (height, width) is so small that it may hold no reading.

    The bound is half a bit a pixel and 1 KiB: a compressed image without a reading has about a fifth of that at most,
    a sensor's real one more than twice as much.
    """
    try:
        return path.stat().st_size < size[0] * size[1] // 16 + 1024
    except OSError:
        return True


def read_label_image(path: Path, size: tuple[int, int]) -> np.ndarray:
    """A label image (H, W) int64 of the size of the depth image; palettes are read as their indices."""
    image = _open(path)
    if image.mode not in ("L", "P", "1") and not image.mode.startswith("I"):
        raise DataError(f"{path}: a label image has one channel of whole numbers, not the mode {image.mode}")
    values = _decoded(image, path)
    if values.shape != size:
        raise DataError(
            f"{path}: the label image has {values.shape[1]} x {values.shape[0]} pixels and the depth image "
            f"{size[1]} x {size[0]}"
        )
    return values.astype(np.int64)


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) of an image file, from its header."""
    with _open(path) as image:
        return image.height, image.width


def read_matrix(path: Path) -> np.ndarray:
    """A table of numbers in a text file, as float64 (rows, columns)."""
    text = read_bytes(path).decode("latin-1").replace(",", " ")
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    try:
        table = [[float(word) for word in row] for row in rows]
    except ValueError as error:
        raise DataError(f"{path}: the file is not a table of numbers ({error})") from error
    if not table or len({len(row) for row in table}) != 1:
        raise DataError(
            f"{path}: the file is not a matrix: its rows have {sorted({len(row) for row in table})} numbers"
        )
    return np.array(table)


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


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts learn2 before learn10."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def held_out(count: int, split: str, size: int, gap: int, block: int = 0) -> list[int]:
    """The frames of a split of a sequence of ``count``.

    ``val`` is a block of ``size`` neighbouring frames, counted from the end: block 0 is the last, 1 that before it.
    ``train`` is what lies more than ``gap`` frames before or after it.
    """
    last = max(count - block * size, 0)
    val = range(max(last - size, 0), last)
    near = range(val.start - gap, val.stop + gap) if block == 0 or val else range(0)
    return list({"train": [i for i in range(count) if i not in near], "val": val, "all": range(count)}[split])


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: the image file is missing") from error
    except Exception as error:  # UnidentifiedImageError, SyntaxError of a broken header, …
        raise DataError(f"{path}: the image cannot be decoded ({error})") from error


def _decoded(image: Image.Image, path: Path) -> np.ndarray:
    try:
        with image:
            return np.array(image)
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, zlib.error, …
        raise DataError(f"{path}: the image cannot be decoded ({error})") from error
