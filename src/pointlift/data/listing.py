"""Listings of folders: the files of one kind by their names, however their suffix is written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pointlift.errors import DataError

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
"""Suffixes of images, the first before the others where a name has several: it has lost nothing."""


def by_stem(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """The files of a folder that end in one of these suffixes, in upper or lower case, by their names without it.

    Where a name stands twice, the suffix that comes first in ``suffixes`` counts. Hidden files are left out. The order
    is that of the names; a folder that is not there has none.

    Raises:
        DataError: the folder cannot be read.
    """
    if not folder.is_dir():
        return {}
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: the folder cannot be read ({error.strerror})") from error
    found: dict[str, Path] = {}
    for suffix in suffixes:
        for name in names:
            if name.lower().endswith(suffix):
                found.setdefault(name[: -len(suffix)], folder / name)
    return dict(sorted(found.items()))
