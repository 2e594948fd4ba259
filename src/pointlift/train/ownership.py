"""Who writes a run folder: one process at a time, whatever host it is on."""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pointlift.errors import CheckpointError
from pointlift.files import write_errors_named

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_log = logging.getLogger(__name__)

LOCK = ".lock"
SIGN_EVERY_SECONDS = 10.0
SILENT_AFTER_SECONDS = 60.0
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Own a run folder while within: any other process that wants it is refused.

    The file ``.lock`` says who the owner is and is touched every ten seconds. It is locked by the system too, so that
    of two processes that come at the same moment one is refused, and a process that was killed owns nothing. Where the
    file system's locks do not reach other hosts, an owner on one of them that gives no sign for a minute is taken to be
    gone. The file goes when the owner does.

    Raises:
        CheckpointError: another process owns the folder, or nothing can be written there.
    """
    path = folder / LOCK
    with write_errors_named(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle, by_system = _locked(path)
    try:
        _require_gone(path, handle, by_system)
        with write_errors_named(path):
            _write(handle, _myself())
    except BaseException:
        os.close(handle)
        raise
    ended = threading.Event()
    thread = threading.Thread(target=_give_signs, args=(path, ended), daemon=True)
    thread.start()
    # A child made by fork has the handle too: it must not keep the lock when this process is killed.
    _HELD.add(handle)
    try:
        yield
    finally:
        ended.set()
        thread.join()
        _HELD.discard(handle)
        with suppress(OSError):
            if _same(path, handle):
                path.unlink()
        os.close(handle)


_HELD: set[int] = set()


def _let_go() -> None:
    for handle in _HELD:
        with suppress(OSError):
            os.close(handle)
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def _locked(path: Path) -> tuple[int, bool]:
    """The open file, and whether the system locked it; a `CheckpointError` if another process has that lock."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        by_system = fcntl is not None
        try:
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN):
                owner = _read(handle)
                os.close(handle)
                raise CheckpointError(_refusal(path, owner)) from error
            if error.errno not in _NO_LOCKS:
                os.close(handle)
                raise
            by_system = False
        if _same(path, handle):
            return handle, by_system
        os.close(handle)  # its owner took it away between opening and locking


def _same(path: Path, handle: int) -> bool:
    """Whether the open file is still the one at ``path``."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


def _require_gone(path: Path, handle: int, by_system: bool) -> None:
    """A `CheckpointError` unless the owner that the lock names is gone."""
    owner = _read(handle)
    if not owner:
        return
    me = _myself()
    if all(owner.get(key) == me[key] for key in ("host", "space")):
        if not by_system and _lives(owner):  # with locks of the system, one that lives would have it
            raise CheckpointError(_refusal(path, owner))
        _log.info("%s: taken over from process %s, which is gone", path.parent, owner.get("process"))
        return
    _wait_for_silence(path, owner)
    _log.info(
        "%s: taken over from process %s on %s, which is silent", path.parent, owner.get("process"), owner.get("host")
    )


def _wait_for_silence(path: Path, owner: dict[str, Any]) -> None:
    """Return when an owner elsewhere has been silent for long enough; a `CheckpointError` if it gives a sign."""
    last = _silence(path)
    if last < SILENT_AFTER_SECONDS:
        text = "%s was last written on %s, %.0f s ago: waiting at most a minute for a sign of its process"
        _log.info(text, path.parent, owner.get("host"), last)
    while last < SILENT_AFTER_SECONDS:
        time.sleep(min(1.0, SIGN_EVERY_SECONDS))
        silence = _silence(path)
        if silence < last:  # it was touched in the meantime
            raise CheckpointError(_refusal(path, owner))
        last = silence


def _silence(path: Path) -> float:
    """Seconds since the owner's last sign, by the clock of the file system."""
    probe = path.with_name(f".{uuid.uuid4().hex}.tmp")
    with write_errors_named(path):
        try:
            probe.touch()
            return probe.stat().st_mtime - path.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)


def _refusal(path: Path, owner: dict[str, Any]) -> str:
    who = f"process {owner['process']} on {owner['host']}" if {"process", "host"} <= owner.keys() else "it"
    return (
        f"{path.parent} is in use: another process is training there already ({who}); wait for it or stop it, or give "
        "another --out"
    )


def _myself() -> dict[str, Any]:
    """This process as the lock names it; ``space`` tells containers apart that have the same host name."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return {"host": socket.gethostname(), "space": space, "process": os.getpid(), "begun": _begun(os.getpid())}


def _begun(process: int) -> float | None:
    import psutil

    try:
        return psutil.Process(process).create_time()
    except psutil.Error:
        return None


def _lives(owner: dict[str, Any]) -> bool:
    process, begun = owner.get("process"), owner.get("begun")
    now = _begun(process) if isinstance(process, int) else None
    return now is not None and isinstance(begun, float) and abs(now - begun) < 2


def _read(handle: int) -> dict[str, Any]:
    try:
        found = json.loads(os.pread(handle, 4096, 0) if hasattr(os, "pread") else os.read(handle, 4096))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(handle: int, content: dict[str, Any]) -> None:
    os.ftruncate(handle, 0)
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, json.dumps(content).encode())


def _give_signs(path: Path, ended: threading.Event) -> None:
    while not ended.wait(SIGN_EVERY_SECONDS):
        with suppress(OSError):  # a folder that was deleted is noticed when a checkpoint is written
            os.utime(path)
