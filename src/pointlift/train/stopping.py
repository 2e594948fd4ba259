"""Being asked to stop: Ctrl-C and the signals of job managers, heard between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator

from pointlift.errors import InterruptedRunError

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Stop:
    """Whether somebody asked this process to stop, and by which signal."""

    signal: int | None = None

    def asked(self, accelerator: Accelerator) -> bool:
        """Whether any of the processes that train together was asked: they stop after the same step."""
        if accelerator.num_processes > 1:
            mine = torch.tensor([self.signal or 0], device=accelerator.device)
            self.signal = int(accelerator.gather(mine).max()) or None  # type: ignore[union-attr]
        return self.signal is not None

    def error(self, where: str) -> InterruptedRunError:
        """What is raised then."""
        assert self.signal is not None
        return InterruptedRunError(f"stopped by {signal.Signals(self.signal).name}: {where}", self.signal)


@contextmanager
def stop_heard(listens: bool = True) -> Iterator[Stop]:
    """Hear Ctrl-C, SIGTERM and SIGHUP while within, if it ``listens``; a second Ctrl-C stops at once.

    Only the main thread of a program can listen; signals that the program was started to ignore stay ignored.
    """
    stop = Stop()
    if not listens or threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def hear(number: int, frame: Any) -> None:
        if stop.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.signal = number

    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    before = {number: one for number, one in before.items() if one not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, hear)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
