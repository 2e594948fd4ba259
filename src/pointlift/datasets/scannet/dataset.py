"""ScanNet: RGB-D scans of rooms, as frames with their clouds or as whole labelled scenes.

Layout (scan-net.org): ``scans/ID/`` (and ``scans_test/ID/``) with ``ID_vh_clean_2.ply``, its labels, objects and
segments, ``ID.txt``, and the frames as ``ID.sens`` or exported to ``color``, ``depth``, ``pose`` and ``intrinsic``;
``scannetv2-labels.combined.tsv`` beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pointlift.data import camera
from pointlift.data.dataset import Dataset, LabelKind
from pointlift.data.formats import rgbd
from pointlift.data.formats.depth_images import DepthCode
from pointlift.data.normals import normal_columns
from pointlift.data.scene import Scene, View
from pointlift.datasets.scannet import annotation, classes, info, mesh
from pointlift.datasets.scannet.frames import Frames, open_frames, usable
from pointlift.datasets.scannet.splits import SPLITS
from pointlift.errors import DataError
from pointlift.files import read_bytes
from pointlift.options import DATA_ROOT, PLACE
from pointlift.registry import DATASETS


@DATASETS.register("scannet")
class ScanNet(Dataset):
    """ScanNet v2 in its official layout: every n-th frame with its cloud, or whole scenes with labels and boxes.

    ``frames``: the points of a depth image in the depth camera's frame (x right, y down, z forward; metres), with
    their colours and the colour image; frames without a pose or without depth are dropped and counted in
    ``dropped_frames``. ``scenes``: the vertices of the mesh in the room's frame, z up, with labels and instances (0 for
    none) where the scan is annotated.

    Args:
        root: the folder that holds ``scans``; ``~`` is the home folder.
        split: train (1201 scans), val (312), test (100, no labels) as the official lists have it, or all on disk.
        kind: frames or scenes.
        classes: scannet20 (the benchmark), nyu40, or scannet200.
        scenes: only these scans of the split, such as ``[scene0000_00]``.
        scene_list: a text file with one scan per line that takes the place of the official list.
        frame_step: frames whose number is a multiple of this; the number of the frame, not its place in the folder.
        source: of frames: the exported folders, the .sens stream, or auto: the export where there is one.
        stride: every n-th row and column of the depth images.
        min_depth: metres; nearer readings are left out.
        max_depth: metres; farther readings are left out.
        align: turn scenes so that walls are parallel to x and y, as ``ID.txt`` says; boxes are meant for that.
        normals: of the mesh, as the features nx, ny, nz of scenes.
        boxes: axis-aligned boxes of the objects of the 18 classes of detection, for scenes.
        views: number of frames that scenes have as views, spread evenly over the scan.

    Raises:
        DataError: a folder or file is missing, damaged or inconsistent; the message names it.
    """

    name = "scannet"
    box_names = classes.BOX_NAMES
    subset_options = ("scenes", "scene_list", "frame_step")

    def __init__(
        self,
        *,
        root: Annotated[Path, DATA_ROOT],
        split: Literal["train", "val", "test", "all"] = "train",
        kind: Literal["frames", "scenes"] = "frames",
        classes: Literal["scannet20", "nyu40", "scannet200"] = "scannet20",
        scenes: list[str] | None = None,
        scene_list: Annotated[Path | None, PLACE] = None,
        frame_step: Annotated[int, Field(ge=1)] = 25,
        source: Literal["auto", "export", "sens"] = "auto",
        stride: Annotated[int, Field(ge=1)] = 1,
        min_depth: Annotated[float, Field(ge=0)] = 0.1,
        max_depth: Annotated[float, Field(gt=0)] = 10.0,
        align: bool = True,
        normals: bool = False,
        boxes: bool = False,
        views: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        if min(frame_step, stride) < 1:
            raise DataError("scannet: frame_step and stride must be at least 1")
        if kind == "frames" and (normals or boxes or views):
            raise DataError("scannet: normals, boxes and views are for kind 'scenes'")
        self.root, self.split, self.kind = Path(root).expanduser(), split, kind
        self.min_depth = min_depth
        self._align, self._normals, self._boxes, self._views = align, normals, boxes, views
        self._stride, self._step, self._source = stride, frame_step, source
        self._code = DepthCode(min_depth=min_depth, max_depth=max_depth)
        self._set_classes(classes)
        self.feature_names = (*rgbd.FEATURES, "nx", "ny", "nz") if normals else rgbd.FEATURES
        self._folder = _scans_folder(self.root, split)
        self._scans = [self._folder / name for name in _chosen(self._folder, split, scenes, scene_list)]
        self.labels: frozenset[LabelKind] = frozenset(self._kinds())
        self.dropped_frames: dict[str, int] = {"no pose": 0, "no depth": 0}
        self._opened: dict[Path, Frames] = {}
        self._items = self._frame_items() if kind == "frames" else [(scan, -1) for scan in self._scans]

    @property
    def ids(self) -> list[str]:
        """The id of every scene, without reading any: the scan, and the number of the frame for frames."""
        return [self._id(scan, number) for scan, number in self._items]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Scene:  # type: ignore[override]
        scan, number = self._items[index]
        scene = self._frame(scan, number) if self.kind == "frames" else self._whole(scan)
        return scene.validate()

    def views(self, index: int) -> list[View]:
        """The views of scene ``index``, without reading its points."""
        scan, number = self._items[index]
        if self.kind == "frames":
            return [self._frames(scan).view(number)]
        return self._scene_views(scan, self._upright(scan)) if self._views else []

    def image_paths(self, index: int) -> list[Path | None]:
        """The image files of scene ``index``, None in a stream; of frames without their cameras or decoding."""
        scan, number = self._items[index]
        return [self._frames(scan).image_file(number)] if number >= 0 else [view.path for view in self.views(index)]

    def pose(self, index: int) -> np.ndarray:
        """World from points (4, 4): of frames the camera's pose, of scenes what undoes their alignment."""
        scan, number = self._items[index]
        if self.kind == "frames":
            return self._frames(scan).pose(number)
        return np.linalg.inv(self._upright(scan))

    def _set_classes(self, chosen: str) -> None:
        self._classes = classes.CLASSES[chosen]
        self._by_category = chosen == "scannet200"
        self.class_names: tuple[str, ...] = self._classes.names
        self.class_colors = self._classes.colors
        self.prompts = {name: (name.replace("otherf", "other f"),) for name in self.class_names}

    def _kinds(self) -> Iterator[LabelKind]:
        """What the annotators' files give; frames are not annotated."""
        if self.kind == "frames":
            return
        annotated = any(annotation.find_aggregation(scan) for scan in self._scans)
        if annotated if self._by_category else any(_labels_file(scan).is_file() for scan in self._scans):
            yield "points"
        if annotated and self._boxes:
            yield "boxes"

    def _id(self, scan: Path, number: int) -> str:
        return scan.name if number < 0 else f"{scan.name}/{number:06d}"

    def _frames(self, scan: Path) -> Frames:
        if scan not in self._opened:
            self._opened[scan] = open_frames(scan, self._source, self._step)
        return self._opened[scan]

    def _coded(self, scan: Path) -> DepthCode:
        return replace(self._code, scale=self._frames(scan).scale)

    def _frame_items(self) -> list[tuple[Path, int]]:
        items = [
            (scan, number)
            for scan in self._scans
            for number in usable(self._frames(scan), self._coded(scan), self.dropped_frames)
        ]
        if not items:
            counts = ", ".join(f"{count} have {what}" for what, count in self.dropped_frames.items())
            raise DataError(f"{self._folder}: no frame of split '{self.split}' is left by frame_step; {counts}")
        return items

    def _frame(self, scan: Path, number: int) -> Scene:
        frames = self._frames(scan)
        frames.pose(number)  # a broken one is found here and not when it is first needed
        depth_file, color_file = frames.files(number)
        return rgbd.frame_scene(
            frames.depth(number),
            frames.view(number),
            frames.rig,
            self._coded(scan),
            id=self._id(scan, number),
            depth_file=depth_file,
            color_file=color_file,
            stride=self._stride,
        )[0]

    def _whole(self, scan: Path) -> Scene:
        path = scan / f"{scan.name}_vh_clean_2.ply"
        points, features = mesh.read_mesh(path, normals=self._normals)
        upright = self._upright(scan)
        points = camera.transform(upright, points)
        if self._normals:
            features[:, 3:] = features[:, 3:] @ upright[:3, :3].T
        files = {"points": path, "features": path}
        scene = Scene(points.astype(np.float32), features.astype(np.float32), id=scan.name, up_axis="z", files=files)
        scene.normal_columns = normal_columns(self.feature_names)
        self._annotate(scene, scan)
        if self._views:
            scene.views = self._scene_views(scan, upright)
        return scene

    def _annotate(self, scene: Scene, scan: Path) -> None:
        labels = _labels_file(scan)
        if labels.is_file() and not self._by_category:
            scene.files["labels"] = labels
            scene.labels = classes.from_nyu40(mesh.read_labels(labels, len(scene)), self._classes, labels)
        aggregation = annotation.find_aggregation(scan)
        if aggregation is None:
            return
        scene.files["instances"] = scene.files["boxes"] = scene.files["box_labels"] = aggregation
        objects = annotation.read_objects(aggregation, len(scene))
        scene.instances = objects.instances
        if self._by_category:
            scene.files["labels"] = aggregation
            scene.labels = annotation.labels_by_id(objects, self._table, self._classes.ids)
        if self._boxes:
            scene.boxes, scene.box_labels = annotation.boxes(scene.points, objects, self._table)

    def _scene_views(self, scan: Path, upright: np.ndarray) -> list[View]:
        frames = self._frames(scan)
        tracked = [number for number in frames.numbers if frames.tracked(number)]
        count = min(self._views, len(tracked))
        views = []
        for number in (tracked[i * len(tracked) // count] for i in range(count)):
            view = frames.view(number)
            camera_from_mesh = view.camera_from_points @ np.linalg.inv(frames.pose(number))
            views.append(View(f"{number:06d}", view.intrinsics, camera_from_mesh @ np.linalg.inv(upright), view.source))
        return views

    def _upright(self, scan: Path) -> np.ndarray:
        return info.axis_alignment(scan) if self._align else np.eye(4)

    @cached_property
    def _table(self) -> classes.LabelTable:
        beside = self._folder.parent / classes.TABLE
        return classes.read_table(self.root / classes.TABLE if (self.root / classes.TABLE).is_file() else beside)


def _labels_file(scan: Path) -> Path:
    return scan / f"{scan.name}_vh_clean_2.labels.ply"


def _scans_folder(root: Path, split: str) -> Path:
    if not root.is_dir():
        raise DataError(f"{root}: the folder does not exist; root is the folder that holds 'scans'")
    names = ("scans_test", "scans") if split == "test" else ("scans",)
    for name in names:
        if (root / name).is_dir():
            return root / name
    if any(entry.is_dir() for entry in root.glob("scene*_*")):
        return root
    raise DataError(f"{root}: the folder holds neither {' nor '.join(names)}, nor scans such as scene0000_00")


def _chosen(folder: Path, split: str, scenes: list[str] | None, scene_list: Path | None) -> list[str]:
    """Names of the scans to read, sorted: those of the list that are on disk, or those asked for."""
    on_disk = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name.startswith("scene"))
    if scene_list is not None:
        allowed: Sequence[str] = read_bytes(scene_list.expanduser()).decode("latin-1").split()
        where = str(scene_list)
    else:
        allowed, where = on_disk if split == "all" else SPLITS[split], f"split '{split}'"
    wanted = allowed if scenes is None else scenes
    for name in scenes or []:
        if name not in allowed:
            raise DataError(f"{folder}: the scan '{name}' is not in {where}")
        if name not in on_disk:
            raise DataError(f"{folder}: there is no scan '{name}' on disk")
    chosen = [name for name in on_disk if name in set(wanted)]
    if not chosen:
        raise DataError(f"{folder}: none of the {len(allowed)} scans of {where} is on disk")
    return chosen
