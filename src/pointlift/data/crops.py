"""Crops of an image together with the points that it sees: more pairs of image and cloud out of few frames."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from pointlift.data import camera
from pointlift.data.scene import Scene, View


class Crop(NamedTuple):
    """Columns ``left`` to ``right`` and rows ``top`` to ``bottom`` of an image, their ends excluded; then mirrored."""

    left: int
    top: int
    right: int
    bottom: int
    mirrored: bool

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.bottom - self.top, self.right - self.left


def draw_crop(size: tuple[int, int], area: tuple[float, float], rng: np.random.Generator) -> Crop:
    """A crop anywhere in an image of ``size`` (height, width), of the image's shape, mirrored with probability 1/2.

    Its share of the image's area is drawn evenly from ``area``, a range within (0, 1].
    """
    height, width = size
    side = np.sqrt(rng.uniform(*area))
    h, w = max(1, round(side * height)), max(1, round(side * width))
    top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    return Crop(left, top, left + w, top + h, bool(rng.integers(2)))


def crop_view(view: View, crop: Crop) -> View:
    """The cropped image, decoded, and its camera: points of `crop_scene` project onto what they did before."""
    image = view.image[crop.top : crop.bottom, crop.left : crop.right]
    return replace(
        view,
        source=np.ascontiguousarray(image[:, ::-1] if crop.mirrored else image),
        intrinsics=_intrinsics(view, crop),
        depth=None,
    )


def crop_scene(scene: Scene, view: View, crop: Crop) -> Scene:
    """The points that a crop of the view sees, mirrored with it through the camera's vertical plane; without views.

    Points hidden behind others count as seen. Normals and boxes are mirrored, too; boxes in which no point is left go,
    and those that the crop cuts stay whole. Of a camera that leans to a side, mirrored boxes are larger, as
    `boxes.moved_boxes` says.
    """
    pixels, _ = view.project(scene.points)
    inside = camera.in_image(pixels - (crop.left, crop.top), crop.size)
    scene = replace(scene.cut(inside), views=[])
    if not crop.mirrored:
        return scene
    across = np.diag([-1.0, 1.0, 1.0, 1.0])
    to_camera = view.camera_from_points
    matrix = np.linalg.inv(to_camera) @ across @ to_camera
    return scene.moved(matrix[:3, :3], matrix[:3, 3])


def _intrinsics(view: View, crop: Crop) -> np.ndarray:
    K = view.intrinsics.copy()
    K[:2, 2] -= crop.left, crop.top
    if crop.mirrored:
        K[0, 2] = crop.size[1] - 1 - K[0, 2]
        K[0, 1] = -K[0, 1]
    return K
