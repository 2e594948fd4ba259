"""Folders of generated files in a cache: written as a whole, verified, and made again where they are damaged."""

from __future__ import annotations

import errno
import json
import logging
import shutil
import time
import uuid
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from pointlift.errors import DataError

STALE_AFTER_SECONDS = 3600.0
INFO = "frame.json"
"""The file of each folder that says what it was made from, and the CRC of every other file."""
Info = dict[str, Any]
Contents = tuple[dict[str, bytes], Info]
"""The bytes of each file, and what `INFO` says besides."""
_Spec = TypeVar("_Spec", bound="Spec")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Spec(ABC):
    """All that determines the files of a folder, and the folder; a generator adds fields of plain values and tuples.

    Args:
        folder: of these files alone.
    """

    folder: Path

    def to_dict(self) -> dict[str, Any]:
        """Plain values, of which `from_dict` makes the same spec."""
        return {**asdict(self), "folder": str(self.folder)}

    @classmethod
    def from_dict(cls: type[_Spec], values: dict[str, Any]) -> _Spec:
        """The spec that `to_dict` described, also after a way through JSON."""
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        fields["folder"] = Path(values["folder"])
        return cls(**fields)

    @property
    def made_from(self) -> Info:
        """The spec as it is written, without the folder, so that a cache may be moved."""
        values = {**self.to_dict(), "generator_version": self.version}
        del values["folder"]
        return json.loads(json.dumps(values))

    @property
    @abstractmethod
    def version(self) -> int:
        """Of the generator, raised whenever the same spec gives other files."""

    @property
    @abstractmethod
    def group(self) -> object:
        """What is equal for folders that one process should make one after the other."""

    @property
    @abstractmethod
    def bytes(self) -> int:
        """About how much the files take on disk, rather too much than too little."""

    @abstractmethod
    def contents(self) -> Contents:
        """Generate the files."""


class DamagedError(Exception):
    """A folder in the cache that is not what was written; the message says which file."""


def verified(spec: Spec) -> Info:
    """What `INFO` says, once every file is what it was when it was written.

    Raises:
        FileNotFoundError: there is no such folder.
        DamagedError: a file is missing, damaged, or was made from something else.
    """
    folder = spec.folder
    path = folder / INFO
    if not folder.exists():
        raise FileNotFoundError(folder)
    try:
        info = json.loads(path.read_bytes())
        checksum = info.pop("checksum")
        files: dict[str, int] = info["crc32"]
        if checksum != _crc_of(info) or info["made_from"] != spec.made_from:
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


def read(spec: Spec) -> Info:
    """What `INFO` says; the folder is made first if it is absent, and again (with a warning) if it is damaged."""
    try:
        return verified(spec)
    except FileNotFoundError:
        return make(spec)
    except DamagedError as damage:
        _log.warning("%s; the frame is made again", damage)
        return make(spec)


def intact(spec: Spec) -> bool:
    """Whether the folder is in the cache and undamaged; a warning names a damaged file."""
    try:
        verified(spec)
    except FileNotFoundError:
        return False
    except DamagedError as damage:
        _log.warning("%s; the frame is made again", damage)
        return False
    return True


def _crc_of(info: Info) -> int:
    return zlib.crc32(json.dumps(info, sort_keys=True).encode())


def make_if_needed(spec: Spec) -> None:
    """`make` the folder unless another process has done so in the meantime."""
    try:
        verified(spec)
    except (FileNotFoundError, DamagedError):
        make(spec)


def make(spec: Spec) -> Info:
    """Generate the files, write them to the folder, and return what its `INFO` says.

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
        files, info = _described(spec)
        for name, content in files.items():
            (temporary / name).write_bytes(content)
        _put_in_place(temporary, spec)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else error.strerror or str(error)
        what = "make room or choose another folder" if full else "choose another folder"
        raise DataError(f"{folder}: cannot be written: {reason}; {what}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return info


def _described(spec: Spec) -> Contents:
    """The files with `INFO` among them, and what it says without its checksum."""
    files, more = spec.contents()
    crcs = {name: zlib.crc32(content) for name, content in files.items()}
    info = {"made_from": spec.made_from, "crc32": crcs, **more}
    return {**files, INFO: json.dumps({**info, "checksum": _crc_of(info)}, indent=1).encode()}, info


def _put_in_place(temporary: Path, spec: Spec) -> None:
    """Rename to the folder; one that is there already stays if it is intact, and else goes."""
    folder = spec.folder
    for _ in range(20):
        try:
            temporary.rename(folder)
            return
        except OSError:
            if not folder.exists():
                raise
        try:
            verified(spec)
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
