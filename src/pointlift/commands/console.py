"""What commands say on the terminal: tables, JSON, and progress with the time left."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

console = Console(stderr=True)
SECONDS_BETWEEN_LINES = 30.0


def say(text: str, kind: str = "", output: Console | None = None) -> None:
    """Print text as it is, after a red ``kind`` such as ``error:``: no markup, no emoji, no line broken in a path."""
    parts = [Text(f"{kind} ", "bold red")] if kind else []
    (output or console).print(Text.assemble(*parts, text), soft_wrap=True, highlight=False)


class Messages(logging.Handler):
    """Says what is logged."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        say(self.format(record))


def print_json(value: Any) -> None:
    """For programs, on standard output."""
    typer.echo(json.dumps(value, indent=1))


def print_table(title: str, heading: Sequence[str], body: Sequence[Sequence[Any]]) -> None:
    """A table for people, on standard output; the first column to the left, all others to the right."""
    drawn = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for index, column in enumerate(heading):
        first = index == 0
        drawn.add_column(Text(column), justify="left" if first else "right", no_wrap=first, overflow="fold")
    for row in body:
        drawn.add_row(*(Text(str(cell)) for cell in row))
    output = Console()
    if not output.is_terminal:
        output = Console(width=160)  # a file or a pipe has room
    output.print(Text(f"\n{title}", "bold"))
    output.print(drawn)


class Shown:
    """Progress as it is shown: called with (what, done, total); what `beside` was told stands beside it."""

    def __init__(self, bars: Any = None) -> None:
        self._bars, self._tasks = bars, dict[str, Any]()
        self._begun: dict[str, tuple[float, int]] = {}
        self._said_at, self._beside = time.monotonic(), ""

    def beside(self, text: str) -> None:
        """Show a text, such as the loss, beside the progress from here on."""
        self._beside = text

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show how far some work is."""
        if self._bars is not None:
            if what not in self._tasks:
                self._tasks[what] = self._bars.add_task(what, total=total, beside="")
            self._bars.update(self._tasks[what], completed=done, total=total, beside=self._beside)
            return
        now = time.monotonic()
        start, first = self._begun.setdefault(what, (now, done))
        if now - self._said_at >= SECONDS_BETWEEN_LINES and done > first:
            self._said_at = now
            left = duration((now - start) / (done - first) * (total - done))
            parts = [f"{what}: {done} of {total}", self._beside, f"about {left} left"]
            say(", ".join(part for part in parts if part))


@contextmanager
def progress_shown() -> Iterator[Shown]:
    """Progress with the time left: a bar for each kind of work on a terminal, elsewhere a line now and then."""
    if not console.is_terminal:
        yield Shown()
        return
    with _bars() as bars:
        yield Shown(bars)


def duration(seconds: float) -> str:
    """Seconds as people say them: ``40 s``, ``12 min``, ``3.5 h``, ``2.1 days``."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def _bars() -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    text = TextColumn("{task.description}", markup=False)
    beside = TextColumn("{task.fields[beside]}", markup=False)
    columns = (text, BarColumn(), MofNCompleteColumn(), beside, TimeRemainingColumn())
    return Progress(*columns, console=console, speed_estimate_period=600)  # a step may take minutes


def print_names(entries: Mapping[str, str]) -> None:
    """Names with what they are, on standard output; a name is there to be copied, however narrow the terminal is."""
    longest = max(map(len, entries), default=0)
    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True, min_width=longest)
    table.add_column("what it is")
    for name, summary in entries.items():
        table.add_row(Text(name), Text(summary))
    output = Console()
    if not output.is_terminal or output.width < longest + 24:
        output = Console(width=max(output.width, longest + 80))
    output.print(table)
