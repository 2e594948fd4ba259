"""Sequences whose files are named by their time stamps, as TUM's benchmark has them, and what pairs them.

Layout: ``rgb.txt`` and ``depth.txt`` with a row ``timestamp file`` for each image, or ``associations.txt`` with a row
``timestamp file timestamp file`` for each pair; ``groundtruth.txt`` with ``timestamp tx ty tz qx qy qz qw`` of the
camera in the world. Rows that begin with # are comments; time is in seconds.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pointlift.data.formats import matrices
from pointlift.errors import DataError
from pointlift.files import inside, read_bytes

COLOR, DEPTH, POSES = "rgb.txt", "depth.txt", "groundtruth.txt"
ASSOCIATIONS = ("associations.txt", "association.txt", "associated.txt", "associate.txt", "assoc.txt")
TOLERANCE = 0.02
"""Seconds between two things of one moment. Source: associate.py of TUM's tools (max_difference)."""
_NEIGHBOURS = 8
"""Files on each side of a moment that can be its partner; time stamps are never so dense."""


class Moment(NamedTuple):
    """A colour image and the depth image of the same time, and the world from the camera (4, 4) there, if known."""

    color: Path
    depth: Path
    pose: np.ndarray | None


class Timed(NamedTuple):
    """The pairs of a sequence by their time, and how many colour images have no depth image of their time."""

    moments: list[Moment]
    alone: int


def has_lists(folder: Path) -> bool:
    """Whether the folder says itself which of its files belong together."""
    both = (folder / COLOR).is_file() and (folder / DEPTH).is_file()
    return both or any((folder / name).is_file() for name in ASSOCIATIONS)


def read_moments(folder: Path) -> Timed:
    """The pairs of a sequence; a `DataError` names a row or a file that is wrong, or says that nothing is paired."""
    listed = [folder / name for name in ASSOCIATIONS if (folder / name).is_file()]
    if listed:
        times, colors, depths = _associated(listed[0], folder)
        alone = 0
    else:
        times, colors, depths, alone = _nearest_in_time(folder)
    if not times:
        raise DataError(
            f"{folder}: no colour image of {COLOR} has a depth image of {DEPTH} within {TOLERANCE:g} s; the time "
            "stamps must be seconds of one clock, or give 'color' and 'depth' to pair images by their names"
        )
    if len(set(colors)) < len(colors):
        raise DataError(f"{listed[0] if listed else folder / COLOR}: a colour image is listed twice")
    poses = _poses(folder / POSES, times)
    order = np.argsort(times, kind="stable")
    return Timed([Moment(colors[i], depths[i], poses[i]) for i in order], alone)


def pairs_in_time(first: np.ndarray, second: np.ndarray, tolerance: float = TOLERANCE) -> list[tuple[int, int]]:
    """Indices (i, j) of the moments (N,) and (M,) that belong together, each in one pair at most, sorted by i.

    The nearest two become a pair first, as in associate.py of TUM's tools.
    """
    order = np.argsort(second, kind="stable")
    place = np.searchsorted(second[order], first)
    found = []
    for i, middle in enumerate(place):
        for j in order[max(0, middle - _NEIGHBOURS) : middle + _NEIGHBOURS]:
            apart = abs(first[i] - second[j])
            if apart < tolerance:
                found.append((apart, i, int(j)))
    free_first, free_second, chosen = set(range(len(first))), set(range(len(second))), []
    for _, i, j in sorted(found):
        if i in free_first and j in free_second:
            free_first.remove(i)
            free_second.remove(j)
            chosen.append((i, j))
    return sorted(chosen)


def _nearest_in_time(folder: Path) -> tuple[list[float], list[Path], list[Path], int]:
    times, colors = _listed(folder / COLOR, folder)
    depth_times, depths = _listed(folder / DEPTH, folder)
    pairs = pairs_in_time(np.array(times), np.array(depth_times))
    return (
        [times[i] for i, _ in pairs],
        [colors[i] for i, _ in pairs],
        [depths[j] for _, j in pairs],
        len(colors) - len(pairs),
    )


def _listed(path: Path, folder: Path) -> tuple[list[float], list[Path]]:
    rows = [(_seconds(row[0], path), row[1]) for row in _rows(path, 2, "'timestamp file'")]
    files = _existing(folder, [name for _, name in rows], path)
    return [time for time, _ in rows], files


def _associated(path: Path, folder: Path) -> tuple[list[float], list[Path], list[Path]]:
    """Time and both images of each row; which of them is the depth image, their folders say."""
    rows = _rows(path, 4, "'timestamp file timestamp file'")
    if not rows:
        raise DataError(f"{path}: the file lists no pairs")
    depth_is = ["depth" in rows[0][column].lower() for column in (1, 3)]
    if depth_is[0] == depth_is[1]:
        raise DataError(f"{path}: one of the two files of each row must have 'depth' in its path, not as: {rows[0]}")
    color, depth = (2, 0) if depth_is[0] else (0, 2)
    times = [_seconds(row[color], path) for row in rows]
    return (
        times,
        _existing(folder, [row[color + 1] for row in rows], path),
        _existing(folder, [row[depth + 1] for row in rows], path),
    )


def _poses(path: Path, times: list[float]) -> list[np.ndarray | None]:
    """World from camera (4, 4) at each of the times; None where no row is near, or tracking was lost there."""
    poses: list[np.ndarray | None] = [None] * len(times)
    if not path.is_file():
        return poses
    rows = _rows(path, 8, "'timestamp tx ty tz qx qy qz qw'")
    try:
        table = np.array([[float(word) for word in row[:8]] for row in rows]).reshape(-1, 8)
    except ValueError as error:
        raise DataError(f"{path}: a row is not 'timestamp tx ty tz qx qy qz qw' ({error})") from error
    table = table[np.isfinite(table).all(axis=1) & table[:, 4:].any(axis=1)]
    table = table[np.argsort(table[:, 0], kind="stable")]
    for number, time in enumerate(times if len(table) else []):
        place = int(np.searchsorted(table[:, 0], time))
        row = min(table[max(0, place - 1) : place + 1], key=lambda near: abs(near[0] - time))
        if abs(row[0] - time) < TOLERANCE:
            matrix = np.eye(4)
            matrix[:3, :3] = matrices.quaternion_rotation(row[[7, 4, 5, 6]])
            matrix[:3, 3] = row[1:4]
            poses[number] = matrix
    return poses


def _rows(path: Path, columns: int, form: str) -> list[list[str]]:
    """The words of each row that is no comment, at least so many of them; commas count as blanks."""
    lines = read_bytes(path).decode("utf-8", "surrogateescape").splitlines()
    rows = [line.replace(",", " ").split() for line in lines if not line.lstrip().startswith("#")]
    for row in rows:
        if row and len(row) < columns:
            raise DataError(
                f"{path}: a row is not {form}: {' '.join(row)[:80]!a}; give 'color' and 'depth' to pair images by name"
            )
    return [row for row in rows if row]


def _seconds(word: str, path: Path) -> float:
    try:
        time = float(word)
    except ValueError:
        time = np.nan
    if not np.isfinite(time):
        raise DataError(f"{path}: a time stamp is a number of seconds, not {word[:40]!a}")
    return time


def _existing(folder: Path, names: list[str], path: Path) -> list[Path]:
    """The files of a list; a `DataError` names one that is not there. Every folder is listed once."""
    there: dict[Path, set[str]] = {}
    files = [inside(folder, name, path) for name in names]
    for file in files:
        if file.parent not in there:
            there[file.parent] = set(os.listdir(file.parent)) if file.parent.is_dir() else set()
        if file.name not in there[file.parent]:
            raise DataError(f"{file}: the file is missing, though {path.name} lists it")
    return files
