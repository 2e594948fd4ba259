"""What cameras saw, as image files: colours, and beside them the label and the depth of each pixel."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pointlift.data.scene import View
from pointlift.errors import DataError
from pointlift.files import unreadable
from pointlift.worlds.engine.cameras import Camera, Picture

NOTHING = 255
"""In label images, of pixels without a label."""
DEPTH_UNITS = 256
"""Per metre, as in the depth images of KITTI."""


def pictures(name: str, seen: Picture) -> dict[str, bytes]:
    """The image, the label and the depth of each pixel, by file; pixels without a label have no depth either."""
    shown = seen["labels"] >= 0
    labels = np.where(shown, seen["labels"], NOTHING).astype(np.uint8)
    depth = np.where(shown, np.minimum(seen["depth"] * DEPTH_UNITS + 0.5, 65535), 0).astype(np.uint16)
    return {f"{name}.png": png(seen["image"]), f"{name}-labels.png": png(labels), f"{name}-depth.png": png(depth)}


def calibration(camera: Camera, camera_from_points: np.ndarray) -> dict[str, Any]:
    """What `views_of` needs to know of a camera besides its images, as plain values."""
    return {"intrinsics": camera.intrinsics.tolist(), "camera_from_points": camera_from_points.tolist()}


def views_of(info: dict[str, Any], folder: Path) -> list[View]:
    """The views in a folder of the cache, of whose cameras ``info["views"]`` has the `calibration` by name."""
    return [
        View(
            name,
            np.array(view["intrinsics"], dtype=np.float64),
            np.array(view["camera_from_points"], dtype=np.float64),
            folder / f"{name}.png",
            folder / f"{name}-depth.png",
        )
        for name, view in info["views"].items()
    ]


def label_image(view: View) -> np.ndarray:
    """Label (H, W) int64 of what each pixel of a view shows, -1 where it has none."""
    labels = pixels_of(_beside(view, "labels")).astype(np.int64)
    return np.where(labels == NOTHING, -1, labels)


def depth_image(view: View) -> np.ndarray:
    """Depth (H, W) float64 of each pixel of a view, metres along the camera's axis, 0 where it has no label."""
    return pixels_of(_beside(view, "depth")).astype(np.float64) / DEPTH_UNITS


def _beside(view: View, what: str) -> Path:
    if view.path is None:
        raise DataError(f"view '{view.name}': only views of the package's own worlds have a {what} image")
    return view.path.with_name(f"{view.path.stem}-{what}.png")


def pixels_of(path: Path) -> np.ndarray:
    """The pixels of an image file that lies beside a generated view's own.

    Raises:
        DataError: the file is missing or cannot be decoded.
    """
    try:
        with Image.open(path) as image:
            return np.array(image)
    except FileNotFoundError as error:
        raise DataError(f"{path}: the file is missing; only views of the package's own worlds have one") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, zlib.error, …
        raise DataError(unreadable(path, "the image cannot be decoded", error)) from error


def png(pixels: np.ndarray) -> bytes:
    """An image file, packed quickly."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()
