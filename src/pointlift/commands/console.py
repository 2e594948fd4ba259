"""What commands say on the terminal: tables, JSON, and progress with the time left."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

console = Console(stderr=True)
SECONDS_BETWEEN_LINES = 30.0


def escaped(text: str) -> str:
    """Text in which brackets are no markup."""
    return text.replace("[", r"\[")


def print_json(value: Any) -> None:
    """For programs, on standard output."""
    typer.echo(json.dumps(value, indent=1))


def print_table(title: str, heading: Sequence[str], body: Sequence[Sequence[Any]]) -> None:
    """A table for people, on standard output; the first column to the left, all others to the right."""
    drawn = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for index, column in enumerate(heading):
        first = index == 0
        drawn.add_column(escaped(column), justify="left" if first else "right", no_wrap=first, overflow="fold")
    for row in body:
        drawn.add_row(*(escaped(str(cell)) for cell in row))
    output = Console()
    if not output.is_terminal:
        output = Console(width=160)  # a file or a pipe has room
    output.print(f"\n[bold]{escaped(title)}[/]")
    output.print(drawn)


@contextmanager
def progress_shown() -> Iterator[Any]:
    """Progress with the time left: a bar for each kind of work on a terminal, elsewhere a line now and then."""
    if console.is_terminal:
        with _bars() as bars:
            tasks: dict[str, Any] = {}

            def advance(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    tasks[what] = bars.add_task(what, total=total)
                bars.update(tasks[what], completed=done, total=total)

            yield advance
        return
    begun: dict[str, tuple[float, int]] = {}
    said = {"at": time.monotonic()}

    def report(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        start, first = begun.setdefault(what, (now, done))
        if now - said["at"] >= SECONDS_BETWEEN_LINES and done > first:
            said["at"] = now
            left = (now - start) / (done - first) * (total - done)
            console.print(f"{what}: {done} of {total}, about {left / 60:.0f} min left", highlight=False)

    yield report


def _bars() -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console)
