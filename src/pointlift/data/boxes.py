"""Boxes: (B, 7) rows of centre x, y, z, then length, width and height in metres, and yaw in radians.

A box stands upright: its height is along the up axis, and its length along the direction of its front, which lies in
the horizontal plane. Its yaw is the angle of the front about the up axis, from the first of `up.horizontal_axes`
towards the second: with z up, from x towards y.
"""

from __future__ import annotations

import numpy as np

from pointlift.data.up import UpAxis, axes_about

_SIGNS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)


def box_axes(boxes: np.ndarray, up_axis: UpAxis) -> np.ndarray:
    """Unit vectors (B, 3, 3) along the length, the width and the height of boxes (B, 7), one per row."""
    first, second, up = axes_about(up_axis)
    cosine, sine = np.cos(boxes[:, 6:]), np.sin(boxes[:, 6:])
    return np.stack(
        [cosine * first + sine * second, cosine * second - sine * first, np.broadcast_to(up, (len(boxes), 3))], axis=1
    )


def corners(boxes: np.ndarray, up_axis: UpAxis) -> np.ndarray:
    """The eight corners (B, 8, 3) of boxes (B, 7); length varies slowest, height fastest, the low end first."""
    return boxes[:, None, :3] + (_SIGNS * boxes[:, None, 3:6] / 2) @ box_axes(boxes, up_axis)


def moved_boxes(
    boxes: np.ndarray, linear: np.ndarray, shift: np.ndarray, up_axis: UpAxis, new_up_axis: UpAxis
) -> np.ndarray:
    """Boxes (B, 7) after all points p became ``linear p + shift``.

    The front of a box turns with the map, and the box is the smallest upright one with that front around the box as it
    was moved. Maps that keep angles and the up axis (turns about it, mirrors beside it, one scale for all axes, new
    names of the axes) move boxes exactly; after others (a scale for each axis, a tilt) they contain what they did
    before, and more.

    Args:
        boxes: (B, 7).
        linear: (3, 3), invertible.
        shift: (3,) metres.
        up_axis: of the frame of the boxes.
        new_up_axis: of the frame that the map leads to.
    """
    edges = (box_axes(boxes, up_axis) * boxes[:, 3:6, None] / 2) @ linear.T  # (B, 3, 3): half an edge per row
    first, second, _ = axes_about(new_up_axis)
    result = np.empty_like(boxes)
    result[:, :3] = boxes[:, :3] @ linear.T + shift
    result[:, 6] = np.arctan2(edges[:, 0] @ second, edges[:, 0] @ first)
    reach = np.abs(edges @ box_axes(result, new_up_axis).transpose(0, 2, 1))  # of each edge along each new axis
    result[:, 3:6] = 2 * reach.sum(axis=1)
    return result


def occupied(boxes: np.ndarray, points: np.ndarray, up_axis: UpAxis) -> np.ndarray:
    """Mask (B,) of the boxes (B, 7) in which, or on whose faces, at least one of the points (N, 3) lies."""
    found = np.zeros(len(boxes), dtype=bool)
    for number, (box, axes) in enumerate(zip(boxes, box_axes(boxes, up_axis), strict=True)):
        offsets = (points - box[:3]) @ axes.T
        found[number] = (np.abs(offsets) <= box[3:6] / 2).all(axis=1).any()
    return found
