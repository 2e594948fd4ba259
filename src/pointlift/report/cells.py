"""Tables as data, for the page, for Markdown and for the terminal alike: statistics to text by their units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pointlift.evaluation.result import Column, Unit
from pointlift.report.summary import Statistic

ABSENT = "–"
LOWER = " ↓"
"""Ends the headings of columns in which lower is better."""


@dataclass
class Cell:
    """One entry of a table: its text, its spread over seeds, and how it is to be drawn.

    ``best``: ahead of all others by more than both spreads. ``share``: from 0 to 1, drawn as a bar or a tint.
    ``value``: what is shown, where that is a statistic.
    """

    text: str
    spread: str = ""
    best: bool = False
    share: float | None = None
    value: Statistic | None = None

    def __str__(self) -> str:
        return f"{self.text} ± {self.spread}" if self.spread else self.text


@dataclass
class Line:
    """A named line of cells; ``group`` is the number of the summary's group it shows, None for others."""

    name: str
    cells: list[Cell]
    group: int | None = None

    @property
    def empty(self) -> bool:
        """Whether no cell says anything."""
        return all(cell.text in ("", ABSENT) for cell in self.cells)


@dataclass
class Section:
    """Lines under a heading. ``plain``: lines that are what the table is about; others are set apart."""

    heading: str
    lines: list[Line]
    plain: bool = True


@dataclass
class Table:
    """Headings in two levels, and sections of lines: ``spans`` are (heading, number of columns) above ``columns``."""

    corner: str
    columns: list[str]
    sections: list[Section]
    spans: list[tuple[str, int]] = field(default_factory=list)

    @property
    def lines(self) -> list[Line]:
        """The lines of all sections."""
        return [line for section in self.sections for line in section.lines]

    @property
    def spreads(self) -> list[bool]:
        """Which columns have a spread in one of their cells, so that the others can leave room for it."""
        return [any(line.cells[column].spread for line in self.lines) for column in range(len(self.columns))]

    @property
    def marks_best(self) -> bool:
        """Whether a cell is ahead of all others."""
        return any(cell.best for line in self.lines for cell in line.cells)

    @property
    def lower_is_better(self) -> bool:
        """Whether there is a column of which the heading says so."""
        return any(column.endswith(LOWER) for column in self.columns)


def heading(column: Column, noted: bool = False) -> str:
    """The heading of a column, which says where values are percentages and where lower is better.

    With its note in brackets, if it has one and ``noted`` is True.
    """
    said = f"{column.heading} ({column.note})" if noted and column.note else column.heading
    return said + ", %" * (column.unit == "share") + LOWER * (column.better == "lower")


def cell(statistic: Statistic | None, unit: Unit) -> Cell:
    """A statistic as its unit is shown, with its spread over seeds."""
    if statistic is None or statistic.mean is None:
        return Cell(ABSENT)
    known = [value for value in statistic.values if value is not None]
    if unit == "yes/no":
        text = {0: "no", len(known): "yes"}.get(int(sum(known)), f"{sum(known):.0f} of {len(known)}")
        return Cell(text, value=statistic)
    shown = statistic.fixed if unit in ("count", "steps") else statistic
    spread = "" if shown.std is None else _text(shown.std, unit, 2)
    return Cell(_text(statistic.mean, unit, 3), spread, value=statistic)


def _text(value: float, unit: Unit, digits: int) -> str:
    if unit == "share":
        return f"{100 * value:.1f}"
    if unit in ("count", "steps"):
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:#.{digits}g}".rstrip(".")


def mark_best(lines: Sequence[Line], columns: Sequence[Column | None]) -> None:
    """Mark the best cell of a column if it is ahead of the next by more than both spreads; never on one seed.

    Args:
        lines: that compete.
        columns: what their cells show; of None, and where no direction is better, nothing is marked.
    """
    for place, column in enumerate(columns):
        if column is None or column.better is None:
            continue
        sign = 1 if column.better == "higher" else -1
        known = [one for one in (line.cells[place] for line in lines) if _spread(one) is not None]
        if len(known) < 2 or len(known) < len(lines):
            continue
        first, second = sorted(known, key=lambda one: -sign * _mean(one))[:2]
        ahead = sign * (_mean(first) - _mean(second))
        first.best = ahead > (_spread(first) or 0.0) + (_spread(second) or 0.0)


def _mean(one: Cell) -> float:
    return one.value.mean if one.value and one.value.mean is not None else 0.0


def _spread(one: Cell) -> float | None:
    return one.value.std if one.value else None


def to_text(table: Table, mark: str = "") -> tuple[list[str], list[list[str]]]:
    """Headings and rows of text; ``mark`` stands around the names of lines that the table is not about."""
    body = []
    for section in table.sections:
        around = "" if section.plain else mark
        for line in section.lines:
            body.append([f"{around}{line.name}{around}", *(str(one) for one in line.cells)])
    above = [name for name, width in table.spans for _ in range(width)] or [""] * len(table.columns)
    return [table.corner, *(f"{one} {two}".strip() for one, two in zip(above, table.columns, strict=True))], body


def to_markdown(table: Table) -> str:
    """The table in Markdown; lines that it is not about are set in italics."""
    first, body = to_text(table, mark="*")
    lines = [first, ["---"] + ["---:"] * len(table.columns), *body]
    return "\n".join("| " + " | ".join(part.replace("|", "\\|") for part in line) + " |" for line in lines)
