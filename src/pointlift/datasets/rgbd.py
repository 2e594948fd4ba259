"""Any folder of colour images, depth images and poses, such as 7-Scenes, one's own recordings, or mOSD."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from pointlift.data.dataset import Dataset
from pointlift.data.formats import rgbd
from pointlift.data.scene import Scene, View
from pointlift.errors import DataError
from pointlift.options import DATA_ROOT
from pointlift.registry import DATASETS

PLACEHOLDER = "{frame}"


class Layout(NamedTuple):
    """Names of the files of one frame, relative to the folder of its sequence; empty for what there is not."""

    color: str
    depth: str
    pose: str = ""
    labels: str = ""


LAYOUTS = (
    *(
        Layout(f"frame-{{frame}}.color.{s}", "frame-{frame}.depth.png", "frame-{frame}.pose.txt")
        for s in ("png", "jpg")
    ),
    *(Layout(f"color/{{frame}}.{s}", "depth/{frame}.png", "pose/{frame}.txt") for s in ("jpg", "png")),
    *(
        Layout(f"rgb/{{frame}}.{s}", "depth/{frame}.png", "pose/{frame}.txt", "label/{frame}.png")
        for s in ("png", "jpg")
    ),
)
INTRINSICS = ("camera-intrinsics.txt", "intrinsics.txt", "intrinsic/intrinsic_depth.txt", "intrinsic_depth.txt")


class _Frame(NamedTuple):
    """One frame on disk; None for what is absent in the whole sequence."""

    id: str
    color: Path
    depth: Path
    pose: Path | None
    labels: Path | None


@DATASETS.register("rgbd")
class RGBD(Dataset):
    """Any folder of colour, depth and pose, one scene per frame, with the intrinsics and a depth scale.

    Points are in the depth camera's frame (x right, y down, z forward; metres), with the colours that the colour
    camera sees. The folder is a sequence, or holds sequences, at most two levels down. A block of frames of every
    sequence, by default the last ones, are its validation frames, beyond a gap in which the camera moves on.

    Frames without depth are dropped and counted in ``dropped_frames``, after the split is made, which they do not move.
    Only depth images whose file is too small to hold much are looked at for that (`rgbd.may_be_empty`): one that is
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
        intrinsics: Path | list[float] | None = None,
        color_intrinsics: Path | list[float] | None = None,
        color_from_depth: Path | list[float] | None = None,
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
        self._code = rgbd.DepthCode(depth_scale, tuple(invalid), min_depth, max_depth)
        given = {"color": color, "depth": depth, "pose": pose, "labels": labels}
        asked = [option for option, pattern in given.items() if pattern]
        sequences = [_frames(self.root, folder, layout, asked) for folder, layout in _sequences(self.root, given)]
        longest = max(map(len, sequences))
        if block and block * held_out >= longest:
            raise DataError(
                f"{self.root}: block {block} of {held_out} frames lies before the first; the longest sequence has "
                f"{longest}"
            )
        self._frames = [
            frame for frames in sequences for frame in _part(frames, split, held_out, gap, block)[::frame_step]
        ]
        if not self._frames:
            raise DataError(
                f"{self.root}: no frame is left for split '{split}' by held_out {held_out}, gap {gap} and block {block}"
            )
        self._named = bool(classes)
        has_labels = any(frame.labels for frame in self._frames)
        self.class_names: tuple[str, ...] = tuple(classes) or (("table", "object") if has_labels else ())
        self._rig = self._read_rig(intrinsics, color_intrinsics, color_from_depth)
        first = self._frames[0]
        sizes = rgbd.image_size(first.depth), rgbd.image_size(first.color)
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
            rgbd.read_pose(frame.pose)  # a broken one is found here and not when it is first needed
        raw = rgbd.read_depth(frame.depth)
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
            values = rgbd.read_label_image(frame.labels, raw.shape)[cloud.rows, cloud.columns]
            scene.files["labels"] = scene.files["instances"] = frame.labels
            scene.labels, scene.instances = self._labels(values, frame.labels)
        return scene.validate()

    def views(self, index: int) -> list[View]:
        """The view of scene ``index``, without reading its depth."""
        return [self._view(self._frames[index])]

    def pose(self, index: int) -> np.ndarray:
        """World from camera (4, 4): takes the points of scene ``index`` to the frame of the sequence's world."""
        frame = self._frames[index]
        if frame.pose is None:
            raise DataError(f"{frame.depth}: the sequence has no poses; 'pose' is the pattern of their files")
        return rgbd.read_pose(frame.pose)

    def _drop_empty(self, size: tuple[int, int]) -> None:
        """Drop the frames without depth; ``size`` is that of the first depth image."""
        kept = [frame for frame in self._frames if not rgbd.may_be_empty(frame.depth, size) or self._measures(frame)]
        if not kept:
            raise DataError(
                f"{self.root}: none of the {len(self._frames)} frames of split '{self.split}' has a depth between "
                f"{self._code.min_depth:g} and {self._code.max_depth:g} m; are depth_scale and the depth images right?"
            )
        self.dropped_frames["no depth"] = len(self._frames) - len(kept)
        self._frames = kept

    def _measures(self, frame: _Frame) -> bool:
        depth = self._code.metres(rgbd.read_depth(frame.depth))
        return bool(depth[:: self.stride, :: self.stride].any())

    def _view(self, frame: _Frame) -> View:
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
            transform = rgbd.read_pose(self.root / color_from_depth.expanduser())
        elif color_from_depth is not None:
            transform = rgbd.rigid(color_from_depth, "rgbd: color_from_depth")
        K = self._matrix(intrinsics, "intrinsics")
        color = None if color_intrinsics is None else self._matrix(color_intrinsics, "color_intrinsics")
        return rgbd.Rig(K, color, transform)

    def _matrix(self, value: Path | list[float], option: str) -> np.ndarray:
        if isinstance(value, (str, Path)):
            return rgbd.read_intrinsics(self.root / Path(value).expanduser())
        return rgbd.intrinsics(value, f"rgbd: {option}")

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


def _sequences(root: Path, given: dict[str, str | None]) -> list[tuple[Path, Layout]]:
    """The folders that hold frames, with the layout of each, sorted."""
    if not root.is_dir():
        raise DataError(f"{root}: the folder does not exist; root is the folder that holds the frames")
    for option, pattern in given.items():
        if pattern and pattern.count(PLACEHOLDER) != 1:
            raise DataError(f"rgbd: {option} must contain {PLACEHOLDER} once, not be '{pattern}'")
    found: list[tuple[Path, Layout]] = []
    level = [root]
    for _ in range(3):
        found = [(folder, layout) for folder in level if (layout := _layout(folder, given)) is not None]
        if found:
            return found
        level = sorted(entry for folder in level for entry in folder.iterdir() if _is_folder(entry))
    known = "; ".join(f"{layout.color} and {layout.depth}" for layout in LAYOUTS[::2])
    raise DataError(
        f"{root}: no frames are there, nor in its folders; give 'color' and 'depth', or use one of: {known}"
    )


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _layout(folder: Path, given: dict[str, str | None]) -> Layout | None:
    """The first known layout, with what was given in place of its own, of which the folder has a colour image."""
    changes = {option: pattern for option, pattern in given.items() if pattern is not None}
    for layout in LAYOUTS:
        changed = layout._replace(**changes)
        if _matching(folder, changed.color) and _matching(folder, changed.depth):
            return changed
    return None


def _matching(folder: Path, pattern: str) -> dict[str, Path]:
    """The files of a pattern by the name of their frame."""
    where = folder / pattern
    before, after = where.name.split(PLACEHOLDER) if PLACEHOLDER in where.name else ("", "")
    if PLACEHOLDER not in where.name or not where.parent.is_dir():
        return {}
    with os.scandir(where.parent) as entries:
        names = [entry.name for entry in entries]
    return {
        name[len(before) : len(name) - len(after)]: where.parent / name
        for name in names
        if name.startswith(before) and name.endswith(after) and len(name) > len(before) + len(after) and name[0] != "."
    }


def _frames(root: Path, folder: Path, layout: Layout, asked: list[str]) -> list[_Frame]:
    """All frames of a sequence in their order; each must have what any of them has, and what was asked for."""
    sequence = folder.relative_to(root).as_posix() if folder != root else root.resolve().name
    files = {option: _matching(folder, pattern) if pattern else {} for option, pattern in layout._asdict().items()}
    for option in asked:
        if not files[option]:
            raise DataError(f"{folder / getattr(layout, option)}: no file has a name of this pattern of '{option}'")
    frames = []
    for frame in sorted(set(files["color"]) | set(files["depth"]), key=rgbd.natural_order):
        paths: dict[str, Path | None] = {}
        for option, what in (
            ("color", "colour image"),
            ("depth", "depth image"),
            ("pose", "pose"),
            ("labels", "labels"),
        ):
            paths[option] = files[option].get(frame)
            if files[option] and paths[option] is None:
                path = folder / getattr(layout, option).replace(PLACEHOLDER, frame)
                raise DataError(f"{path}: the {what} of frame {frame} is missing, though other frames have one")
        color, depth = files["color"][frame], files["depth"][frame]
        frames.append(_Frame(f"{sequence}/{frame}", color, depth, paths["pose"], paths["labels"]))
    return frames


def _part(frames: list[_Frame], split: str, held_out: int, gap: int, block: int) -> list[_Frame]:
    return [frames[i] for i in rgbd.held_out(len(frames), split, held_out, gap, block)]
