"""The cameras of each sequence: files that lie nearest to its frames, or what the options say for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pointlift.data.formats import images, matrices, rgbd
from pointlift.datasets.rgbd.layouts import Frame
from pointlift.errors import DataError

INTRINSICS = (
    "camera-intrinsics.txt",
    "intrinsics.txt",
    "intrinsic/intrinsic_depth.txt",
    "intrinsic_depth.txt",
    "intrinsics_depth.txt",
)
Numbers = Path | list[float] | None


def read_rig(root: Path, frame: Frame, intrinsics: Numbers, color: Numbers, color_from_depth: Numbers) -> rgbd.Rig:
    """The cameras of the sequence of a frame; the arguments are the data set's options.

    Raises:
        DataError: there are no intrinsics, a file is wrong, or the images have another size than the intrinsics' ones.
    """
    folders = list(_upwards(root, frame.depth))
    own: Path | None = None
    if intrinsics is None:
        own = _nearest(folders, INTRINSICS)
        if own is None:
            raise DataError(
                f"{frame.folder}: there are no intrinsics of the depth camera; give 'intrinsics' as a file or as fx, "
                f"fy, cx, cy, or put them into {INTRINSICS[0]}"
            )
    K = matrices.read_intrinsics(own) if own else _matrix(root, folders, intrinsics, "intrinsics")
    color_K = None if color is None else _matrix(root, folders, color, "color_intrinsics")
    if color is None and own is not None and (beside := _of_color(own)) is not None:
        color_K = matrices.read_intrinsics(beside)
    sizes = images.image_size(frame.depth), images.image_size(frame.color)
    rig = rgbd.Rig(K, color_K, _transform(root, folders, color_from_depth, own), sizes)
    rgbd.check_sizes(*sizes, rig, frame.depth, frame.color)
    return rig


def _upwards(root: Path, file: Path) -> Iterator[Path]:
    """The folders from a file's own up to the root."""
    for folder in file.parents if root in file.parents else (file.parent, root):
        yield folder
        if folder == root:
            return


def _nearest(folders: list[Path], names: tuple[str, ...]) -> Path | None:
    found = (folder / name for folder in folders for name in names if (folder / name).is_file())
    return next(found, None)


def _of_color(depth: Path) -> Path | None:
    """The colour camera's file beside the depth camera's, as exporters write both."""
    beside = depth.with_name(depth.name.replace("depth", "color"))
    return beside if beside != depth and beside.is_file() else None


def _file(root: Path, folders: list[Path], given: Path) -> Path:
    """A file that an option names: in the nearest folder that has it, so that each sequence may have its own."""
    path = Path(given).expanduser()
    return _nearest(folders, (str(path),)) or root / path


def _matrix(root: Path, folders: list[Path], value: Numbers, option: str) -> np.ndarray:
    if isinstance(value, (str, Path)):
        return matrices.read_intrinsics(_file(root, folders, Path(value)))
    return matrices.intrinsics(value or (), f"rgbd: {option}")


def _transform(root: Path, folders: list[Path], given: Numbers, own: Path | None) -> np.ndarray:
    """Colour from depth (4, 4): as given, or by the extrinsics that exporters write beside the intrinsics."""
    if isinstance(given, (str, Path)):
        return matrices.read_pose(_file(root, folders, Path(given)))
    if given is not None:
        return matrices.rigid(given, "rgbd: color_from_depth")
    return np.eye(4) if own is None else rgbd.read_extrinsics(own.parent)
