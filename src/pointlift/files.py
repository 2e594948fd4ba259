"""Files: read with an error that names them, and written so that they appear complete or not at all."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pointlift.errors import CheckpointError, DataError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_HEAD_BYTES = 512
# How files begin that stand in the place of another, what they are, and what brings the other one.
_STAND_INS = (
    (
        b"version https://git-lfs.github.com/spec/",
        "is a pointer of git-lfs and not the file itself; run `git lfs pull` in its repository, or download the file",
    ),
    (
        b"/annex/objects/",
        "is a pointer of git-annex and not the file itself; run `git annex get` on it, or download the file",
    ),
    (b"<!doctype html", "is a web page and not the file itself; a download went wrong, so download it again"),
    (b"<html", "is a web page and not the file itself; a download went wrong, so download it again"),
)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file so that it is there complete or not at all, whatever happens and whoever else writes it.

    Missing folders are made. The content goes to ``.NAME.….tmp`` beside the file and is renamed; only a process that is
    killed in between leaves that behind.

    Args:
        path: the file; one that is there already is replaced.
        content: bytes, or text, which is written as UTF-8.

    Raises:
        CheckpointError: if the disk is full or the folder cannot be written; nothing is left behind.
    """
    with opened_atomically(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def opened_atomically(path: Path) -> Iterator[BinaryIO]:
    """A file to write piece by piece, which is there complete or not at all as with `write_atomically`."""
    temporary: Path | None = None
    with write_errors_named(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not tempfile: its files are for one user only, and run folders and caches are shared.
            temporary = path.parent / f".{path.stem[:100]}.{uuid.uuid4().hex}.tmp"
            with temporary.open("xb") as file:
                yield file
            os.replace(temporary, path)
            temporary = None
        finally:
            if temporary is not None:
                temporary.unlink(missing_ok=True)


@contextmanager
def write_errors_named(path: Path) -> Iterator[None]:
    """Turn what the system says against writing ``path`` into a `CheckpointError` with the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise
        full = error.errno in _FULL
        reason = "the disk is full" if full else error.strerror or str(error)
        what = "make room or choose another folder" if full else "choose another folder"
        raise CheckpointError(f"{path}: cannot be written: {reason}; {what}") from error


def require_writable(folder: Path) -> None:
    """Make a folder, and a `CheckpointError` if nothing can be written into it: before work that would be in vain."""
    with opened_atomically(folder / ".writable") as file:
        file.write(b"x")
    with write_errors_named(folder):
        (folder / ".writable").unlink(missing_ok=True)


def read_bytes(path: Path) -> bytes:
    """The content of a data file; a `DataError` names it if it is missing, cannot be read or is a mere stand-in."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: the file is missing") from error
    except OSError as error:
        raise DataError(f"{path}: the file cannot be read ({error.strerror})") from error
    cause = _stand_in(data[:_HEAD_BYTES])
    if cause is not None:
        raise DataError(f"{path} {cause}")
    return data


def stand_in(path: Path) -> str | None:
    """What a file is in place of its content, and what brings that, as the end of a sentence that begins with its name.

    Such as a pointer of git-lfs, a web page that was saved as the file, or nothing at all. None if nothing says so.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:  # what reads the file says it better
        return None
    return _stand_in(head) if head else "is empty; copy or download it again"


def unreadable(path: Path, what: str, error: Exception) -> str:
    """A sentence on a file that another library could not read: the cause and the remedy, else that library's words."""
    cause = stand_in(path)
    said = str(error).strip().split("\n", 1)[0][:200]
    return f"{path}: {what} ({said})" if cause is None else f"{path} {cause}"


def _stand_in(head: bytes) -> str | None:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(b"<?xml") and b"<error>" in start:
        return "is a server's message of an error and not the file itself; download it again"
    return next((cause for beginning, cause in _STAND_INS if start.startswith(beginning)), None)


def inside(root: Path, name: str, where: Path) -> Path:
    """The file of a relative name that a data file gives; a `DataError` beginning with ``where`` if it leaves root."""
    require_inside(name, where)
    return root / name


def require_inside(name: str, where: Path) -> None:
    """Raise a `DataError` that begins with ``where`` if a file's name is not relative, or leads out of its folder."""
    parts = name.replace("\\", "/").split("/")
    if not name or "\0" in name or ".." in parts or not parts[0] or name[1:2] == ":":
        raise DataError(f"{where}: the file name {name[:80]!a} must be relative and not lead out of the data's folder")
