"""Any folder of colour images, depth images and poses, such as 7-Scenes, one's own recordings, or mOSD."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pointlift.data.dataset import Dataset, LabelKind
from pointlift.data.formats import depth_images, matrices, rgbd
from pointlift.data.scene import Scene, View
from pointlift.datasets.rgbd.cameras import read_rig
from pointlift.datasets.rgbd.layouts import Frame, frames_of, sequences_of, split_of
from pointlift.errors import DataError
from pointlift.options import DATA_ROOT, PLACE
from pointlift.registry import DATASETS

MILLIMETRES = 1000.0
DOUBTFUL = 0.1
"""Share of readings beyond the largest depth from which the scale is doubted."""
_log = logging.getLogger(__name__)


@DATASETS.register("rgbd")
class RGBD(Dataset):
    """Any folder of colour, depth and pose, one scene per frame, with the intrinsics and a depth scale.

    Points are in the depth camera's frame (x right, y down, z forward; metres), with the colours that the colour
    camera sees. The folder is a sequence, or holds sequences, at most two levels down. A block of frames of every
    sequence, by default the last ones, are its validation frames, beyond a gap in which the camera moves on.

    Frames without depth, and those whose pose file says that tracking was lost, are dropped and counted in
    ``dropped_frames``, after the split is made, which they do not move.
    Only depth images whose file is too small to hold much are looked at for that (see `may_be_empty`): one that is
    stored without compression, or full of readings out of range, is an error when it is read.

    Args:
        root: the folder; ``~`` is the home folder.
        split: train, val, or all frames.
        held_out: neighbouring frames of each sequence that are val.
        block: which of its blocks of so many frames, from the end: 0 the last, 1 that before it, ….
        gap: frames before them that belong to neither.
        color: pattern of the colour images, such as ``rgb/{frame}.png``; the layouts of 7-Scenes, of ScanNet's
            exporter (color, depth, pose) and of mOSD (rgb, depth, label) are found without, and so is TUM's, where
            the images are those that associations.txt, or rgb.txt and depth.txt, pair by their time.
        depth: pattern of the depth images, 16 bits per pixel.
        pose: pattern of the poses, 4 x 4 matrices from the camera's to the world's frame; empty: there are none. TUM's
            are those of groundtruth.txt, where it has one for the time of the colour image.
        labels: pattern of label images of the size of the depth images; empty: there are none.
        classes: names of the values 1, 2, … of the label images; 0 has no label. Without names a label image is read
            as mOSD has it: 1 to 9 a table, 20 to 29 the first object, 30 to 39 the second, ….
        intrinsics: of the depth camera: a file, or fx, fy, cx, cy, or a matrix, for all sequences. Files are looked for
            beside the frames of each sequence and in the folders above, up to the root; so are those without it.
        color_intrinsics: of the colour camera, if the colour images are not registered to the depth images.
        color_from_depth: 4 x 4 rigid transform from the depth camera to the colour camera: a file or 16 numbers.
        depth_scale: the number in a depth image that stands for one metre: 1000 for millimetres (the default), 5000
            for mOSD and TUM.
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
        depth_scale: Annotated[float, Field(gt=0)] = MILLIMETRES,
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
        given = {"color": color, "depth": depth, "pose": pose, "labels": labels}
        asked = [option for option, pattern in given.items() if pattern]
        sequences = [frames_of(self.root, folder, layout, asked) for folder, layout in sequences_of(self.root, given)]
        self._code = depth_images.DepthCode(depth_scale, tuple(invalid), min_depth, max_depth)
        longest = max(len(sequence.frames) for sequence in sequences)
        if block and block * held_out >= longest:
            raise DataError(
                f"{self.root}: block {block} of {held_out} frames lies before the first; the longest sequence has "
                f"{longest}"
            )
        self._frames = [
            frame
            for sequence in sequences
            for frame in split_of(sequence.frames, split, held_out, gap, block)[::frame_step]
        ]
        if not self._frames:
            raise DataError(
                f"{self.root}: no frame is left for split '{split}' by held_out {held_out}, gap {gap} and block {block}"
            )
        self._named = bool(classes)
        has_labels = any(frame.labels for frame in self._frames)
        self.class_names: tuple[str, ...] = tuple(classes) or (("table", "object") if has_labels else ())
        self.labels: frozenset[LabelKind] = frozenset({"points"} if has_labels else ())
        first = {frame.folder: frame for frame in reversed(self._frames)}
        self._rigs = {
            folder: read_rig(self.root, frame, intrinsics, color_intrinsics, color_from_depth)
            for folder, frame in first.items()
        }
        self.dropped_frames: dict[str, int] = {"no pose": 0, "no depth": 0}
        if timed := next((sequence.frames[0] for sequence in sequences if sequence.timed), None):
            _doubt_scale(timed, self._code)
            self.dropped_frames["no depth image of their time"] = sum(sequence.alone for sequence in sequences)
        self._drop_lost()
        self._drop_empty()

    @property
    def ids(self) -> list[str]:
        """The id of every scene, without reading any: folder of the sequence and name of the frame."""
        return [frame.id for frame in self._frames]

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Scene:  # type: ignore[override]
        frame = self._frames[index]
        frame.world_from_camera()  # a broken one is found here and not when it is first needed
        raw = depth_images.read_depth(frame.depth)
        view = self._view(frame)
        scene, cloud = rgbd.frame_scene(
            raw,
            view,
            self._rigs[frame.folder],
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
        """World from camera (4, 4): from the points of scene ``index`` to the sequence's world; None without a pose."""
        return self._frames[index].world_from_camera()

    def _drop_lost(self) -> None:
        """Drop the frames whose pose file says that tracking was lost: nobody knows what else is wrong with them."""
        kept = [frame for frame in self._frames if not isinstance(frame.pose, Path) or not matrices.is_lost(frame.pose)]
        if not kept:
            raise DataError(
                f"{self.root}: tracking was lost in all {len(self._frames)} frames of split '{self.split}', by their "
                "pose files; to read them without poses, move these away, or give none with pose=''"
            )
        self.dropped_frames["no pose"] = len(self._frames) - len(kept)
        self._frames = kept

    def _drop_empty(self) -> None:
        """Drop the frames without depth, of those whose file is so small for its size that there may be none."""
        kept = [frame for frame in self._frames if not self._may_be_empty(frame) or self._measures(frame)]
        if not kept:
            raise DataError(
                f"{self.root}: none of the {len(self._frames)} frames of split '{self.split}' has a depth between "
                f"{self._code.min_depth:g} and {self._code.max_depth:g} m; are depth_scale and the depth images right?"
            )
        self.dropped_frames["no depth"] = len(self._frames) - len(kept)
        self._frames = kept

    def _may_be_empty(self, frame: Frame) -> bool:
        sizes = self._rigs[frame.folder].sizes
        return sizes is None or depth_images.may_be_empty(frame.depth, sizes[0])

    def _measures(self, frame: Frame) -> bool:
        depth = self._code.metres(depth_images.read_depth(frame.depth))
        return bool(depth[:: self.stride, :: self.stride].any())

    def _view(self, frame: Frame) -> View:
        rig = self._rigs[frame.folder]
        return View("color", rig.color_intrinsics, rig.color_from_depth.copy(), frame.color)

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


def _doubt_scale(timed: Frame, code: depth_images.DepthCode) -> None:
    """Warn if a frame's numbers are too large for millimetres: TUM's layout does not say which of two habits it has."""
    raw = depth_images.read_depth(timed.depth)
    readings = raw[~np.isin(raw, code.invalid)] / code.scale
    beyond = float((readings > code.max_depth).mean()) if len(readings) else 0.0
    if code.scale == MILLIMETRES and beyond > DOUBTFUL:
        _log.warning(
            "%s: %.0f %% of the readings lie beyond %g m with depth_scale 1000, as where it should be 5000, TUM's own",
            timed.depth,
            100 * beyond,
            code.max_depth,
        )
