"""RGB-D frames as clouds: the two cameras of a sensor, back-projection, and the colour that each point has.

The depth camera and the colour camera may be two cameras: each has its intrinsics, and a rigid transform takes points
from the one to the other. Points are in the depth camera's frame (x right, y down, z forward; metres).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pointlift.data import camera
from pointlift.data.formats import matrices
from pointlift.data.formats.depth_images import DepthCode
from pointlift.data.scene import Scene, View
from pointlift.data.view import check_principal_point
from pointlift.errors import DataError

FEATURES = ("red", "green", "blue")


@dataclass(frozen=True, eq=False)
class Rig:
    """The two cameras of an RGB-D sensor.

    Args:
        depth: intrinsics (3, 3) of the depth images.
        color: intrinsics (3, 3) of the colour images; None: they are registered to the depth images, pixel on pixel.
        color_from_depth: rigid transform (4, 4) from the depth camera's frame to the colour camera's.
        sizes: (height, width) of the depth and of the colour images that these belong to; None: not known.
    """

    depth: np.ndarray
    color: np.ndarray | None = None
    color_from_depth: np.ndarray = field(default_factory=lambda: np.eye(4))
    sizes: tuple[tuple[int, int], tuple[int, int]] | None = None

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


def read_extrinsics(folder: Path) -> np.ndarray:
    """Colour from depth (4, 4) by the two files of extrinsics that ScanNet's exporter writes; without one, none."""
    files = [folder / f"extrinsic_{name}.txt" for name in ("color", "depth")]
    to_base = [matrices.read_pose(file) if file.is_file() else np.eye(4) for file in files]
    return np.linalg.inv(to_base[0]) @ to_base[1]


def check_sizes(depth: tuple[int, int], color: tuple[int, int], rig: Rig, depth_file: Path, color_file: Path) -> None:
    """A `DataError` unless images of these (height, width) belong to each other and to the cameras."""
    if depth != color and rig.registered:
        raise DataError(
            f"{depth_file}: the depth image has {depth[1]} x {depth[0]} pixels and the colour image {color_file} has "
            f"{color[1]} x {color[0]}; images of different size need the intrinsics of the colour camera, too"
        )
    for file, size, known in zip((depth_file, color_file), (depth, color), rig.sizes or (depth, color), strict=True):
        if size != known:
            raise DataError(
                f"{file}: the image has {size[1]} x {size[0]} pixels, and the intrinsics of its recording belong to "
                f"images of {known[1]} x {known[0]}"
            )
    check_principal_point(f"{depth_file}: depth camera", rig.depth, depth)
    check_principal_point(f"{color_file}: colour camera", rig.color_intrinsics, color)


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
