"""What is on disk: which version of the tables, and which of the sensors' files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pointlift.datasets.nuscenes.index import Index
from pointlift.errors import DataError

VERSIONS = ("v1.0-trainval", "v1.0-mini", "v1.0-test")


def find_version(root: Path, version: str, split: str) -> str:
    """The version to read: the one asked for, or for ``auto`` the one on disk that has the split.

    Of several, ``auto`` takes v1.0-test for the split test, else v1.0-trainval before v1.0-mini.
    """
    if not root.is_dir():
        raise DataError(
            f"{root}: the folder does not exist; root is the folder that holds 'samples' and 'v1.0-trainval'"
        )
    there = [name for name in VERSIONS if (root / name).is_dir()]
    if not there:
        raise DataError(f"{root}: the folder holds none of {', '.join(VERSIONS)}")
    if version != "auto":
        if version not in there:
            raise DataError(f"{root}: there is no '{version}'; there is: {', '.join(there)}")
        return version
    return "v1.0-test" if split == "test" and "v1.0-test" in there else there[0]


class Listing:
    """Which files there are under a root; every folder is listed once.

    Args:
        root: the folder that their names are relative to.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[str, frozenset[str]] = {}

    def has(self, name: str) -> bool:
        """Whether the file is there."""
        folder, _, file = name.rpartition("/")
        if folder not in self._names:
            self._names[folder] = self._listed(folder)
        return file in self._names[folder]

    def _listed(self, folder: str) -> frozenset[str]:
        try:
            with os.scandir(self._root / folder) as entries:
                return frozenset(entry.name for entry in entries)
        except OSError:
            return frozenset()


def count_absent(root: Path, names: Iterable[str]) -> int:
    """How many of these files, relative to root, are not there."""
    listing = Listing(root)
    return sum(not listing.has(name) for name in set(names))


def complete(root: Path, index: Index, frames: np.ndarray, sweeps: int, which: str) -> np.ndarray:
    """Which of the keyframes have all of their files on disk: the scan, the ``sweeps - 1`` before it, and the images.

    Args:
        root: the folder that their names are relative to.
        index: of the tables.
        frames: (n,) numbers of keyframes in it.
        sweeps: scans that are put together.
        which: of which split they are, for messages.

    Returns:
        A mask (n,).

    Raises:
        DataError: none has; the message says what is absent.
    """
    listing = Listing(root)
    there = np.ones(len(frames), dtype=bool)
    absent = []
    for channel, slots in index.slots.items():
        has = np.array([listing.has(index.file(record)) for record in slots[frames]], dtype=bool)
        there &= has
        if not has.all():
            absent.append(f"{(~has).sum():,} of {channel}")
    if sweeps > 1:
        earlier = (index.earlier_sweeps(frame, sweeps - 1) for frame in frames)
        has = np.array([all(listing.has(index.file(record)) for record in records) for records in earlier], dtype=bool)
        there &= has
        if not has.all():
            absent.append(f"{(~has).sum():,} with earlier scans for sweeps {sweeps}")
    if not there.any():
        raise DataError(
            f"{root}: none of the {len(frames):,} keyframes {which} has all of its files; absent are those of "
            f"{', '.join(absent)}: unpack more of the archives there, or choose split, scenes, cameras and sweeps that "
            "are on disk"
        )
    return there
