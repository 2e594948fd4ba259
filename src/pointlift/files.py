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
    """The content of a data file; a `DataError` names it if it is missing or cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: the file is missing") from error
    except OSError as error:
        raise DataError(f"{path}: the file cannot be read ({error.strerror})") from error
