"""Points and features as pictures, small enough to be carried inside a page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pointlift.data.up import UpAxis, heights, horizontal_axes

ELEVATION = np.deg2rad(52.0)
"""Angle above the horizon from which clouds are seen: steep enough for a map, flat enough for things to stand up."""


@dataclass(frozen=True)
class Picture:
    """A picture as a data URI, with its pixels' size, what stands under it and what is said instead of it."""

    uri: str
    size: tuple[int, int]
    caption: str
    alt: str


@dataclass(frozen=True)
class Frame:
    """A bird's-eye picture's window: an orthographic camera behind and above, looking forward.

    Attributes:
        up_axis: of the points; forward and leftward are its `horizontal_axes`.
        low, high: (2,) corners of the window in metres, to the right and upwards in the picture.
        scale: pixels per metre.
        elevation: radians above the horizon.
    """

    up_axis: UpAxis
    low: np.ndarray
    high: np.ndarray
    scale: float
    elevation: float = ELEVATION

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        width, height = np.rint((self.high - self.low) * self.scale).astype(int).clip(min=1)
        return int(height), int(width)

    def plane(self, points: np.ndarray) -> np.ndarray:
        """Metres to the right and upwards (N, 2) in the picture's plane, of points (N, 3)."""
        return _plane(points, self.up_axis, self.elevation)

    def nearness(self, points: np.ndarray) -> np.ndarray:
        """Position (N,) along the line of sight, nearer is larger."""
        forward, _ = horizontal_axes(self.up_axis)
        return np.sin(self.elevation) * heights(points, self.up_axis) - np.cos(self.elevation) * points[:, forward]


def _plane(points: np.ndarray, up_axis: UpAxis, elevation: float) -> np.ndarray:
    forward, left = horizontal_axes(up_axis)
    upward = np.sin(elevation) * points[:, forward] + np.cos(elevation) * heights(points, up_axis)
    return np.stack([-points[:, left], upward], axis=1)


def frame_of(points: np.ndarray, up_axis: UpAxis, width: int = 860, reach: float = 30.0) -> Frame:
    """The window that shows most of a cloud (N, 3): at most ``reach`` metres to each side of its middle."""
    plane = _plane(points, up_axis, ELEVATION)
    middle = np.median(plane, axis=0)
    low, high = np.percentile(plane, 0.5, axis=0), np.percentile(plane, 99.5, axis=0)
    low, high = np.maximum(low, middle - reach), np.minimum(high, middle + reach)
    high = np.maximum(high, low + 1e-3)
    return Frame(up_axis, low, high, width / float(high[0] - low[0]))


def close_up(frame: Frame, points: np.ndarray, width: int = 320, least: float = 8.0) -> Frame:
    """A square window around some points (K, 3), at least ``least`` metres wide."""
    plane = frame.plane(points)
    middle = (plane.min(axis=0) + plane.max(axis=0)) / 2
    half = max(least / 2, 0.75 * float((plane.max(axis=0) - plane.min(axis=0)).max()))
    return Frame(frame.up_axis, middle - half, middle + half, width / (2 * half), frame.elevation)


def dot_radius(frame: Frame, points: int) -> float:
    """Radius in pixels with which so many points fill a picture without hiding each other."""
    height, width = frame.size
    return float(np.clip(0.45 * np.sqrt(height * width / max(points, 1)), 1.4, 3.5))


def draw_cloud(frame: Frame, points: np.ndarray, colors: np.ndarray, radius: float | np.ndarray = 1.4) -> np.ndarray:
    """RGBA (H, W, 4) uint8 on a transparent ground of points (N, 3) with colours (N, 3 or 4) uint8."""
    height, width = frame.size
    plane = frame.plane(points)
    inside = ((plane > frame.low) & (plane < frame.high)).all(axis=1)
    order = np.flatnonzero(inside)
    order = order[np.argsort(frame.nearness(points[order]), kind="stable")]  # far first
    u = (plane[order, 0] - frame.low[0]) * frame.scale
    v = (frame.high[1] - plane[order, 1]) * frame.scale
    picture = np.zeros((height, width, 4), np.uint8)
    radii = np.broadcast_to(radius, (len(points),))[order]
    return stamp(picture, np.stack([u, v], axis=1), opaque(colors[order]), radii)


def draw_on_image(
    image: np.ndarray, pixels: np.ndarray, depth: np.ndarray, colors: np.ndarray, zoom: int
) -> np.ndarray:
    """RGB (zoom·H, zoom·W, 3) uint8: the darkened image under dots at pixels (P, 2) in colours (P, 3), near on top."""
    height, width = image.shape[:2]
    grey = image.mean(axis=2, keepdims=True)
    dark = (0.3 * (0.4 * image + 0.6 * grey)).astype(np.uint8)
    large = np.array(Image.fromarray(dark).resize((width * zoom, height * zoom), Image.Resampling.BICUBIC))
    picture = np.concatenate([large, np.full((*large.shape[:2], 1), 255, np.uint8)], axis=2)
    order = np.argsort(-depth, kind="stable")
    radius = np.clip(0.4 * zoom * np.sqrt(height * width / max(len(pixels), 1)), 1.0, 4.0)
    centers = (pixels[order] + 0.5) * zoom
    return stamp(picture, centers, opaque(colors[order]), np.full(len(order), radius))[:, :, :3]


def opaque(colors: np.ndarray) -> np.ndarray:
    """RGBA (N, 4) of RGB (N, 3), or the RGBA it is already."""
    if colors.shape[1] == 4:
        return colors
    return np.concatenate([colors, np.full((len(colors), 1), 255, np.uint8)], axis=1)


def stamp(picture: np.ndarray, centers: np.ndarray, colors: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Discs in order, later over earlier; sizes are drawn one after the other, small ones first."""
    height, width = picture.shape[:2]
    for radius in np.unique(radii):
        chosen = np.flatnonzero(radii == radius)
        reach = int(np.ceil(radius))
        dv, du = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
        disc = du**2 + dv**2 <= radius**2
        u = np.floor(centers[chosen, 0]).astype(int)[:, None] + du[disc]
        v = np.floor(centers[chosen, 1]).astype(int)[:, None] + dv[disc]
        inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
        color = np.repeat(colors[chosen], disc.sum(), axis=0).reshape(*u.shape, 4)
        picture[v[inside], u[inside]] = color[inside]  # of equal indices NumPy keeps the last
    return picture


def photo_uri(image: np.ndarray, quality: int = 82) -> str:
    """A data URI of an RGB image (H, W, 3) as WebP, or as JPEG where Pillow was built without it."""
    for kind in ("webp", "jpeg"):
        try:
            return _uri(image, kind, quality=quality)
        except (KeyError, OSError):
            continue
    return _uri(image, "png")


def cloud_uri(picture: np.ndarray, colors: int = 96) -> str:
    """A data URI of an RGBA picture (H, W, 4) as PNG with a palette of at most ``colors`` colours and opacities."""
    image = Image.fromarray(picture).quantize(colors, method=Image.Quantize.FASTOCTREE)
    return _encoded(image, "png", optimize=True)


def _uri(image: np.ndarray, kind: str, **options: int) -> str:
    return _encoded(Image.fromarray(image), kind, **options)


def _encoded(image: Image.Image, kind: str, **options: int) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
