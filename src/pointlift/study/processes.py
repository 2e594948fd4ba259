"""Jobs in processes of their own, several at a time, which end when this one does, however it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any

import torch

from pointlift import plugins
from pointlift.errors import PointliftError, TrainingError
from pointlift.progress import Progress, no_progress

SECONDS_TO_SAVE = 60.0
"""What a process that is asked to end has for it."""
_SPAWN = multiprocessing.get_context("spawn")  # a forked process cannot use a GPU that this one has used


@dataclass(frozen=True)
class Job:
    """What one process does.

    Args:
        name: for messages.
        work: a function of a module, called with the arguments and a `Progress`.
        arguments: plain values, or what can be pickled without plug-ins: these are loaded afterwards.
    """

    name: str
    work: Callable[..., None]
    arguments: tuple[Any, ...]


def do(jobs: Sequence[Job], parallel: int, progress: Progress | None = None) -> None:
    """Do jobs, ``parallel`` at a time; torch's threads are shared out among them, also where there are fewer jobs.

    When a job cannot be done no other is begun, those that run are finished, and it is said at the end. An interruption
    or SIGTERM ends all processes before this one goes on with it.

    Raises:
        TrainingError: a job could not be done; the message is that of its own error.
    """
    threads = max(1, torch.get_num_threads() // parallel)
    waiting, failed = list(jobs), ""
    running: list[_Running] = []
    with _termination_raised():
        try:
            while running or (waiting and not failed):
                while waiting and not failed and len(running) < parallel:
                    running.append(_Running(waiting.pop(0), threads))
                    running[-1].start()  # it is in the list already, so that an interruption in between ends it too
                connection.wait([end for one in running for end in one.ends()])
                for one in list(running):
                    failed = one.heard(progress or no_progress) or failed
                    if one.has_ended():
                        failed = one.heard(progress or no_progress) or one.ended_badly() or failed
                        running.remove(one)
        finally:
            _end(running)
    if failed:
        raise TrainingError(failed)


class _Running:
    """A process and what it says. It has a pipe of its own: one that is killed never leaves a lock that others need."""

    def __init__(self, job: Job, threads: int) -> None:
        self.name = job.name
        self._receiver, self._sender = _SPAWN.Pipe(duplex=False)
        self._open = True
        arguments = (self._sender, plugins.loaded(), threads, job)
        self.process = _SPAWN.Process(target=_work, args=arguments, daemon=False)  # it has workers of its own

    def start(self) -> None:
        self.process.start()
        self._sender.close()  # the process has it

    def ends(self) -> list[Any]:
        """What becomes ready when there is something to hear, or the process has ended."""
        return [self.process.sentinel, *([self._receiver] if self._open else [])]

    def heard(self, progress: Progress) -> str:
        """Pass on progress; its failure, if it said one."""
        failed = ""
        while self._open and self._receiver.poll():
            try:
                message = self._receiver.recv()
            except (EOFError, OSError):
                self._open = False
                break
            if isinstance(message, str):
                failed = message
            else:
                progress(*message)
        return failed

    def has_ended(self) -> bool:
        return self.process.exitcode is not None

    def ended_badly(self) -> str:
        code = self.process.exitcode
        killed = " (it was killed, perhaps for want of memory)" if code == -9 else ""
        return f"{self.name}: its process ended with {code}{killed}; run it alone to see why" if code else ""


def _end(running: Sequence[_Running]) -> None:
    """Ask processes to end, and see to it that they have."""
    started = [one for one in running if one.process.pid is not None]
    for one in started:
        one.process.terminate()
    deadline = time.monotonic() + SECONDS_TO_SAVE
    while alive := [one for one in started if one.process.is_alive()]:
        if time.monotonic() > deadline:
            for one in alive:
                one.process.kill()
        for one in alive:
            one.heard(no_progress)  # none shall wait for being heard
        connection.wait([one.process.sentinel for one in alive], timeout=0.2)


@contextmanager
def _termination_raised() -> Iterator[None]:
    """SIGTERM is a `SystemExit` within, unless somebody else has a handler for it already."""
    in_main = threading.current_thread() is threading.main_thread()  # no other may set handlers
    if not in_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def leave(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _work(sender: Any, imports: Sequence[str], threads: int, job: Job) -> None:
    """What a process does."""
    _leave_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal interrupts all; the parent then ends this one

    def said(message: Any) -> None:
        with suppress(OSError):  # nobody listens any more
            sender.send(message)

    try:
        for source in imports:
            plugins.load(source)
        torch.set_num_threads(threads)
        job.work(*job.arguments, lambda *one: said(one))
    except PointliftError as error:
        said(str(error))


def _leave_with_parent() -> None:
    """End this process as soon as the one that started it is gone, even where that was killed."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        connection.wait([parent.sentinel])  # type: ignore[union-attr]
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="watch of the parent").start()
