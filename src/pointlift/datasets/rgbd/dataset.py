"""Any folder of colour images, depth images and poses, such as 7-Scenes, one's own recordings, or mOSD."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pointlift.data.dataset import Dataset, LabelKind
from pointlift.data.formats import depth_images, matrices, rgbd
from pointlift.data.scene import Scene, View
from pointlift.datasets.rgbd.layouts import Frame, frames_of, sequences_of, split_of
from pointlift.errors import DataError
from pointlift.options import DATA_ROOT, PLACE
from pointlift.registry import DATASETS

INTRINSICS = ("camera-intrinsics.txt", "intrinsics.txt", "intrinsic/intrinsic_depth.txt", "intrinsic_depth.txt")


@DATASETS.register("rgbd")
class RGBD(Dataset):
    """Any folder of colour, depth and pose, one scene per frame, with the intrinsics and a depth scale.

    Points are in the depth camera's frame (x right, y down, z forward; metres), with the colours that the colour
    camera sees. The folder is a sequence, or holds sequences, at most two levels down. A block of frames of every
    sequence, by default the last ones, are its validation frames, beyond a gap in which the camera moves on.

    Frames without depth are dropped and counted in ``dropped_frames``, after the split is made, which they do not move.
    Only depth images whose file is too small to hold much are looked at for that (see `may_be_empty`): one that is
    stored without compression, or full of readings out of range, is an error when it is read.

    Args:
        root: the folder; ``~`` is the home folder.
        split: train, val, or all frames.
        held_out: neighbouring frames of each sequence that are val.
        block: which of its blocks of so many frames, from the end: 0 the last, 1 that before it, ….
        gap: frames before them that belong to neither.
        color: pattern of the colour images, such as ``rgb/{frame}.png``; the layouts of 7-Scenes, of ScanNet's
            exporter (color, depth, pose) and of mOSD (rgb, depth, label) are found without.
        depth: pattern of the depth images, 16 bits per pixel.
        pose: pattern of the poses, 4 x 4 matrices from the camera's to the world's frame; empty: there are none.
        labels: pattern of label images of the size of the depth images; empty: there are none.
        classes: names of the values 1, 2, … of the label images; 0 has no label. Without names a label image is read
            as mOSD has it: 1 to 9 a table, 20 to 29 the first object, 30 to 39 the second, ….
        intrinsics: of the depth camera: a file, or fx, fy, cx, cy, or a matrix; without it, the root's own file.
        color_intrinsics: of the colour camera, if the colour images are not registered to the depth images.
        color_from_depth: 4 x 4 rigid transform from the depth camera to the colour camera: a file or 16 numbers.
        depth_scale: the number in a depth image that stands for one metre: 1000 for millimetres, 5000 for mOSD.
        invalid: numbers in a depth image that stand for no reading.
        min_depth: metres; nearer readings are left out.
        max_depth: metres; farther readings are left out.
        frame_step: every n-th frame of a sequence's part.
        stride: every n-th row and column of the depth images.

    Raises:
        DataError: a folder or file is missing, damaged or inconsistent; the message names it.
    """

    name = "rgbd"
    feature_names = rgbd.FEATURES
    subset_options = ("frame_step",)

    def __init__(
        self,
        *,
        root: Annotated[Path, DATA_ROOT],
        split: Literal["train", "val", "all"] = "train",
        held_out: Annotated[int, Field(ge=0)] = 20,
        block: Annotated[int, Field(ge=0)] = 0,
        gap: Annotated[int, Field(ge=0)] = 10,
        color: str | None = None,
        depth: str | None = None,
        pose: str | None = None,
        labels: str | None = None,
        classes: tuple[str, ...] = (),
        intrinsics: Annotated[Path, PLACE] | list[float] | None = None,
        color_intrinsics: Annotated[Path, PLACE] | list[float] | None = None,
        color_from_depth: Annotated[Path, PLACE] | list[float] | None = None,
        depth_scale: Annotated[float, Field(gt=0)] = 1000.0,
        invalid: tuple[int, ...] = (0, 65535),
        min_depth: Annotated[float, Field(ge=0)] = 0.1,
        max_depth: Annotated[float, Field(gt=0)] = 10.0,
        frame_step: Annotated[int, Field(ge=1)] = 1,
        stride: Annotated[int, Field(ge=1)] = 1,
    ) -> None:
        if min(frame_step, stride) < 1 or min(held_out, gap, block) < 0:
            raise DataError("rgbd: frame_step and stride must be at least 1, held_out, gap and block at least 0")
        if depth_scale <= 0 or not 0 <= min_depth < max_depth:
            raise DataError("rgbd: depth_scale must be above 0 and min_depth between 0 and max_depth")
        self.root, self.split, self.stride = Path(root).expanduser(), split, stride
        self.min_depth = min_depth
        self._code = depth_images.DepthCode(depth_scale, tuple(invalid), min_depth, max_depth)
        given = {"color": color, "depth": depth, "pose": pose, "labels": labels}
        asked = [option for option, pattern in given.items() if pattern]
        sequences = [frames_of(self.root, folder, layout, asked) for folder, layout in sequences_of(self.root, given)]
        longest = max(map(len, sequences))
        if block and block * held_out >= longest:
            raise DataError(
                f"{self.root}: block {block} of {held_out} frames lies before the first; the longest sequence has "
                f"{longest}"
            )
        self._frames = [
            frame for frames in sequences for frame in split_of(frames, split, held_out, gap, block)[::frame_step]
        ]
        if not self._frames:
            raise DataError(
                f"{self.root}: no frame is left for split '{split}' by held_out {held_out}, gap {gap} and block {block}"
            )
        self._named = bool(classes)
        has_labels = any(frame.labels for frame in self._frames)
        self.class_names: tuple[str, ...] = tuple(classes) or (("table", "object") if has_labels else ())
        self.labels: frozenset[LabelKind] = frozenset({"points"} if has_labels else ())
        self._rig = self._read_rig(intrinsics, color_intrinsics, color_from_depth)
        first = self._frames[0]
        sizes = depth_images.image_size(first.depth), depth_images.image_size(first.color)
        rgbd.check_sizes(*sizes, self._rig, first.depth, first.color)
        self.dropped_frames: dict[str, int] = {"no depth": 0}
        self._drop_empty(sizes[0])

    @property
    def ids(self) -> list[str]:
        """The id of every scene, without reading any: folder of the sequence and name of the frame."""
        return [frame.id for frame in self._frames]

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Scene:  # type: ignore[override]
        frame = self._frames[index]
        if frame.pose is not None:
            matrices.read_pose(frame.pose)  # a broken one is found here and not when it is first needed
        raw = depth_images.read_depth(frame.depth)
        view = self._view(frame)
        scene, cloud = rgbd.frame_scene(
            raw,
            view,
            self._rig,
            self._code,
            id=frame.id,
            depth_file=frame.depth,
            color_file=frame.color,
            stride=self.stride,
        )
        if frame.labels is not None:
            values = depth_images.read_label_image(frame.labels, raw.shape)[cloud.rows, cloud.columns]
            scene.files["labels"] = scene.files["instances"] = frame.labels
            scene.labels, scene.instances = self._labels(values, frame.labels)
        return scene.validate()

    def views(self, index: int) -> list[View]:
        """The view of scene ``index``, without reading its depth."""
        return [self._view(self._frames[index])]

    def image_paths(self, index: int) -> list[Path]:
        """The colour image of scene ``index``."""
        return [self._frames[index].color]

    def pose(self, index: int) -> np.ndarray | None:
        """World from camera (4, 4): from the points of scene ``index`` to the sequence's world; None without poses."""
        path = self._frames[index].pose
        return None if path is None else matrices.read_pose(path)

    def _drop_empty(self, size: tuple[int, int]) -> None:
        """Drop the frames without depth; ``size`` is that of the first depth image."""
        small = depth_images.may_be_empty
        kept = [frame for frame in self._frames if not small(frame.depth, size) or self._measures(frame)]
        if not kept:
            raise DataError(
                f"{self.root}: none of the {len(self._frames)} frames of split '{self.split}' has a depth between "
                f"{self._code.min_depth:g} and {self._code.max_depth:g} m; are depth_scale and the depth images right?"
            )
        self.dropped_frames["no depth"] = len(self._frames) - len(kept)
        self._frames = kept

    def _measures(self, frame: Frame) -> bool:
        depth = self._code.metres(depth_images.read_depth(frame.depth))
        return bool(depth[:: self.stride, :: self.stride].any())

    def _view(self, frame: Frame) -> View:
        return View("color", self._rig.color_intrinsics, self._rig.color_from_depth.copy(), frame.color)

    def _read_rig(
        self,
        intrinsics: Path | list[float] | None,
        color_intrinsics: Path | list[float] | None,
        color_from_depth: Path | list[float] | None,
    ) -> rgbd.Rig:
        if intrinsics is None:
            folders = [self.root, *self._frames[0].depth.parents[:2]]
            found = [folder / name for folder in folders for name in INTRINSICS if (folder / name).is_file()]
            if not found:
                raise DataError(
                    f"{self.root}: there are no intrinsics of the depth camera; give 'intrinsics' as a file or as fx, "
                    f"fy, cx, cy, or put them into {INTRINSICS[0]}"
                )
            intrinsics = found[0].resolve()  # it has the root in it already
        transform = np.eye(4)
        if isinstance(color_from_depth, Path):
            transform = matrices.read_pose(self.root / color_from_depth.expanduser())
        elif color_from_depth is not None:
            transform = matrices.rigid(color_from_depth, "rgbd: color_from_depth")
        K = self._matrix(intrinsics, "intrinsics")
        color = None if color_intrinsics is None else self._matrix(color_intrinsics, "color_intrinsics")
        return rgbd.Rig(K, color, transform)

    def _matrix(self, value: Path | list[float], option: str) -> np.ndarray:
        if isinstance(value, (str, Path)):
            return matrices.read_intrinsics(self.root / Path(value).expanduser())
        return matrices.intrinsics(value, f"rgbd: {option}")

    def _labels(self, values: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray | None]:
        """Classes (N,), and instances (N,) if the label image tells objects apart: 0 for none, the table is 1."""
        if not self._named:
            merged = np.where(values < 10, values > 0, values // 10).astype(np.int64)
            return np.minimum(merged, 2) - 1, merged
        if values.max(initial=0) > len(self.class_names):
            raise DataError(
                f"{path}: the label {values.max()} is not one of the {len(self.class_names)} classes: "
                f"{', '.join(self.class_names)}"
            )
        return values - 1, None
