"""nuScenes: 32-beam LiDAR scans with six colour cameras, lidarseg classes and boxes, read from its official tables.

Layout (nuscenes.org): ``samples/CHANNEL/*``, ``sweeps/CHANNEL/*`` and the JSON tables in ``v1.0-trainval/`` (or -mini,
-test) under the root; nuScenes-lidarseg adds ``lidarseg/`` and two tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from pointlift.data import camera
from pointlift.data.dataset import Dataset, LabelKind
from pointlift.data.scene import Scene, View
from pointlift.data.view import fitted_intrinsics
from pointlift.datasets.nuscenes import poses
from pointlift.datasets.nuscenes.boxes import TABLES as BOX_TABLES
from pointlift.datasets.nuscenes.boxes import Boxes
from pointlift.datasets.nuscenes.choice import chosen_scenes
from pointlift.datasets.nuscenes.classes import BOX_NAMES, CLASSES, learning_map
from pointlift.datasets.nuscenes.clouds import outside, read_cloud, read_labels
from pointlift.datasets.nuscenes.folders import complete, count_absent, find_version
from pointlift.datasets.nuscenes.index import LIDAR
from pointlift.datasets.nuscenes.reading import read_index
from pointlift.datasets.nuscenes.tables import CategoryRow, read_table, require
from pointlift.errors import DataError
from pointlift.options import DATA_ROOT
from pointlift.registry import DATASETS

Camera = Literal["CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT"]
CAMERAS: tuple[Camera, ...] = (
    "CAM_FRONT",
    "CAM_FRONT_RIGHT",
    "CAM_BACK_RIGHT",
    "CAM_BACK",
    "CAM_BACK_LEFT",
    "CAM_FRONT_LEFT",
)


class _Cloud(NamedTuple):
    """One scan without the vehicle's returns: points (N, 5), seconds before the keyframe, number of those returns."""

    rows: np.ndarray
    seconds: float
    dropped: int


@DATASETS.register("nuscenes")
class NuScenes(Dataset):
    """nuScenes in its official layout, the keyframes of any of its scenes, with up to six cameras.

    Points are in the LiDAR's frame (x right, y forward, z up; metres) at the time of the scan. Every camera has a time
    of its own, at which the vehicle stood elsewhere: `View.camera_from_points` goes through the world's frame. Without
    nuScenes-lidarseg, and in the test set, ``labels=None``.

    Any part of the archives will do: keyframes whose scan, earlier scans or images are not on disk are dropped and
    counted in ``dropped_frames``, after ``scene_step`` and ``frame_step``, which they do not move. Where images were
    resized, the intrinsics follow from the size that sample_data.json has.

    Args:
        root: the folder that holds ``samples`` and ``v1.0-trainval``; ``~`` is the home folder.
        version: of the tables; auto takes the one that is there, and of several v1.0-test for the split test, else
            v1.0-trainval before v1.0-mini.
        split: train, val or test as the official lists have it (v1.0-mini: its own lists of 8 and 2 scenes), all that
            the tables have, or SLidR's division of train: parametrization (100 scenes to choose parameters on, which
            SLidR's code calls "verifying") and pretrain (the other 600, its "parametrizing").
        scenes: only these of the split's scenes; 61 is "scene-0061".
        scene_step: the n-th, 2n-th, … scene of the split in the order of scene.json; 100 is the usual 1 % protocol.
        frame_step: every n-th keyframe of what is left.
        cameras: any of the six; the views come in this order. None of them: no image is read.
        sweeps: scans of the LiDAR to put together, the keyframe's and those before it in the scene, moved to the
            keyframe's frame; more than 1 adds the feature ``time`` (seconds before the keyframe). Only the keyframe's
            points have labels.
        ego_radius: drop (and count in ``Scene.dropped``) returns with both |x| and |y| below this, in metres, as the
            devkit does; 0 keeps all points.
        boxes: read the boxes, too.

    Raises:
        DataError: a table or file is missing, damaged or inconsistent; the message names it.
    """

    name = "nuscenes"
    class_names = tuple(name for name, _, _ in CLASSES)
    class_colors = tuple(color for _, color, _ in CLASSES)
    box_names = BOX_NAMES
    feature_names: tuple[str, ...] = ("intensity",)
    prompts = {name: prompts for name, _, prompts in CLASSES}  # noqa: RUF012
    subset_options = ("scenes", "scene_step", "frame_step")

    def __init__(
        self,
        *,
        root: Annotated[Path, DATA_ROOT],
        version: Literal["auto", "v1.0-trainval", "v1.0-mini", "v1.0-test"] = "auto",
        split: Literal["train", "val", "test", "all", "pretrain", "parametrization"] = "train",
        scenes: list[str | int] | None = None,
        scene_step: Annotated[int, Field(ge=1)] = 1,
        frame_step: Annotated[int, Field(ge=1)] = 1,
        cameras: tuple[Camera, ...] = CAMERAS,
        sweeps: Annotated[int, Field(ge=1)] = 1,
        ego_radius: Annotated[float, Field(ge=0)] = 1.0,
        boxes: bool = False,
    ) -> None:
        for option, value in (("scene_step", scene_step), ("frame_step", frame_step), ("sweeps", sweeps)):
            if value < 1:
                raise DataError(f"nuscenes: {option} must be at least 1, not {value}")
        _check_cameras(cameras)
        self.root, self.split, self.cameras = Path(root).expanduser(), split, tuple(cameras)
        self.sweeps, self.ego_radius = sweeps, ego_radius
        self.version = find_version(self.root, version, split)
        self._folder = self.root / self.version
        if sweeps > 1:
            self.feature_names = ("intensity", "time")
        names = chosen_scenes(self._folder, split, scenes, scene_step)
        if boxes:
            require(self._folder, BOX_TABLES)
        self._has_boxes = boxes
        self._index = read_index(self._folder, names, self.cameras, sweeps=sweeps > 1)
        self._frames = np.arange(len(self._index))[::frame_step]
        there = complete(self.root, self._index, self._frames, sweeps, f"of split '{split}'")
        self.dropped_frames: dict[str, int] = {"no sensor files": int((~there).sum())}
        self._frames = self._frames[there]
        self.labels: frozenset[LabelKind] = frozenset(self._kinds())

    @property
    def ids(self) -> list[str]:
        """The id of every scene, without reading any: name of the scene and number of the keyframe in it."""
        return [self._id(frame) for frame in self._frames]

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Scene:  # type: ignore[override]
        frame = self._frames[index]
        path = self.root / self._index.file(self._index.slots[LIDAR][frame])
        cloud, kept = self._cloud(path)
        clouds = [_Cloud(cloud[kept], 0.0, int((~kept).sum())), *self._earlier(frame)]
        points = np.concatenate([part.rows for part in clouds])
        if len(points) == 0:
            raise DataError(f"{path}: no point is left by ego_radius")
        columns = [points[:, 3] / np.float32(255)]
        if self.sweeps > 1:
            columns.append(np.repeat([part.seconds for part in clouds], [len(part.rows) for part in clouds]))
        files = {"points": path, "features": path, "views": self._folder / "calibrated_sensor.json"}
        scene = Scene(
            points=points[:, :3].copy(),
            features=np.stack(columns, axis=1).astype(np.float32),
            id=self._id(frame),
            files=files,
            dropped=sum(part.dropped for part in clouds),
        )
        label_file = self._label_file(frame)
        if label_file is not None:
            files["labels"] = label_file
            labels = read_labels(label_file, len(kept), self._learning_map)[kept]
            scene.labels = np.concatenate([labels, np.full(len(points) - len(labels), -1)])
        if self._has_boxes:
            files["boxes"] = files["box_labels"] = self._folder / "sample_annotation.json"
            scene.boxes, scene.box_labels = self._boxes.of(frame, poses.inverse(self._global_from_lidar(frame)))
        scene.views = self.views(index)
        return scene.validate()

    def views(self, index: int) -> list[View]:
        """The views of scene ``index``, without reading its points."""
        frame, tables = self._frames[index], self._index
        global_from_points = self._global_from_lidar(frame)
        views = []
        for channel, path in zip(self.cameras, self.image_paths(index), strict=True):
            record = tables.slots[channel][frame]
            camera_from_points = poses.inverse(tables.global_from_sensor(record)) @ global_from_points
            view = View(channel, tables.intrinsics[tables.records.calibration[record]].copy(), camera_from_points, path)
            height, width = map(int, tables.records.size[record])
            if height and width:
                view.intrinsics = fitted_intrinsics(view.intrinsics, (height, width), view.size, str(path))
            views.append(view)
        return views

    def image_paths(self, index: int) -> list[Path]:
        """The image files of scene ``index``, without its cameras; a `DataError` if one is not there."""
        frame, tables = self._frames[index], self._index
        paths = [self.root / tables.file(tables.slots[channel][frame]) for channel in self.cameras]
        for path in paths:
            if not path.exists():
                raise self._absent(path)
        return paths

    def pose(self, index: int) -> np.ndarray:
        """First keyframe from this one (4, 4): takes points of scene ``index`` to the LiDAR's frame there."""
        frame = self._frames[index]
        first = self._global_from_lidar(self._index.start[frame])
        return poses.inverse(first) @ self._global_from_lidar(frame)

    def token(self, index: int) -> str:
        """The token of the sample, by which the devkit and sample.json know scene ``index``."""
        return self._index.tokens[self._frames[index]].decode()

    def _id(self, frame: int) -> str:
        return f"{self._index.scenes[self._index.scene[frame]]}/{frame - self._index.start[frame]:03d}"

    def _global_from_lidar(self, frame: int) -> np.ndarray:
        return self._index.global_from_sensor(self._index.slots[LIDAR][frame])

    def _cloud(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """The points (N, 5) of a file, and which of them the vehicle did not return (N,)."""
        if not path.exists():
            raise self._absent(path)
        cloud = read_cloud(path)
        return cloud, outside(cloud, self.ego_radius)

    def _kinds(self) -> Iterator[LabelKind]:
        if any(self._index.labels) and self._label_folder.is_dir():
            yield "points"
        if self._has_boxes and self.version != "v1.0-test":
            yield "boxes"

    @property
    def _label_folder(self) -> Path:
        return self.root / "lidarseg" / self.version

    def _label_file(self, frame: int) -> Path | None:
        """The lidarseg file of a keyframe; None if there are no labels, or only their tables are there."""
        name = self._index.labels[frame].decode()
        path = self.root / name
        if name and path.is_file():
            return path
        if not name or not self._label_folder.is_dir():
            return None
        names = self._index.labels[self._frames]
        absent = count_absent(self.root, (other.decode() for other in names))
        counts = f"{absent:,} of the {len(names):,} of split '{self.split}' are absent"
        raise DataError(f"{path}: the lidarseg file is missing; {counts}")

    def _earlier(self, frame: int) -> Iterator[_Cloud]:
        """The scans before a keyframe, in the frame of its LiDAR."""
        if self.sweeps == 1:
            return
        tables = self._index
        now = tables.records.timestamp[tables.slots[LIDAR][frame]]
        lidar_from_global = poses.inverse(self._global_from_lidar(frame))
        for record in tables.earlier_sweeps(frame, self.sweeps - 1):
            cloud, kept = self._cloud(self.root / tables.file(record))
            moved = cloud[kept]
            moved[:, :3] = camera.transform(lidar_from_global @ tables.global_from_sensor(record), moved[:, :3])
            yield _Cloud(moved, (now - tables.records.timestamp[record]) / 1e6, int((~kept).sum()))

    @cached_property
    def _learning_map(self) -> np.ndarray:
        """By the index of category.json, which nuScenes-lidarseg adds."""
        path = self._folder / "category.json"
        rows = read_table(self._folder, "category", CategoryRow) if path.is_file() else []
        return learning_map([(row.name, row.index) for row in rows if row.index is not None], path)

    @cached_property
    def _boxes(self) -> Boxes:
        return Boxes(self._folder, [token.decode() for token in self._index.tokens])

    def _absent(self, path: Path) -> DataError:
        """The error of a sensor's file that is not there, with how many others are not."""
        tables = self._index
        scans = tables.slots[LIDAR][self._frames] if tables.sweeps is None else tables.sweeps
        records = {"scans": scans}
        if self.cameras:
            records["images"] = np.concatenate([tables.slots[channel][self._frames] for channel in self.cameras])
        counts = [
            f"{count_absent(self.root, map(tables.file, rows)):,} of the {len(rows):,} {kind}"
            for kind, rows in records.items()
        ]
        return DataError(f"{path}: the file is missing; {' and '.join(counts)} of split '{self.split}' are absent")


def _check_cameras(cameras: Sequence[str]) -> None:
    for name in cameras:
        if name not in CAMERAS:
            raise DataError(f"nuscenes: there is no camera '{name}'; there are: {', '.join(CAMERAS)}")
    if len(set(cameras)) < len(cameras):
        raise DataError(f"nuscenes: cameras must name each camera once, not {', '.join(cameras)}")
