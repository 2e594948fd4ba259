"""Folders of generated files in a cache: written as a whole, verified, and made again where they are damaged."""

from __future__ import annotations

import errno
import io
import json
import logging
import shutil
import time
import uuid
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from pointlift.errors import DataError

STALE_AFTER_SECONDS = 3600.0
INFO = "frame.json"
"""The file of each folder that says what it was made from, and the CRC of every other file."""
Info = dict[str, Any]
_log = logging.getLogger(__name__)


class Spec(Protocol):
    """What a generator says of a folder: where it is, and about how many bytes it takes, rather too many."""

    @property
    def folder(self) -> Path:  # noqa: D102
        ...

    @property
    def bytes(self) -> int:  # noqa: D102
        ...


class DamagedError(Exception):
    """A folder in the cache that is not what was written; the message says which file."""


def verified(folder: Path, made_from: Info) -> Info:
    """What `INFO` says, once every file is what it was when it was written.

    Raises:
        FileNotFoundError: there is no such folder.
        DamagedError: a file is missing, damaged, or was made from something else.
    """
    path = folder / INFO
    if not folder.exists():
        raise FileNotFoundError(folder)
    try:
        info = json.loads(path.read_bytes())
        checksum = info.pop("checksum")
        files: dict[str, int] = info["crc32"]
        if checksum != _crc_of(info) or info["made_from"] != made_from:
            raise DamagedError(f"{path}: the file is not the one that was written")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"{path}: the file is missing or damaged") from error
    for name, crc in files.items():
        try:
            content = (folder / name).read_bytes()
        except OSError as error:
            raise DamagedError(f"{folder / name}: the file is missing or cannot be read") from error
        if zlib.crc32(content) != crc:
            raise DamagedError(f"{folder / name}: the file is damaged")
    return info


def read(folder: Path, made_from: Info, make: Callable[[], Info]) -> Info:
    """What `INFO` says; the folder is made first if it is absent, and again (with a warning) if it is damaged."""
    try:
        return verified(folder, made_from)
    except FileNotFoundError:
        return make()
    except DamagedError as damage:
        _log.warning("%s; the frame is made again", damage)
        return make()


def intact(folder: Path, made_from: Info) -> bool:
    """Whether the folder is in the cache and undamaged; a warning names a damaged file."""
    try:
        verified(folder, made_from)
    except FileNotFoundError:
        return False
    except DamagedError as damage:
        _log.warning("%s; the frame is made again", damage)
        return False
    return True


def described(contents: dict[str, bytes], made_from: Info, **more: Any) -> tuple[dict[str, bytes], Info]:
    """The files with `INFO` among them, and what it says without its checksum."""
    info = {"made_from": made_from, "crc32": {name: zlib.crc32(content) for name, content in contents.items()}, **more}
    return {**contents, INFO: json.dumps({**info, "checksum": _crc_of(info)}, indent=1).encode()}, info


def _crc_of(info: Info) -> int:
    return zlib.crc32(json.dumps(info, sort_keys=True).encode())


def write(spec: Spec, made_from: Info, contents: Callable[[], tuple[dict[str, bytes], Info]]) -> Info:
    """Write what ``contents`` makes (see `described`) to the folder, and return what its `INFO` says.

    The files go to a temporary folder beside it, which is then renamed: whoever reads finds all or nothing, and of two
    processes that make the same folder, each ends up with a complete one.

    Raises:
        DataError: the disk is full, or the folder cannot be written.
    """
    check_space([spec])
    folder = spec.folder
    temporary = folder.parent / f".{folder.name}.{uuid.uuid4().hex}.tmp"
    try:
        temporary.mkdir(parents=True)  # before the work, which is in vain if nothing can be written
        files, info = contents()
        for name, content in files.items():
            (temporary / name).write_bytes(content)
        _put_in_place(temporary, folder, made_from)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else error.strerror or str(error)
        what = "make room or choose another folder" if full else "choose another folder"
        raise DataError(f"{folder}: cannot be written: {reason}; {what}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return info


def _put_in_place(temporary: Path, folder: Path, made_from: Info) -> None:
    """Rename to the folder; one that is there already stays if it is intact, and else goes."""
    for _ in range(20):
        try:
            temporary.rename(folder)
            return
        except OSError:
            if not folder.exists():
                raise
        try:
            verified(folder, made_from)
            return
        except (FileNotFoundError, DamagedError):
            _remove(folder)
    raise OSError(errno.EBUSY, "another process keeps writing it")


def _remove(folder: Path) -> None:
    """Remove a folder, or a file in its place: renamed first, so that nobody sees half of it."""
    old = folder.parent / f".{folder.name}.{uuid.uuid4().hex}.tmp"
    try:
        folder.rename(old)
    except FileNotFoundError:
        return  # another process was faster
    if old.is_dir():
        shutil.rmtree(old, ignore_errors=True)
    else:
        old.unlink(missing_ok=True)


def remove_stale(root: Path) -> None:
    """Remove what killed processes left half-made two folders under ``root`` more than an hour ago."""
    for folder in root.glob("*/*/.*.tmp"):
        try:
            if time.time() - folder.stat().st_mtime > STALE_AFTER_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # another process was quicker
            continue


def check_space(specs: Iterable[Spec]) -> None:
    """Raise a `DataError` unless the disk has room for these folders."""
    specs = list(specs)
    needed = sum(spec.bytes for spec in specs)
    if not specs:
        return
    folder = specs[0].folder
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return  # writing says what is wrong
    if free < needed:
        raise DataError(
            f"{specs[0].folder.parent}: {len(specs)} frames need about {needed / 1e6:,.0f} MB and the disk has "
            f"{free / 1e6:,.0f} MB left; make room or choose another folder (data.root)"
        )


def png(pixels: np.ndarray) -> bytes:
    """An image file, packed quickly."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def pixels_of(path: Path, dataset: str) -> np.ndarray:
    """The pixels of an image file that only views of ``dataset`` have.

    Raises:
        DataError: the file is missing or cannot be decoded.
    """
    try:
        with Image.open(path) as image:
            return np.array(image)
    except FileNotFoundError as error:
        raise DataError(f"{path}: the file is missing; only views of the data set '{dataset}' have one") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, zlib.error, …
        raise DataError(f"{path}: the image cannot be decoded ({error})") from error
