"""Makes many frames at once in processes of its own, from any script, guarded or not; of any generator of frames."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any

from pointlift.errors import DataError, PointliftError
from pointlift.progress import Progress, no_progress
from pointlift.worlds.engine import cache as generated
from pointlift.worlds.engine.cache import Spec

FEW = 4
"""Fewer frames than this are made in the calling process: starting others takes longer."""
# Not multiprocessing: its processes run the caller's script again, which then must guard all that it does.
_PROGRAM = (
    "import sys, json; sys.path[:] = json.loads(sys.stdin.readline()); "
    "from pointlift.worlds.engine import workers; workers.serve()"
)
_log = logging.getLogger(__name__)


def make_all(specs: Sequence[Spec], workers: int, done: Callable[[], None]) -> None:
    """Make frames in ``workers`` processes; with 0, or few frames, in this one.

    Args:
        specs: what to make, all of one class; frames of one group should follow each other.
        workers: number of processes.
        done: called after each frame, from one thread at a time.

    Raises:
        DataError: a frame cannot be written.
    """
    left = list(specs)
    if workers > 0 and len(left) >= FEW and sys.executable:
        left = _Crew(_groups(left, workers), done).run(workers)
    for spec in left:
        generated.make_if_needed(spec)
        done()


def make_missing(
    specs: Sequence[Spec],
    root: Path,
    workers: int | None,
    what: str,
    progress: Progress | None = None,
    *,
    frames: int = 1,
) -> dict[str, Any]:
    """Make what is not in the cache yet, in parallel.

    Args:
        specs: what there is to be.
        root: of the cache.
        workers: number of processes; None: as many as this one has cores.
        what: names what is made, for progress and the log.
        progress: called with ``what``, and how many are done of how many.
        frames: images of each, for the rate.

    Returns:
        How many were ``made``, the ``seconds`` that took, and ``frames_per_second`` (0 if nothing was made).

    Raises:
        DataError: there is no room for them, or the folder cannot be written.
    """
    start = time.perf_counter()
    missing = [spec for spec in specs if not generated.intact(spec)]
    generated.remove_stale(root)
    generated.check_space(missing)
    made, report = 0, progress or no_progress

    def one_more() -> None:
        nonlocal made
        made += 1
        report(what, made, len(missing))

    make_all(missing, _cores() if workers is None else workers, one_more)
    seconds = time.perf_counter() - start
    rate = made * frames / seconds if made else 0.0
    if made:
        _log.info("%s: %d made in %.0f s, %.1f frames a second", what, made, seconds, rate)
    return {"made": made, "seconds": seconds, "frames_per_second": rate}


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _groups(specs: list[Spec], workers: int) -> list[list[Spec]]:
    """The frames of each group together, whose world is built once; in parts where groups are fewer than workers."""
    longest = max(1, -(-len(specs) // workers))
    groups = [list(group) for _, group in groupby(specs, key=lambda spec: spec.group)]
    return [group[start : start + longest] for group in groups for start in range(0, len(group), longest)]


class _Crew:
    """Processes that take groups of frames from one list until it is empty."""

    def __init__(self, groups: list[list[Spec]], done: Callable[[], None]) -> None:
        self._groups = groups[::-1]  # taken from the end
        self._done = done
        self._kind = type(groups[0][0])
        self._lock = threading.Lock()
        self._processes: list[subprocess.Popen[str]] = []
        self._left: list[Spec] = []
        self._error: str | None = None
        self._stopped = False

    def run(self, workers: int) -> list[Spec]:
        """Have all groups made; the frames that no process made are returned."""
        count = min(workers, len(self._groups))
        with ThreadPoolExecutor(count) as pool:
            try:
                for finished in [pool.submit(self._work) for _ in range(count)]:
                    finished.result()
            except BaseException:  # an interruption ends the processes too, and with them the threads
                with self._lock:
                    self._stopped = True
                    for process in self._processes:
                        process.kill()
                raise
        if self._error is not None:
            raise DataError(self._error)
        if self._left or self._groups:
            _log.warning("a process that makes frames has stopped; this one makes the rest")
        return self._left + [spec for group in self._groups[::-1] for spec in group]

    def _work(self) -> None:
        process = self._start()
        if process is None:
            return
        try:
            _send(process, [os.path.abspath(folder) for folder in sys.path])
            while (group := self._next()) is not None:
                _send(process, [spec.to_dict() for spec in group])
                for place, _ in enumerate(group):
                    if not self._note(process.stdout.readline() if process.stdout else ""):
                        with self._lock:
                            self._left += group[place:]
                        return
        finally:
            process.kill()  # it has nothing to do any more, and never holds half a frame
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()

    def _start(self) -> subprocess.Popen[str] | None:
        with self._lock:
            if self._stopped:
                return None
            pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
            command = [sys.executable, "-c", _PROGRAM, self._kind.__module__, self._kind.__name__]
            try:
                process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nothing, text=True)
            except OSError:  # not allowed here, or no memory
                return None
            self._processes.append(process)
            return process

    def _next(self) -> list[Spec] | None:
        with self._lock:
            return self._groups.pop() if self._groups and self._error is None and not self._stopped else None

    def _note(self, answer: str) -> bool:
        """Count a frame, or keep the error; False if the process has nothing more to say."""
        try:
            error = json.loads(answer)
        except ValueError:  # it was stopped, in the middle of a line or before
            return False
        with self._lock:
            if error is not None:
                self._error = self._error or error
                return False
            self._done()
        return True


def _send(process: subprocess.Popen[str], message: object) -> None:
    """Write a line; if the process has stopped, reading its answer says so."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()


def serve() -> None:
    """What a worker process does: make the groups that come in, and answer each frame with null or an error."""
    answers, kind = sys.stdout, getattr(import_module(sys.argv[1]), sys.argv[2])
    for line in sys.stdin:
        for values in json.loads(line):
            try:
                generated.make_if_needed(kind.from_dict(values))
                answer = None
            except PointliftError as error:
                answer = str(error)
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
