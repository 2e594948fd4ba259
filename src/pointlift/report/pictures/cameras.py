"""What the cameras of a scan see: image, teacher, truth and students, all cameras of one kind in one picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import Tensor, from_numpy

from pointlift.data.scene import Pairs, Scene, View
from pointlift.data.up import UpAxis, horizontal_axes, up_vector
from pointlift.evaluation.sampling import spread
from pointlift.report.pictures import raster
from pointlift.report.pictures.colors import FeatureColors
from pointlift.report.pictures.raster import Picture
from pointlift.report.pictures.stage import Stage

MOST = 12
"""Cameras that are shown of a scan; of more, as rooms have, so many evenly spread."""
_COLUMNS = 4
_WIDTH = 1152
_GAP = 6


@dataclass(frozen=True)
class Seen:
    """A view at the size at which it is shown, and the points in it.

    Attributes:
        image: (h, w, 3) uint8.
        point_index: (P,) points that it sees.
        pixels: (P, 2) where, in pixels of ``image``.
        depth: (P,) metres.
    """

    view: View
    image: np.ndarray
    point_index: np.ndarray
    pixels: np.ndarray
    depth: np.ndarray

    def dots(self, colors: np.ndarray) -> np.ndarray:
        """The darkened image under its points in colours (P, 3 or 4)."""
        return raster.draw_on_image(self.image, self.pixels, self.depth, colors[:, :3], 1)


def camera_pictures(stage: Stage, scene: Scene, colors: FeatureColors, outputs: Sequence[Tensor]) -> list[Picture]:
    """Of all cameras: images, the teacher's features of them, and the truth and the students at the points in them."""
    shown = [scene.views[index] for index in spread(range(len(scene.views)), MOST)]
    rows = arranged(shown, scene.up_axis)
    pairs = stage.visibility.pairs(scene)
    seen = [[seen_by(scene, view, pairs, _cell_width(view, rows)) for view in row] for row in rows]
    several = len(shown) > 1
    whose = f"{len(shown)} cameras" if several else f"camera {shown[0].name}"
    where = f"of {whose} in scan {scene.id}"

    def picture(draw: Callable[[Seen], np.ndarray], caption: str, alt: str) -> Picture:
        whole = mosaic([[draw(one) for one in row] for row in seen])
        return Picture(raster.photo_uri(whole), whole.shape[:2], caption, alt)

    def at_points(values: Callable[[np.ndarray], np.ndarray], caption: str, what: str) -> Picture:
        alt = f"{what} at the points {where}, over the darkened image{'s' * several}."
        return picture(lambda one: one.dots(values(one.point_index)), caption, alt)

    pictures = [
        picture(lambda one: one.image, names_in_words(rows), f"Image{'s' * several} {where}."),
        picture(lambda one: _dense(stage, one, colors), "teacher", f"The teacher's features {where}, as colours."),
    ]
    if scene.labels is not None and stage.names:
        labels = scene.labels
        caption = "ground truth, legend below"
        pictures.append(at_points(lambda points: stage.palette[labels[points]], caption, "True classes"))
    for subject, output in zip(stage.subjects, outputs, strict=True):
        what = f"Features of {subject.label}, as colours,"
        pictures.append(at_points(lambda points, o=output: colors(o[from_numpy(points)]), subject.label, what))  # type: ignore[misc]
    return pictures


def arranged(views: Sequence[View], up_axis: UpAxis = "z") -> list[list[View]]:
    """Views in rows as they stand on a car: those that look ahead or aside above those that look back.

    Each row goes from the left side of the car to its right.
    """
    forward, left = _directions(views, up_axis)
    axes = {view.name: view.camera_from_points[2, :3] for view in views}  # the optical axes in the points' frame
    aside = 0.1  # an axis this little backwards still looks aside
    rows = []
    for members in (
        [view for view in views if axes[view.name] @ forward >= -aside],
        [view for view in views if axes[view.name] @ forward < -aside],
    ):
        members.sort(key=lambda view: -float(axes[view.name] @ left))
        rows += [members[start : start + _COLUMNS] for start in range(0, len(members), _COLUMNS)]
    return rows


def facing_forward(scene: Scene) -> Scene:
    """The scene turned by quarter turns about its up axis, so that its front camera looks along the forward axis.

    Bird's-eye pictures take x for forward (of points with z up); nuScenes' scans have it to the right.
    """
    scene = scene.upright()
    if not scene.views:
        return scene
    forward, left = horizontal_axes(scene.up_axis)
    ahead, _ = _directions(scene.views, scene.up_axis)
    quarters = round(float(np.arctan2(ahead[left], ahead[forward])) / (np.pi / 2))
    cos, sin = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarters % 4]
    back = np.eye(3)  # exact, which the cosine of a right angle is not
    back[[forward, forward, left, left], [forward, left, forward, left]] = cos, sin, -sin, cos
    return scene.moved(back)


def _directions(views: Sequence[View], up_axis: UpAxis) -> tuple[np.ndarray, np.ndarray]:
    """Forward and leftward (3,) in the points' frame: ahead is where the front camera looks, or else the first."""
    front = [
        view for view in views if "front" in view.name.lower() and not view.name.lower().endswith(("left", "right"))
    ]
    up = up_vector(up_axis)
    axis = (front or list(views))[0].camera_from_points[2, :3]
    level = axis - (axis @ up) * up
    if np.linalg.norm(level) < 1e-3:  # it looks straight up or down
        level = np.roll(up, 1)
    forward = level / np.linalg.norm(level)
    return forward, np.cross(up, forward)


def names_in_words(rows: Sequence[Sequence[View]]) -> str:
    """The cameras as they are arranged."""
    said = "; below: ".join(", ".join(view.name for view in row) for row in rows)
    return f"camera{'s' if sum(map(len, rows)) > 1 else ''}, {said}"


def mosaic(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Images (h, w, 3) in centred rows as one, with transparent gaps if there are several: (H, W, 3 or 4) uint8."""
    if len(rows) == 1 and len(rows[0]) == 1:
        return rows[0][0]
    heights = [max(one.shape[0] for one in row) for row in rows]
    widths = [sum(one.shape[1] for one in row) + _GAP * (len(row) - 1) for row in rows]
    whole = np.zeros((sum(heights) + _GAP * (len(rows) - 1), max(widths), 4), np.uint8)
    top = 0
    for row, height, width in zip(rows, heights, widths, strict=True):
        left = (whole.shape[1] - width) // 2
        for one in row:
            above = top + (height - one.shape[0]) // 2
            place = whole[above : above + one.shape[0], left : left + one.shape[1]]
            place[..., :3], place[..., 3] = one, 255
            left += one.shape[1] + _GAP
        top += height + _GAP
    return whole


def of_view(pairs: Pairs, view: int) -> Pairs:
    """The pairs of one view."""
    return pairs.take(pairs.view_index == view)


def _cell_width(view: View, rows: Sequence[Sequence[View]]) -> int:
    """One camera alone is shown at its own size, a small one at twice that; several share the width."""
    if sum(map(len, rows)) == 1:
        width = view.size[1]
        return width * (2 if width < 700 else 1)
    columns = max(map(len, rows))
    return (_WIDTH - _GAP * (columns - 1)) // columns


def seen_by(scene: Scene, view: View, pairs: Pairs, width: int) -> Seen:
    """One of the scene's views at this width, with those of the ``pairs`` that are its own."""
    image = view.image
    scale = width / image.shape[1]
    size = (width, max(1, round(image.shape[0] * scale)))
    shown = np.array(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    mine = of_view(pairs, scene.views.index(view))
    depth = view.project(scene.points[mine.point_index])[1]
    factors = np.array([size[0] / image.shape[1], size[1] / image.shape[0]])
    return Seen(view, shown, mine.point_index, (mine.pixels + 0.5) * factors - 0.5, depth)


def _dense(stage: Stage, seen: Seen, colors: FeatureColors) -> np.ndarray:
    """The teacher's features of a view as colours, as large as its image."""
    dense = stage.dense(seen.view)
    flat = colors(dense.flatten(1).T).reshape(*dense.shape[1:], 3)
    height, width = seen.image.shape[:2]
    return np.array(Image.fromarray(flat).resize((width, height), Image.Resampling.BILINEAR))
