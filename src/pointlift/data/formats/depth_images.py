"""Images whose numbers are no colours: depth images of 16 bits and what their numbers mean, and label images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pointlift.data.formats.images import open_image
from pointlift.errors import DataError
from pointlift.files import unreadable


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


def read_depth(path: Path) -> np.ndarray:
    """A depth image (H, W) uint16 as stored; a `DataError` if it does not have 16 bits per pixel."""
    image = open_image(path)
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
    image = open_image(path)
    if image.mode not in ("L", "P", "1") and not image.mode.startswith("I"):
        raise DataError(f"{path}: a label image has one channel of whole numbers, not the mode {image.mode}")
    values = _decoded(image, path)
    if values.shape != size:
        raise DataError(
            f"{path}: the label image has {values.shape[1]} x {values.shape[0]} pixels and the depth image "
            f"{size[1]} x {size[0]}"
        )
    return values.astype(np.int64)


def _decoded(image: Image.Image, path: Path) -> np.ndarray:
    try:
        with image:
            return np.array(image)
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, zlib.error, …
        raise DataError(unreadable(path, "the image cannot be decoded", error)) from error
