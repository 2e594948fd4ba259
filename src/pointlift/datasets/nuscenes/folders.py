"""What is on disk: which version of the tables, and how many of the sensors' files are absent."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

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


def count_absent(root: Path, names: Iterable[str]) -> int:
    """How many of these files, relative to root, are not there; every folder is listed once."""
    by_folder: dict[str, set[str]] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        by_folder.setdefault(folder, set()).add(file)
    absent = 0
    for folder, files in by_folder.items():
        try:
            with os.scandir(root / folder) as entries:
                absent += len(files.difference(entry.name for entry in entries))
        except OSError:
            absent += len(files)
    return absent
