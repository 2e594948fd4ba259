"""What the views of a generated scene truly show of its points, by the exact depth and label of each pixel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pointlift.data.scene import Pairs, Scene, View

Image = Callable[[View], np.ndarray]
"""Gives a value (H, W) of each pixel of a view."""


def points_shown(scene: Scene, depth_image: Image, tolerance: float, min_depth: float) -> Pairs:
    """The points that lie within ``tolerance`` metres plus 1 % of their depth of what their nearest pixel shows.

    Between centres of pixels, the surface is taken to be the plane of the pixel and its neighbours, in which 1 / depth
    is linear in u and v; at a silhouette, the neighbour on the same surface. A depth of 0 shows no surface.
    """
    pairs = scene.pairs(min_depth=min_depth, border=0.0)
    seen = np.zeros(len(pairs.point_index), dtype=bool)
    for index, view in enumerate(scene.views):
        ours = np.flatnonzero(pairs.view_index == index)
        depth = view.project(scene.points[pairs.point_index[ours]])[1]
        shown = _surface_depth(depth_image(view), pairs.pixels[ours].astype(np.float64))
        seen[ours] = np.abs(depth - shown) <= tolerance + 0.01 * depth
    return pairs.take(seen)


def _surface_depth(depth: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Depth (P,) at sub-pixel places (P, 2) of the surface at the nearest pixel; infinite where it is 0."""
    with np.errstate(divide="ignore"):
        inverse = np.where(depth > 0, 1.0 / depth, 0.0)
    column, row = np.floor(pixels.T + 0.5).astype(np.int64)
    at = inverse[row, column]
    for axis, offset in ((1, pixels[:, 0] - column), (0, pixels[:, 1] - row)):
        at = at + offset * _slope(inverse, axis)[row, column]
    with np.errstate(divide="ignore"):
        return np.where(inverse[row, column] > 0, 1.0 / np.maximum(at, 1e-9), np.inf)


def _slope(values: np.ndarray, axis: int) -> np.ndarray:
    """Of the differences to the two neighbours along an axis, the smaller one."""
    step = np.diff(values, axis=axis)
    pad = [(0, 0), (0, 0)]
    pad[axis] = (1, 0)
    before = np.pad(step, pad, mode="edge")
    pad[axis] = (0, 1)
    after = np.pad(step, pad, mode="edge")
    return np.where(np.abs(before) < np.abs(after), before, after)


def agreement(scene: Scene, pairs: Pairs, label_image: Image) -> float:
    """Share of the pairs whose point has the label of its nearest pixel; NaN if there are none."""
    assert scene.labels is not None
    agree = 0
    for index, view in enumerate(scene.views):
        ours = pairs.take(pairs.view_index == index)
        column, row = np.floor(ours.pixels.T + 0.5).astype(np.int64)
        agree += int((label_image(view)[row, column] == scene.labels[ours.point_index]).sum())
    return agree / len(pairs.point_index) if len(pairs.point_index) else float("nan")
