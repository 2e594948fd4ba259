"""Scene: the one data contract. Every data set yields Scenes, and everything downstream reads only Scenes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from pointlift.data import camera
from pointlift.errors import DataError

# Rows: forward, left and up in the points' frame; of a camera's (up is -y), forward is where it looks.
_UPRIGHT = {
    "x": ((0, 1, 0), (0, 0, 1), (1, 0, 0)),
    "y": ((0, 0, 1), (1, 0, 0), (0, 1, 0)),
    "z": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "-x": ((0, 0, 1), (0, 1, 0), (-1, 0, 0)),
    "-y": ((0, 0, 1), (-1, 0, 0), (0, -1, 0)),
    "-z": ((0, 1, 0), (1, 0, 0), (0, 0, -1)),
}
RIGID_TOLERANCE = 1e-3  # calibration files print rotations to as few as four digits


class Pairs(NamedTuple):
    """Which point is seen at which pixel of which view.

    ``point_index (P,)`` int64, ``view_index (P,)`` int64, ``pixels (P, 2)`` float32 as (u, v) where integers are pixel
    centres: u to the right in [-0.5, width - 0.5), v down in [-0.5, height - 0.5).
    """

    point_index: np.ndarray
    view_index: np.ndarray
    pixels: np.ndarray

    def take(self, chosen: np.ndarray) -> Pairs:
        """The pairs that a boolean mask (P,) or an index array chooses."""
        return Pairs(self.point_index[chosen], self.view_index[chosen], self.pixels[chosen])

    def keep_points(self, kept: np.ndarray) -> Pairs:
        """The pairs after a scene kept only the points of the boolean mask ``kept (N,)``, renumbered."""
        renumbered = np.cumsum(kept) - 1
        pairs = self.take(kept[self.point_index])
        return pairs._replace(point_index=renumbered[pairs.point_index])

    def per_view(self, views: int) -> np.ndarray:
        """Number of pairs (views,) of each view."""
        return np.bincount(self.view_index, minlength=views)


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

    @property
    def path(self) -> Path | None:
        """The image file, or None for an image that was given as an array."""
        return None if isinstance(self.source, np.ndarray) else Path(self.source)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the image; of a file only the header is read."""
        if isinstance(self.source, np.ndarray):
            return self.source.shape[0], self.source.shape[1]
        with _open_image(self.source) as image:
            return image.height, image.width

    @property
    def image(self) -> np.ndarray:
        """The image (H, W, 3) uint8 RGB as stored: an orientation tag is ignored, as calibrations ignore it."""
        if isinstance(self.source, np.ndarray):
            return self.source
        with _open_image(self.source) as image:
            if image.mode.startswith(("I", "F")):
                raise DataError(f"{self.source}: the image has more than 8 bits per channel (mode {image.mode})")
            try:
                return np.array(image.convert("RGB"))
            except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, zlib.error, …
                raise DataError(f"{self.source}: the image cannot be decoded ({error})") from error

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (N, 2) float64 (NaN behind the camera) and depth (N,) float64 of points (N, 3)."""
        return camera.project(points, self.intrinsics, self.camera_from_points)

    def validate(self, where: str = "view") -> None:
        """Raise a `DataError` that begins with ``where`` unless the camera is one that can have taken the image.

        An image file that is absent is not an error until the image is needed.
        """
        where = f"{where}: view '{self.name}'"
        _check_array(where, "intrinsics", self.intrinsics, (3, 3), np.float64)
        _check_array(where, "camera_from_points", self.camera_from_points, (4, 4), np.float64)
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
        # Cropped images can have their principal point outside, but not by a whole image: that is another camera's K,
        # K of another resolution, or rows swapped with columns.
        height, width = self.size
        cx, cy = self.intrinsics[:2, 2]
        if not (-width <= cx <= 2 * width and -height <= cy <= 2 * height):
            raise DataError(
                f"{where}: the principal point ({cx:.1f}, {cy:.1f}) does not belong to an image of "
                f"{width} x {height} pixels{f' ({self.path})' if self.path else ''}"
            )


@dataclass(eq=False)
class Scene:
    """One scan, room or object: points, what is known of each, and the images that see them.

    Args:
        points: (N, 3) float32, metres, in the sensor frame.
        features: (N, F) float32: intensity in [0, 1], colour, …; the data set names them.
        views: the images.
        labels: (N,) int64 class of each point, -1 to ignore; None where there are none.
        id: names the scene in its data set, such as ``00/000003``.
        instances: (N,) int64.
        boxes: (B, 7) float64, one row per box: its centre x, y, z, its length, width and height in metres, and its yaw
            about the up axis in radians, from x towards y; in the frame of the points.
        box_labels: (B,) int64 class of each box among the ``box_names`` of the data set, -1 for none of them.
        object_class: class of the whole scene, for object clouds.
        up_axis: the axis of the points' frame that points up: x, y or z, or -y, as in a camera's frame, and so on.
        files: field name (points, labels, views, …) to the file it came from, for messages.
        dropped: number of points that were removed: returns from the ego vehicle, or points without a colour.
    """

    points: np.ndarray
    features: np.ndarray
    views: list[View] = field(default_factory=list)
    labels: np.ndarray | None = None
    id: str = "scene"
    instances: np.ndarray | None = None
    boxes: np.ndarray | None = None
    box_labels: np.ndarray | None = None
    object_class: int | None = None
    up_axis: str = "z"
    files: dict[str, Path] = field(default_factory=dict)
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.points)

    def validate(self) -> Scene:
        """This scene, or a `DataError` that names the file (or the scene's id) and the field that is wrong."""
        if not isinstance(self.points, np.ndarray) or self.points.ndim != 2 or len(self.points) == 0:
            raise DataError(f"{self._where('points')}: there are no points")
        N = len(self.points)
        _check_array(self._where("points"), "points", self.points, (N, 3), np.float32)
        width = self.features.shape[1] if np.ndim(self.features) == 2 else -1
        _check_array(self._where("features"), "features", self.features, (N, width), np.float32)
        for name, lowest in (("labels", -1), ("instances", None)):
            values = getattr(self, name)
            if values is not None:
                _check_array(self._where(name), name, values, (N,), np.int64)
                if lowest is not None and values.min() < lowest:
                    raise DataError(f"{self._where(name)}: {name} must be >= {lowest}, not {values.min()}")
        self._validate_boxes()
        if self.up_axis not in _UPRIGHT:
            raise DataError(
                f"{self._where('up_axis')}: up_axis must be x, y or z, or that with a minus, not '{self.up_axis}'"
            )
        self._validate_views()
        return self

    def _validate_boxes(self) -> None:
        boxes, labels = self.boxes, self.box_labels
        count = len(boxes) if isinstance(boxes, np.ndarray) and boxes.ndim else 0
        if boxes is not None:
            _check_array(self._where("boxes"), "boxes", boxes, (count, 7), np.float64)
            if (boxes[:, 3:6] <= 0).any():
                row = np.flatnonzero((boxes[:, 3:6] <= 0).any(axis=1))[0]
                raise DataError(f"{self._where('boxes')}: box {row} has a length, width or height that is not positive")
        if labels is not None:
            _check_array(self._where("box_labels"), "box_labels", labels, (count,), np.int64)
            if count and labels.min() < -1:
                raise DataError(f"{self._where('box_labels')}: box_labels must be >= -1, not {labels.min()}")

    def _validate_views(self) -> None:
        names = [view.name for view in self.views]
        if len(set(names)) < len(names):
            raise DataError(f"{self._where('views')}: the names of the views must differ: {', '.join(names)}")
        for view in self.views:
            view.validate(self._where("views"))

    def _where(self, name: str) -> str:
        return str(self.files.get(name, f"scene {self.id}"))

    def pairs(
        self,
        min_depth: float = 1.0,
        border: float = 1.0,
        occlusion: float | None = None,
        occlusion_radius: int = 3,
    ) -> Pairs:
        """Every point that a view sees, with the pixel that sees it, ordered by view and then by point.

        Args:
            min_depth: only points farther in front of the camera than this, metres.
            border: only pixels at least this far from the edge of the image.
            occlusion: drop points hidden behind others: the tolerance of `camera.unoccluded`, such as 0.1.
            occlusion_radius: its neighbourhood in pixels.

        Raises:
            DataError: an image file is missing or has no readable header.
        """
        found = [Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 2), np.float32))]
        for view_index, view in enumerate(self.views):
            size = view.size
            pixels, depth = view.project(self.points)
            pixels = pixels.astype(np.float32)  # before the test: rounding must not carry a pixel over the edge
            point_index = np.flatnonzero((depth > min_depth) & camera.in_image(pixels, size, border))
            if occlusion is not None:
                seen = camera.unoccluded(pixels[point_index], depth[point_index], size, occlusion, occlusion_radius)
                point_index = point_index[seen]
            found.append(Pairs(point_index, np.full(len(point_index), view_index), pixels[point_index]))
        return Pairs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))

    def upright(self) -> Scene:
        """The scene in axes of which z points up, with its views, but without boxes; itself if they already are so."""
        if self.up_axis == "z":
            return self
        turn = np.eye(4)
        turn[:3, :3] = _UPRIGHT[self.up_axis]
        return replace(
            self,
            points=self.points @ turn[:3, :3].T.astype(np.float32),
            views=[replace(view, camera_from_points=view.camera_from_points @ turn.T) for view in self.views],
            boxes=None,
            box_labels=None,
            up_axis="z",
        )

    def select(self, kept: np.ndarray) -> Scene:
        """The scene with only the points that a boolean mask (N,) or an index array chooses."""
        return replace(
            self,
            points=self.points[kept],
            features=self.features[kept],
            labels=None if self.labels is None else self.labels[kept],
            instances=None if self.instances is None else self.instances[kept],
        )


def _open_image(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: the image file is missing") from error
    except Exception as error:  # UnidentifiedImageError, DecompressionBombError, SyntaxError of a broken header, …
        raise DataError(f"{path}: the image cannot be decoded ({error})") from error


def _check_array(where: str, name: str, value: np.ndarray, shape: tuple[int, ...], dtype: type) -> None:
    if not isinstance(value, np.ndarray) or value.shape != shape or value.dtype != dtype:
        wanted = ", ".join("F" if n < 0 else str(n) for n in shape)
        got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise DataError(f"{where}: {name} must be {np.dtype(dtype).name} ({wanted}), not {got}")
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        rows = np.flatnonzero(~np.isfinite(value).reshape(len(value), -1).all(axis=1))
        raise DataError(f"{where}: {name} has {len(rows)} rows with NaN or infinity, the first is row {rows[0]}")


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
