"""Pairs: which point is seen at which pixel, and how they are found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pointlift.data import camera
from pointlift.data.view import View


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


def find_pairs(
    points: np.ndarray,
    views: Sequence[View],
    min_depth: float = 1.0,
    border: float = 1.0,
    occlusion: float | None = None,
    occlusion_radius: int = 3,
) -> Pairs:
    """Every one of the points (N, 3) that a view sees, with its pixel, ordered by view and then by point.

    Args:
        points: (N, 3), metres.
        views: the images that may see them.
        min_depth: only points farther in front of the camera than this, metres.
        border: only pixels at least this far from the edge of the image.
        occlusion: drop points hidden behind others: the tolerance of `camera.unoccluded`, such as 0.1.
        occlusion_radius: its neighbourhood in pixels.

    Raises:
        DataError: an image file is missing or has no readable header.
    """
    found = [Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 2), np.float32))]
    for view_index, view in enumerate(views):
        size = view.size
        pixels, depth = view.project(points)
        pixels = pixels.astype(np.float32)  # before the test: rounding must not carry a pixel over the edge
        point_index = np.flatnonzero((depth > min_depth) & camera.in_image(pixels, size, border))
        if occlusion is not None:
            seen = camera.unoccluded(pixels[point_index], depth[point_index], size, occlusion, occlusion_radius)
            point_index = point_index[seen]
        found.append(Pairs(point_index, np.full(len(point_index), view_index), pixels[point_index]))
    return Pairs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
