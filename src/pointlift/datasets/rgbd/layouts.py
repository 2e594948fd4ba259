"""Which files are frames: layouts of folders, the sequences below a root, their frames, and the blocks of a split."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pointlift.data.formats import matrices
from pointlift.datasets.rgbd import timestamps
from pointlift.errors import DataError

PLACEHOLDER = "{frame}"


class Layout(NamedTuple):
    """Names of the files of one frame, relative to the folder of its sequence; empty for what there is not.

    Without names of images, they are those that the sequence's own lists pair by time.
    """

    color: str
    depth: str
    pose: str = ""
    labels: str = ""


TIMED = Layout("", "")
LAYOUTS = (
    *(
        Layout(f"frame-{{frame}}.color.{s}", "frame-{frame}.depth.png", "frame-{frame}.pose.txt")
        for s in ("png", "jpg", "jpeg")
    ),
    *(Layout(f"color/{{frame}}.{s}", "depth/{frame}.png", "pose/{frame}.txt") for s in ("jpg", "png", "jpeg")),
    *(
        Layout(f"rgb/{{frame}}.{s}", "depth/{frame}.png", "pose/{frame}.txt", "label/{frame}.png")
        for s in ("png", "jpg", "jpeg")
    ),
)


class Frame(NamedTuple):
    """One frame on disk; None for what is absent in the whole sequence, and for a pose that is not known.

    ``pose`` is a file, or world from camera (4, 4); ``folder`` is that of its sequence.
    """

    id: str
    color: Path
    depth: Path
    pose: Path | np.ndarray | None
    labels: Path | None
    folder: Path

    def world_from_camera(self) -> np.ndarray | None:
        """The pose (4, 4); a `DataError` if its file is not one."""
        return matrices.read_pose(self.pose) if isinstance(self.pose, Path) else self.pose


class Sequence(NamedTuple):
    """The frames of one folder in their order, whether time pairs them, and how many images it leaves alone."""

    frames: list[Frame]
    timed: bool
    alone: int


def sequences_of(root: Path, given: dict[str, str | None]) -> list[tuple[Path, Layout]]:
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
    known = "; ".join(f"{layout.color} and {layout.depth}" for layout in LAYOUTS[::3])
    raise DataError(
        f"{root}: no frames are there, nor in its folders; give 'color' and 'depth', or use one of: {known}; or TUM's "
        f"{timestamps.COLOR} and {timestamps.DEPTH}"
    )


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _layout(folder: Path, given: dict[str, str | None]) -> Layout | None:
    """The first known layout, with what was given in place of its own, of which the folder has a colour image."""
    changes = {option: pattern for option, pattern in given.items() if pattern is not None}
    if not given["color"] and not given["depth"] and timestamps.has_lists(folder):
        return TIMED._replace(**changes)
    for layout in LAYOUTS:
        changed = layout._replace(**changes)
        if _matching(folder, changed.color) and _matching(folder, changed.depth):
            return changed
    return None


def _matching(folder: Path, pattern: str) -> dict[str, Path]:
    """The files of a pattern by the name of their frame; what follows the frame may be in capitals, as in .PNG."""
    where = folder / pattern
    before, after = where.name.split(PLACEHOLDER) if PLACEHOLDER in where.name else ("", "")
    if PLACEHOLDER not in where.name or not where.parent.is_dir():
        return {}
    found: dict[str, Path] = {}
    with os.scandir(where.parent) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        fits = name.startswith(before) and name.lower().endswith(after.lower()) and name[0] != "."
        if fits and len(name) > len(before) + len(after):
            frame = name[len(before) : len(name) - len(after)]
            if frame in found:
                raise DataError(f"{where.parent}: both {found[frame].name} and {name} would be frame {frame}")
            found[frame] = where.parent / name
    return found


def frames_of(root: Path, folder: Path, layout: Layout, asked: list[str]) -> Sequence:
    """All frames of a sequence in their order; each must have what any of them has, and what was asked for."""
    sequence = folder.relative_to(root).as_posix() if folder != root else root.resolve().name
    files = {option: _matching(folder, pattern) if pattern else {} for option, pattern in layout._asdict().items()}
    for option in asked:
        if not files[option]:
            raise DataError(f"{folder / getattr(layout, option)}: no file has a name of this pattern of '{option}'")
    timed = timestamps.read_moments(folder) if not layout.color else timestamps.Timed([], 0)
    moments = {moment.color.stem: moment for moment in timed.moments}
    files["color"].update({name: moment.color for name, moment in moments.items()})
    files["depth"].update({name: moment.depth for name, moment in moments.items()})
    if not files["color"].keys() & files["depth"].keys():
        raise DataError(
            f"{folder}: no colour image has the name of a depth image; where they are named by their time stamps, "
            f"{timestamps.COLOR} and {timestamps.DEPTH}, or {timestamps.ASSOCIATIONS[0]}, must be there to pair them"
        )
    frames = []
    for frame in moments or sorted({*files["color"], *files["depth"]}, key=natural_order):
        paths = _paths(folder, layout, files, frame)
        pose = paths["pose"] if files["pose"] or frame not in moments else moments[frame].pose
        color, depth = files["color"][frame], files["depth"][frame]
        frames.append(Frame(f"{sequence}/{frame}", color, depth, pose, paths["labels"], folder))
    return Sequence(frames, bool(moments), timed.alone)


def _paths(folder: Path, layout: Layout, files: dict[str, dict[str, Path]], frame: str) -> dict[str, Path | None]:
    """The files of one frame; an error if it lacks what other frames of its sequence have."""
    paths: dict[str, Path | None] = {}
    for option, what in (("color", "colour image"), ("depth", "depth image"), ("pose", "pose"), ("labels", "labels")):
        paths[option] = files[option].get(frame)
        if files[option] and paths[option] is None:
            path = folder / getattr(layout, option).replace(PLACEHOLDER, frame)
            raise DataError(f"{path}: the {what} of frame {frame} is missing, though other frames have one")
    return paths


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts learn2 before learn10."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def split_of(frames: list[Frame], split: str, size: int, gap: int, block: int = 0) -> list[Frame]:
    """The frames of a sequence that belong to a split, see `held_out`."""
    return [frames[index] for index in held_out(len(frames), split, size, gap, block)]


def held_out(count: int, split: str, size: int, gap: int, block: int = 0) -> list[int]:
    """The frames of a split of a sequence of ``count``.

    ``val`` is a block of ``size`` neighbouring frames, counted from the end: block 0 is the last, 1 that before it.
    ``train`` is what lies more than ``gap`` frames before or after it.
    """
    last = max(count - block * size, 0)
    val = range(max(last - size, 0), last)
    near = range(val.start - gap, val.stop + gap) if block == 0 or val else range(0)
    return list({"train": [i for i in range(count) if i not in near], "val": val, "all": range(count)}[split])
