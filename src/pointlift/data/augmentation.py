"""Augmentations of points and images that keep point-pixel pairs valid. All randomness comes from a given generator.

Pairs are drawn first, on the scene as recorded: they hold point numbers and pixels, so moving the points cannot break
them. What removes points renumbers the pairs, and what removes pixels drops theirs.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pointlift.data import camera
from pointlift.data.scene import Pairs, Scene
from pointlift.data.up import UpAxis, horizontal_axes, rotation_about
from pointlift.errors import DataError

Probability = Annotated[float, Field(ge=0, le=1)]


class PointAugmentation(BaseModel):
    """What `augment_points` does; the defaults are after SLidR (Sautier et al. 2022), without scaling.

    Three things differ by default from SLidR's public code: there the cuboid's sides share one factor
    (``cuboid_factors=1``), which removes more; it is cut after the rotation and not before; and it is put back when any
    view has too few pairs left, not only one that it touches.

    Attributes:
        rotate_z: the cloud turns about its up axis by an angle drawn from ± this many degrees.
        flip_x: probability that the first horizontal axis is mirrored.
        flip_y: the same for the second horizontal axis.
        scale: all coordinates are multiplied by one factor drawn from this range.
        drop_cuboid: probability that the points of one cuboid, centred on a random point, are removed.
        cuboid_fraction: each side of it is drawn from 0 to this fraction of the cloud's extent.
        cuboid_factors: 3 draws that for each side, 1 once for all three.
        min_pairs: a cuboid is put back when it would leave a view that it touches with fewer pairs than this.
    """

    model_config = ConfigDict(extra="forbid")

    rotate_z: float = Field(180.0, ge=0, le=180)
    flip_x: Probability = 0.5
    flip_y: Probability = 0.5
    scale: tuple[float, float] = (1.0, 1.0)
    drop_cuboid: Probability = 1.0
    cuboid_fraction: float = Field(0.2, ge=0, le=1)
    cuboid_factors: Literal[1, 3] = 3
    min_pairs: int = Field(1024, ge=0)

    @model_validator(mode="after")
    def _ranges(self) -> PointAugmentation:
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError("scale must be two positive factors, the smaller one first")
        return self


class ImageAugmentation(BaseModel):
    """What `augment_image` does; the defaults are SLidR's (Sautier et al. 2022).

    Attributes:
        crop_size: height and width of the result, (224, 416); None: no crop and no resizing.
        area: the crop covers a fraction of the image's area from this range, as far as its shape fits.
        ratio: width : height of the crop.
        min_pairs: a crop is accepted when it keeps more pairs than this, or more than 75 % of them.
        tries: crops drawn until one is accepted; the whole image is used when none is.
        flip: probability that left and right are swapped.
    """

    model_config = ConfigDict(extra="forbid")

    crop_size: tuple[int, int] | None = (224, 416)
    area: tuple[float, float] = (0.3, 1.0)
    ratio: tuple[float, float] = (14 / 9, 17 / 9)
    min_pairs: int = Field(1024, ge=0)
    tries: int = Field(10, ge=1)
    flip: Probability = 0.5

    @model_validator(mode="after")
    def _ranges(self) -> ImageAugmentation:
        if not 0 < self.area[0] <= self.area[1] <= 1:
            raise ValueError("area must be two fractions of the image in (0, 1], the smaller one first")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError("ratio must be two positive numbers (width / height), the smaller one first")
        if self.crop_size is not None and min(self.crop_size) < 1:
            raise ValueError("crop_size must be a positive height and width")
        return self


def in_sector(points: np.ndarray, sector: tuple[float, float], up_axis: UpAxis = "z") -> np.ndarray:
    """Mask (N,) of the points whose azimuth lies in ``sector``, in degrees counter-clockwise from its first value.

    Azimuth 0 is the first horizontal axis (x, forward in LiDAR frames) and grows towards the second (y, left);
    (-45, 45) is the front quarter and (135, 225) the rear one. A `DataError` unless 0 < last - first <= 360.
    """
    first, last = sector
    if not 0 < last - first <= 360:
        raise DataError(f"a sector must be (first, last) in degrees with 0 < last - first <= 360, not {sector}")
    a, b = horizontal_axes(up_axis)
    azimuth = np.degrees(np.arctan2(points[:, b].astype(np.float64), points[:, a].astype(np.float64)))
    return (azimuth - first) % 360.0 <= last - first


def augment_points(
    scene: Scene, pairs: Pairs, options: PointAugmentation, rng: np.random.Generator
) -> tuple[Scene, Pairs]:
    """A changed copy of the scene and the pairs renumbered to it: cuboid, rotation, flips, scaling.

    Normals, boxes and the extrinsics of the views follow as `Scene.moved` says; with a flip or a scaling the latter are
    no longer rigid, and the scene no longer passes ``validate``. A box in which the cuboid leaves no point goes, too;
    others stay whole.
    """
    if rng.random() < options.drop_cuboid:
        scene, pairs = _drop_cuboid(scene, pairs, options, rng)
    return scene.moved(_random_matrix(options, rng, scene.up_axis)), pairs


def _drop_cuboid(
    scene: Scene, pairs: Pairs, options: PointAugmentation, rng: np.random.Generator
) -> tuple[Scene, Pairs]:
    extent = scene.points.max(axis=0) - scene.points.min(axis=0)
    centre = scene.points[rng.integers(len(scene.points))]
    sides = rng.uniform(0.0, options.cuboid_fraction, size=options.cuboid_factors) * extent
    kept = (np.abs(scene.points - centre) > sides / 2).any(axis=1)
    remaining = pairs.keep_points(kept)
    before, after = pairs.per_view(len(scene.views)), remaining.per_view(len(scene.views))
    starved = (after < before) & (after < options.min_pairs)
    if starved.any() or not kept.any():
        return scene, pairs
    return scene.cut(kept), remaining


def _random_matrix(options: PointAugmentation, rng: np.random.Generator, up_axis: UpAxis) -> np.ndarray:
    """Rotation about the up axis, then flips, then scaling, as one 3 x 3 matrix."""
    angle = np.radians(rng.uniform(-options.rotate_z, options.rotate_z))
    flips = rng.random(2) < (options.flip_x, options.flip_y)
    matrix = rotation_about(up_axis, angle)
    matrix[list(horizontal_axes(up_axis))] *= np.where(flips, -1.0, 1.0)[:, None]
    return rng.uniform(*options.scale) * matrix


def augment_image(
    image: np.ndarray, pixels: np.ndarray, options: ImageAugmentation, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A random crop of an image, resized and perhaps mirrored, and where its pixels went.

    Args:
        image: (H, W, 3) uint8.
        pixels: (P, 2) as (u, v) in this image.
        options: what to do.
        rng: the source of randomness.

    Returns:
        The image (H', W', 3) uint8, the pixels (K, 2) float32 in it of the pairs that are still inside, and the mask
        (P,) of those pairs.
    """
    kept = np.ones(len(pixels), dtype=bool)
    pixels = pixels.astype(np.float64)
    if options.crop_size is not None:
        box, pixels, kept = _crop_box(image.shape[:2], pixels, options, rng)
        size = options.crop_size[1], options.crop_size[0]
        image = np.array(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, box=box))
    height, width = image.shape[:2]
    if rng.random() < options.flip:
        image = np.ascontiguousarray(image[:, ::-1])
        pixels = np.stack([width - 1 - pixels[:, 0], pixels[:, 1]], axis=1)
    moved = pixels.astype(np.float32)
    kept &= camera.in_image(moved, (height, width))
    return image, moved[kept], kept


def _crop_box(
    size: tuple[int, int], pixels: np.ndarray, options: ImageAugmentation, rng: np.random.Generator
) -> tuple[tuple[int, int, int, int], np.ndarray, np.ndarray]:
    """The first acceptable crop (left, top, right, bottom), else the whole image; the pixels in the resized crop."""
    assert options.crop_size is not None
    height, width = size
    boxes = [_random_box(size, options, rng) for _ in range(options.tries)]  # all drawn: the stream stays aligned
    for box in [*boxes, (0, 0, width, height)]:
        left, top, right, bottom = box
        moved = camera.resize_pixels(pixels - (left, top), (bottom - top, right - left), options.crop_size)
        kept = camera.in_image(moved, options.crop_size)
        if kept.sum() > options.min_pairs or kept.sum() > 0.75 * len(pixels):
            break
    return box, moved, kept


def _random_box(
    size: tuple[int, int], options: ImageAugmentation, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """A box of random shape and area; where an image is too wide or flat for the area, the largest of that shape."""
    height, width = size
    ratio = np.exp(rng.uniform(*np.log(options.ratio)))
    largest = min(width / ratio, height)  # height of the largest box of this shape
    area_range = np.minimum(np.multiply(options.area, width * height), largest**2 * ratio)
    box_height = np.sqrt(rng.uniform(*area_range) / ratio)
    h = int(np.clip(round(box_height), 1, height))
    w = int(np.clip(round(box_height * ratio), 1, width))
    left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
    return left, top, left + w, top + h
