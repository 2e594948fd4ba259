"""A frame in which points can be coloured: its cloud from above and behind, and its first image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pointlift.data.scene import Scene
from pointlift.data.up import heights
from pointlift.report.pictures import raster
from pointlift.report.pictures.cameras import facing_forward, seen_by
from pointlift.report.pictures.colors import readable
from pointlift.report.pictures.raster import Picture

RED_GREEN_BLUE = ("red", "green", "blue")
_OPACITY = 0.65


class Drawing:
    """A frame in which points can be coloured: its cloud from above and behind, and its first image.

    Args:
        scene: a scan with N points and any number of images.
        min_depth: metres in front of the camera from which a point is in the image.
        width: of all pictures, in pixels.
    """

    def __init__(self, scene: Scene, min_depth: float, width: int = 480) -> None:
        self.scene = facing_forward(scene)
        self.frame = raster.frame_of(self.scene.points, self.scene.up_axis, width)
        self.image: np.ndarray | None = None
        if scene.views:
            first = replace(scene, views=scene.views[:1])
            self._seen = seen_by(first, first.views[0], first.pairs(min_depth, border=0.0), width)
            self.image = self._seen.image

    def cloud(self, colors: np.ndarray) -> np.ndarray:
        """RGBA (h, width, 4) uint8 on a transparent ground of all points in colours (N, 3)."""
        radius = raster.dot_radius(self.frame, len(colors))
        return raster.draw_cloud(self.frame, self.scene.points, colors, radius)

    def on_image(self, colors: np.ndarray) -> np.ndarray:
        """RGB (h, width, 3) uint8: the image in grey, tinted by its points in colours (N, 3); needs an image."""
        seen = self._seen
        height, width = seen.image.shape[:2]
        grey = seen.image.mean(axis=2, keepdims=True).astype(np.uint8)
        order = np.argsort(-seen.depth, kind="stable")  # near on top
        radius = np.clip(0.8 * np.sqrt(height * width / max(len(order), 1)), 1.0, 4.0)  # so that dense points touch
        dots = np.concatenate([grey, grey, grey, np.full_like(grey, 255)], axis=2)
        chosen = raster.opaque(colors[seen.point_index[order]])
        raster.stamp(dots, seen.pixels[order] + 0.5, chosen, np.full(len(order), radius))
        return (_OPACITY * dots[:, :, :3] + (1 - _OPACITY) * grey).astype(np.uint8)

    def cloud_picture(self, colors: np.ndarray, caption: str, what: str) -> Picture:
        """The cloud for a page; ``what`` names the colours in the text that stands for the picture."""
        alt = f"{what} in scan {self.scene.id} from above."
        return Picture(raster.cloud_uri(self.cloud(colors)), self.frame.size, caption, alt)

    def own_image(self, caption: str) -> list[Picture]:
        """The image for a page as it is, or nothing if there is none."""
        if self.image is None:
            return []
        alt = f"Image of scan {self.scene.id}."
        return [Picture(raster.photo_uri(self.image), self.image.shape[:2], caption, alt)]

    def image_pictures(self, colors: np.ndarray, caption: str, what: str) -> list[Picture]:
        """The points on the image for a page, or nothing if there is no image."""
        if self.image is None:
            return []
        alt = f"{what} in the image of scan {self.scene.id}."
        return [Picture(raster.photo_uri(self.on_image(colors)), self.image.shape[:2], caption, alt)]

    def own_colors(self, feature_names: Sequence[str]) -> np.ndarray:
        """Colours (N, 3) uint8 that the points have themselves; where they have none, a grey that rises with height."""
        names = list(feature_names)
        if set(RED_GREEN_BLUE) <= set(names):
            colors = self.scene.features[:, [names.index(name) for name in RED_GREEN_BLUE]]
        else:
            height = heights(self.scene.points, self.scene.up_axis)
            low, high = np.percentile(height, (1, 99))
            share = np.clip((height - low) / max(high - low, 1e-6), 0, 1)
            colors = np.repeat(0.4 + 0.35 * share[:, None], 3, axis=1)
        return (readable(colors.clip(0, 1).astype(np.float64)) * 255 + 0.5).astype(np.uint8)
