"""Scene: the one data contract. Every data set yields Scenes, and everything downstream reads only Scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pointlift.data.arrays import check_array
from pointlift.data.boxes import moved_boxes, occupied
from pointlift.data.normals import turned_normals
from pointlift.data.pairs import Pairs, find_pairs
from pointlift.data.up import UP_AXES, UpAxis, upright_rotation
from pointlift.data.view import View
from pointlift.errors import DataError

__all__ = ["Pairs", "Scene", "View"]


@dataclass(eq=False)
class Scene:
    """One scan, room or object: points, what is known of each, and the images that see them.

    What moves a scene moves all of it (`moved`), and what leaves points out does so in every field (`select`, `cut`).

    Args:
        points: (N, 3) float32, metres, in the sensor frame.
        features: (N, F) float32: intensity in [0, 1], colour, …; the data set names them.
        views: the images.
        labels: (N,) int64 class of each point, -1 to ignore; None where there are none. In data sets whose kind of
            labels is ``parts`` (`Dataset.labels`), the part of the object that it belongs to.
        id: names the scene in its data set, such as ``00/000003``.
        instances: (N,) int64.
        boxes: (B, 7) float64, one row per box: its centre x, y, z, its length, width and height in metres, and its yaw
            about the up axis in radians, from x towards y where z is up (`pointlift.data.boxes` says it for every
            axis); in the frame of the points.
        box_labels: (B,) int64 class of each box among the ``box_names`` of the data set, -1 for none of them.
        object_class: class of the whole scene, for object clouds.
        up_axis: the axis of the points' frame that points up: x, y or z, or -y, as in a camera's frame, and so on.
        normal_columns: which three columns of ``features`` are x, y and z of the surface's normal; None: none are.
            They turn with the points.
        files: field name (points, labels, views, …) to the file it came from, for messages.
        dropped: number of points that were removed: returns from the ego vehicle, or points without a colour.
    """

    points: np.ndarray
    features: np.ndarray
    views: list[View] = field(default_factory=list)
    labels: np.ndarray | None = None
    id: str = "scene"
    instances: np.ndarray | None = None
    boxes: np.ndarray | None = None
    box_labels: np.ndarray | None = None
    object_class: int | None = None
    up_axis: UpAxis = "z"
    normal_columns: tuple[int, int, int] | None = None
    files: dict[str, Path] = field(default_factory=dict)
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.points)

    def validate(self) -> Scene:
        """This scene, or a `DataError` that names the file (or the scene's id) and the field that is wrong."""
        if not isinstance(self.points, np.ndarray) or self.points.ndim != 2 or len(self.points) == 0:
            raise DataError(f"{self._where('points')}: there are no points")
        self._validate_points()
        self._validate_normal_columns()
        self._validate_boxes()
        if self.object_class is not None and (
            not isinstance(self.object_class, (int, np.integer)) or self.object_class < -1
        ):
            raise DataError(
                f"{self._where('object_class')}: object_class must be an integer >= -1, not {self.object_class!r}"
            )
        if self.up_axis not in UP_AXES:
            raise DataError(
                f"{self._where('up_axis')}: up_axis must be x, y or z, or that with a minus, not '{self.up_axis}'"
            )
        self._validate_views()
        return self

    def _validate_points(self) -> None:
        N = len(self.points)
        check_array(self._where("points"), "points", self.points, (N, 3), np.float32)
        width = self.features.shape[1] if np.ndim(self.features) == 2 else -1
        check_array(self._where("features"), "features", self.features, (N, width), np.float32)
        for name, values, lowest in (("labels", self.labels, -1), ("instances", self.instances, None)):
            if values is None:
                continue
            check_array(self._where(name), name, values, (N,), np.int64)
            if lowest is not None and values.min() < lowest:
                raise DataError(f"{self._where(name)}: {name} must be >= {lowest}, not {values.min()}")

    def _validate_normal_columns(self) -> None:
        columns, width = self.normal_columns, self.features.shape[1]
        if columns is not None and (len(set(columns)) != 3 or len(columns) != 3 or not set(columns) <= {*range(width)}):
            raise DataError(
                f"{self._where('features')}: normal_columns must be three different columns of the {width} features, "
                f"not {columns}"
            )

    def _validate_boxes(self) -> None:
        boxes, labels = self.boxes, self.box_labels
        count = len(boxes) if isinstance(boxes, np.ndarray) and boxes.ndim else 0
        if boxes is not None:
            check_array(self._where("boxes"), "boxes", boxes, (count, 7), np.float64)
            if (boxes[:, 3:6] <= 0).any():
                row = np.flatnonzero((boxes[:, 3:6] <= 0).any(axis=1))[0]
                raise DataError(f"{self._where('boxes')}: box {row} has a length, width or height that is not positive")
        if labels is not None:
            check_array(self._where("box_labels"), "box_labels", labels, (count,), np.int64)
            if count and labels.min() < -1:
                raise DataError(f"{self._where('box_labels')}: box_labels must be >= -1, not {labels.min()}")

    def _validate_views(self) -> None:
        names = [view.name for view in self.views]
        if len(set(names)) < len(names):
            raise DataError(f"{self._where('views')}: the names of the views must differ: {', '.join(names)}")
        for view in self.views:
            view.validate(self._where("views"))

    def _where(self, name: str) -> str:
        return str(self.files.get(name, f"scene {self.id}"))

    def pairs(
        self,
        min_depth: float = 1.0,
        border: float = 1.0,
        occlusion: float | None = None,
        occlusion_radius: int = 3,
    ) -> Pairs:
        """Every point that a view sees, with the pixel that sees it: `pointlift.data.pairs.find_pairs`."""
        return find_pairs(self.points, self.views, min_depth, border, occlusion, occlusion_radius)

    def upright(self) -> Scene:
        """The scene in axes of which z points up, with all that it has; itself if they already are so."""
        if self.up_axis == "z":
            return self
        return self.moved(upright_rotation(self.up_axis), up_axis="z")

    def moved(
        self,
        linear: np.ndarray,
        shift: np.ndarray | None = None,
        *,
        up_axis: UpAxis | None = None,
        points: np.ndarray | None = None,
    ) -> Scene:
        """The scene after every point p became ``linear p + shift``.

        Normals follow by the inverse transpose and keep their lengths. Boxes follow as `boxes.moved_boxes` says:
        exactly where angles and the up axis are kept. Cameras are adapted, so that the moved points still project on
        their pixels; after a mirror or a scaling they are no longer rigid, and the scene no longer passes `validate`.

        Args:
            linear: (3, 3) float64, invertible.
            shift: (3,) float64 metres; None for none.
            up_axis: of the frame that the points are in now; None: as before.
            points: (N, 3) float32, where they were moved already; None: they are moved in float64 and rounded.
        """
        shift = np.zeros(3) if shift is None else shift
        if points is None:
            points = self.points.astype(np.float64) @ linear.T
            points = (points + shift if shift.any() else points).astype(np.float32)
        inverse = np.eye(4)
        inverse[:3, :3] = np.linalg.inv(linear)
        inverse[:3, 3] = -inverse[:3, :3] @ shift
        up = self.up_axis if up_axis is None else up_axis
        return replace(
            self,
            points=points,
            features=self._turned_features(inverse[:3, :3]),
            views=[replace(view, camera_from_points=view.camera_from_points @ inverse) for view in self.views],
            boxes=None if self.boxes is None else moved_boxes(self.boxes, linear, shift, self.up_axis, up),
            up_axis=up,
        )

    def _turned_features(self, inverse: np.ndarray) -> np.ndarray:
        """The features after a map of the points whose linear part has this inverse (3, 3)."""
        if self.normal_columns is None:
            return self.features
        columns = list(self.normal_columns)
        features = self.features.copy()
        features[:, columns] = turned_normals(self.features[:, columns], inverse)
        return features

    def select(self, kept: np.ndarray) -> Scene:
        """The scene with only the points that a boolean mask (N,) or an index array chooses; with all its boxes."""
        return replace(
            self,
            points=self.points[kept],
            features=self.features[kept],
            labels=None if self.labels is None else self.labels[kept],
            instances=None if self.instances is None else self.instances[kept],
        )

    def cut(self, kept: np.ndarray) -> Scene:
        """The scene with only the points of a region, as `select` has it, and only the boxes in which one of them lies.

        A box that reaches out of the region stays whole.
        """
        scene = self.select(kept)
        if scene.boxes is None:
            return scene
        left = occupied(scene.boxes, scene.points, scene.up_axis)
        labels = None if scene.box_labels is None else scene.box_labels[left]
        return replace(scene, boxes=scene.boxes[left], box_labels=labels)

    def with_features(self, columns: Sequence[int]) -> Scene:
        """The scene with only these columns of its features, in this order.

        Raises:
            DataError: they are some but not all of a normal's, which could not turn with the points.
        """
        normal = self.normal_columns
        if normal is not None and not set(normal).isdisjoint(columns):
            if not set(normal) <= set(columns):
                raise DataError(f"{self._where('features')}: of a normal, all three columns must be kept, or none")
            normal = tuple(list(columns).index(column) for column in normal)  # type: ignore[assignment]
        else:
            normal = None
        return replace(self, features=np.ascontiguousarray(self.features[:, list(columns)]), normal_columns=normal)
