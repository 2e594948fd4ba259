"""View: one image and the camera that took it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pointlift.data import camera
from pointlift.data.arrays import check_array
from pointlift.data.formats.images import image_size, open_image
from pointlift.errors import DataError
from pointlift.files import unreadable

RIGID_TOLERANCE = 1e-3  # calibration files print rotations to as few as four digits
OFF_CENTRE = 0.3
"""Share of both sides of an image; a principal point nearer than that to a corner is that of another resolution."""
SAME_SHAPE = 0.02
"""Of the ratio of the sides of resized images: 1296 x 968 becomes 640 x 480."""


@dataclass(eq=False)
class View:
    """One image of a Scene and the camera that took it.

    Args:
        name: of the camera, unique in its scene.
        intrinsics: K (3, 3) float64 of the image as stored.
        camera_from_points: (4, 4) float64, from the frame of the points to the camera's (x right, y down, z forward);
            contains ego-motion between the two timestamps and any offset of the projection matrix.
        source: the image file, decoded on demand, or the image itself, uint8 (H, W, 3) RGB.
        depth: the depth image that belongs to it, if there is one.
    """

    name: str
    intrinsics: np.ndarray
    camera_from_points: np.ndarray
    source: Path | np.ndarray
    depth: Path | np.ndarray | None = None

    def __post_init__(self) -> None:
        # No field: what was measured says nothing of a view, and of its copies with another image it is wrong.
        self._measured: tuple[Path | np.ndarray, tuple[int, int]] | None = None

    @property
    def path(self) -> Path | None:
        """The image file, or None for an image that was given as an array."""
        return None if isinstance(self.source, np.ndarray) else Path(self.source)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the image; of a file only the header is read, once."""
        if isinstance(self.source, np.ndarray):
            return self.source.shape[0], self.source.shape[1]
        if self._measured is None or self._measured[0] is not self.source:
            self._measured = (self.source, image_size(self.source))
        return self._measured[1]

    @property
    def image(self) -> np.ndarray:
        """The image (H, W, 3) uint8 RGB as stored: an orientation tag is ignored, as calibrations ignore it."""
        if isinstance(self.source, np.ndarray):
            return self.source
        with open_image(self.source) as image:
            if image.mode.startswith(("I", "F")):
                raise DataError(f"{self.source}: the image has more than 8 bits per channel (mode {image.mode})")
            try:
                return np.array(image.convert("RGB"))
            except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, zlib.error, …
                raise DataError(unreadable(Path(self.source), "the image cannot be decoded", error)) from error

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (N, 2) float64 (NaN behind the camera) and depth (N,) float64 of points (N, 3)."""
        return camera.project(points, self.intrinsics, self.camera_from_points)

    def validate(self, where: str = "view") -> None:
        """Raise a `DataError` that begins with ``where`` unless the camera is one that can have taken the image.

        An image file that is absent is not an error until the image is needed.
        """
        where = f"{where}: view '{self.name}'"
        check_array(where, "intrinsics", self.intrinsics, (3, 3), np.float64)
        check_array(where, "camera_from_points", self.camera_from_points, (4, 4), np.float64)
        self._validate_intrinsics(where)
        _check_rigid(where, self.camera_from_points)
        if isinstance(self.source, np.ndarray) and (self.source.dtype != np.uint8 or self.source.shape[2:] != (3,)):
            raise DataError(f"{where}: the image must be uint8 (H, W, 3), not {self.source.dtype} {self.source.shape}")
        if self.path is None or self.path.exists():
            self._validate_size(where)

    def _validate_intrinsics(self, where: str) -> None:
        K = self.intrinsics
        if not np.array_equal(K[2], (0.0, 0.0, 1.0)):
            raise DataError(f"{where}: the last row of the intrinsics must be 0 0 1, not {K[2].tolist()}")
        if K[0, 0] <= 0 or K[1, 1] <= 0:
            raise DataError(f"{where}: the focal lengths must be positive, not {K[0, 0]:g} and {K[1, 1]:g}")
        if np.linalg.det(K) <= 1e-9 * K[0, 0] * K[1, 1]:
            raise DataError(f"{where}: the intrinsics are singular: {K.tolist()}")

    def _validate_size(self, where: str) -> None:
        check_principal_point(where, self.intrinsics, self.size, self.path)


def check_principal_point(where: str, intrinsics: np.ndarray, size: tuple[int, int], path: Path | None = None) -> None:
    """Raise a `DataError` unless intrinsics (3, 3) can be those of an image of ``size`` (height, width).

    Cropped images have their principal point anywhere, even outside. By a whole image: that is another camera's K, or
    rows swapped with columns. Far from the middle in both directions alike: that is K of another resolution.
    """
    (height, width), (cx, cy) = size, intrinsics[:2, 2]
    file = f" ({path})" if path else ""
    if not (-width <= cx <= 2 * width and -height <= cy <= 2 * height):
        raise DataError(
            f"{where}: the principal point ({cx:.1f}, {cy:.1f}) does not belong to an image of "
            f"{width} x {height} pixels{file}; give the intrinsics of images of this size"
        )
    x, y = (cx + 0.5) / width, (cy + 0.5) / height
    if min(x, y) > 1 - OFF_CENTRE or max(x, y) < OFF_CENTRE:
        raise DataError(
            f"{where}: the intrinsics, with the principal point ({cx:.1f}, {cy:.1f}), are those of images of about "
            f"{2 * cx + 1:.0f} x {2 * cy + 1:.0f} pixels, and the image has {width} x {height}{file}; use images of "
            "that size, or the intrinsics of images of this size"
        )


def fitted_intrinsics(intrinsics: np.ndarray, stated: tuple[int, int], size: tuple[int, int], where: str) -> np.ndarray:
    """Intrinsics (3, 3) of images of ``size`` (height, width), given those that the data keep beside a ``stated`` size.

    Where images were resized, as downloads and exporters do, the intrinsics are usually left as they were; they are
    scaled then. Those whose principal point is nearer the middle of the image as it is have been scaled already.

    Raises:
        DataError: the images have another shape than the stated size, so that they were cropped or are others.
    """
    if stated == size:
        return intrinsics
    if _off_centre(intrinsics, size) < _off_centre(intrinsics, stated):
        return intrinsics
    if abs(size[1] * stated[0] / (size[0] * stated[1]) - 1) > SAME_SHAPE:
        raise DataError(
            f"{where}: the image has {size[1]} x {size[0]} pixels and its intrinsics belong to {stated[1]} x "
            f"{stated[0]}, which is not the same picture at another size; use the images as they were recorded"
        )
    return camera.resize_intrinsics(intrinsics, stated, size)


def _off_centre(intrinsics: np.ndarray, size: tuple[int, int]) -> float:
    """How far the principal point is from the middle of an image of ``size``, as a factor of its sides."""
    middle = (2 * intrinsics[:2, 2] + 1) / (size[1], size[0])
    return float(np.abs(np.log(np.maximum(middle, 1e-3))).max())


def _check_rigid(where: str, matrix: np.ndarray) -> None:
    rotation = matrix[:3, :3]
    if not np.array_equal(matrix[3], (0.0, 0.0, 0.0, 1.0)):
        raise DataError(f"{where}: the last row of camera_from_points must be 0 0 0 1, not {matrix[3].tolist()}")
    deviation = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if deviation > RIGID_TOLERANCE:
        raise DataError(
            f"{where}: the rotation of camera_from_points is not orthonormal (R Rᵀ differs from I by {deviation:.2g})"
        )
    if np.linalg.det(rotation) < 0:
        raise DataError(f"{where}: the rotation of camera_from_points mirrors (its determinant is -1)")
