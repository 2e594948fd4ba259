"""Patterns that name the file of an image, such as ``{folder}/../labels/{stem}.png``."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

FIELDS = ("folder", "stem", "view")
"""The folder of the image, its name without suffix, and the name of the camera."""


def file_of(pattern: str, folder: Path | str, stem: str, view: str) -> Path:
    """The file of an image; beside a folder of images that is a link, not beside what the link leads to."""
    return Path(os.path.normpath(pattern.format(folder=folder, stem=stem, view=view)))


def without_place(pattern: str) -> str:
    """A pattern as part of a fingerprint: of a fixed folder, only its own name stays, and not where it lies.

    Nothing else tells apart what two networks predicted for the same images: ``/data/segformer/{stem}.png`` and
    ``/data/upernet/{stem}.png`` must not be taken for one another.
    """
    parts = PurePath(pattern).as_posix().split("/")
    fixed = next(number for number, part in enumerate(parts) if "{" in part)
    names = [part for part in parts[:fixed] if part not in ("", ".", "..", "~")]
    return "/".join([*names[-1:], *parts[fixed:]])
