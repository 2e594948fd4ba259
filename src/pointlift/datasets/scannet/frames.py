"""The RGB-D frames of one scan, from the folders that ScanNet's exporter writes or from the .sens stream itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import numpy as np

from pointlift.data.formats import rgbd
from pointlift.data.formats.depth_images import DepthCode, read_depth
from pointlift.data.formats.images import COLOR_SUFFIXES, image_size
from pointlift.data.formats.matrices import is_lost, lost, read_intrinsics, read_pose
from pointlift.data.formats.sens import SensFile
from pointlift.data.scene import View
from pointlift.data.view import fitted_intrinsics
from pointlift.datasets.scannet.info import stated_size
from pointlift.errors import DataError

DEPTH_SCALE = 1000.0
SMALL = 4096
"""Bytes; a compressed depth image of fewer may be empty and is looked at. Real ones have tens of thousands."""
CAMERA = "color"


class Frames(Protocol):
    """The frames of a scan by their numbers; ``rig`` and ``scale`` hold for all of them."""

    rig: rgbd.Rig
    scale: float
    numbers: list[int]

    def tracked(self, number: int) -> bool:
        """Whether the frame has a pose; where tracking was lost, it is -inf."""
        ...

    def may_be_empty(self, number: int) -> bool:
        """Whether the depth image has so few bytes that it may hold nothing."""
        ...

    def pose(self, number: int) -> np.ndarray:
        """World from camera (4, 4)."""
        ...

    def depth(self, number: int) -> np.ndarray:
        """The depth image (H, W) uint16."""
        ...

    def view(self, number: int) -> View:
        """The colour image, seen from the depth camera's frame."""
        ...

    def image_file(self, number: int) -> Path | None:
        """The file of the colour image; None in a stream, which holds all of them."""
        ...

    def files(self, number: int) -> tuple[Path, Path]:
        """Where depth and colour are, for messages."""
        ...


class Exported:
    """Frames in ``color/N.jpg``, ``depth/N.png``, ``pose/N.txt`` and ``intrinsic/*.txt`` of a scan's folder.

    Numbers may have leading zeros, and not the same in all three. Where images were resized and ``ID.txt`` says from
    which size, the intrinsics follow.
    """

    scale = DEPTH_SCALE

    def __init__(self, folder: Path, step: int) -> None:
        self._folder = folder
        self._depth = _numbered(folder / "depth", (".png",), step)
        self._color = _numbered(folder / "color", COLOR_SUFFIXES, step)
        self._poses = _numbered(folder / "pose", (".txt",), step)
        self.numbers = sorted(self._depth)
        for number in self.numbers:
            if number not in self._color:
                raise DataError(f"{folder / 'color'}: frame {number} has a depth image but no colour image")
        if not self.numbers:
            raise DataError(f"{folder / 'depth'}: there is no depth image whose number is a multiple of {step}")
        self.rig = self._read_rig()

    def _read_rig(self) -> rgbd.Rig:
        first = self.files(self.numbers[0])
        sizes = image_size(first[0]), image_size(first[1])
        Ks = []
        for camera, size, image in zip(("depth", "color"), sizes, first, strict=True):
            path = _intrinsics_file(self._folder, camera)
            stated = stated_size(self._folder, camera) or size
            Ks.append(fitted_intrinsics(read_intrinsics(path), stated, size, str(image)))
        rig = rgbd.Rig(Ks[0], Ks[1], rgbd.read_extrinsics(path.parent), sizes)
        rgbd.check_sizes(*sizes, rig, *first)
        return rig

    def tracked(self, number: int) -> bool:
        """Whether the frame has a pose; where tracking was lost, it is -inf."""
        return not is_lost(self._pose(number))

    def may_be_empty(self, number: int) -> bool:
        """Whether the depth image is so small a file that it may hold nothing."""
        return (self._folder / "depth" / self._depth[number]).stat().st_size < SMALL

    def pose(self, number: int) -> np.ndarray:
        """World from camera (4, 4)."""
        return read_pose(self._pose(number))

    def depth(self, number: int) -> np.ndarray:
        """The depth image (H, W) uint16."""
        return read_depth(self.files(number)[0])

    def view(self, number: int) -> View:
        """The colour image, seen from the depth camera's frame."""
        return View(CAMERA, self.rig.color_intrinsics, self.rig.color_from_depth.copy(), self.files(number)[1])

    def image_file(self, number: int) -> Path:
        """The file of the colour image."""
        return self.files(number)[1]

    def files(self, number: int) -> tuple[Path, Path]:
        """Where depth and colour are, for messages."""
        return self._folder / "depth" / self._depth[number], self._folder / "color" / self._color[number]

    def _pose(self, number: int) -> Path:
        return self._folder / "pose" / self._poses.get(number, f"{Path(self._depth[number]).stem}.txt")


class Streamed:
    """Frames of ``ID.sens``."""

    def __init__(self, path: Path, step: int) -> None:
        self._file = SensFile(path, step)
        self.rig, self.scale = self._file.rig, self._file.header.depth_scale
        self.numbers = list(range(0, len(self._file), step))

    def tracked(self, number: int) -> bool:
        """Whether the frame has a pose; where tracking was lost, it is -inf."""
        return not lost(self._file.stored_pose(number))

    def may_be_empty(self, number: int) -> bool:
        """Whether the depth image has so few bytes that it may hold nothing."""
        return self._file.depth_bytes(number) < SMALL

    def pose(self, number: int) -> np.ndarray:
        """World from camera (4, 4)."""
        return self._file.pose(number)

    def depth(self, number: int) -> np.ndarray:
        """The depth image (H, W) uint16."""
        return self._file.depth(number)

    def view(self, number: int) -> View:
        """The colour image, decoded, seen from the depth camera's frame."""
        return View(CAMERA, self.rig.color_intrinsics, self.rig.color_from_depth.copy(), self._file.color(number))

    def image_file(self, number: int) -> None:
        """None: the images are no files of their own."""

    def files(self, number: int) -> tuple[Path, Path]:
        """Where depth and colour are, for messages."""
        return self._file.path, self._file.path


def open_frames(folder: Path, source: str, step: int) -> Frames:
    """The frames of a scan's folder whose numbers are multiples of ``step``; of all of them there are 2.5 million.

    ``source`` is export, sens, or auto, which takes the export where there is one.
    """
    stream = folder / f"{folder.name}.sens"
    exported = (folder / "depth").is_dir()
    if source == "export" or (source == "auto" and exported):
        return Exported(folder, step)
    if source == "auto" and not stream.is_file():
        raise DataError(
            f"{folder}: there are neither exported frames (color, depth, pose, intrinsic) nor {stream.name}"
        )
    return Streamed(stream, step)


def usable(frames: Frames, code: DepthCode, dropped: dict[str, int]) -> list[int]:
    """The numbers of frames with a pose and a depth; the others are counted in ``dropped``."""
    kept = []
    for number in frames.numbers:
        if not frames.tracked(number):
            dropped["no pose"] += 1
        elif frames.may_be_empty(number) and not code.metres(frames.depth(number)).any():
            dropped["no depth"] += 1
        else:
            kept.append(number)
    return kept


def _numbered(folder: Path, suffixes: tuple[str, ...], step: int) -> dict[int, str]:
    """Names of the files ``N.png`` by N; leading zeros and capitals do not matter."""
    if not folder.is_dir():
        raise DataError(f"{folder}: the folder is missing")
    found: dict[int, str] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            stem, suffix = os.path.splitext(entry.name)
            if suffix.lower() in suffixes and stem.isdecimal() and len(stem) < 19 and int(stem) % step == 0:
                first = found.setdefault(int(stem), entry.name)
                if first != entry.name:
                    names = " and ".join(sorted((first, entry.name)))
                    raise DataError(f"{folder}: {names} are both of frame {int(stem)}; only one of them may be there")
    return found


def _intrinsics_file(folder: Path, camera: str) -> Path:
    """The intrinsics as the exporter writes them, or as the download of every 25th frame has them."""
    names = [f"{name}_{camera}.txt" for name in ("intrinsic", "intrinsics")]
    places = [folder / where / name for where in ("intrinsic", "intrinsics", ".") for name in names]
    return next((path for path in places if path.is_file()), places[0])
