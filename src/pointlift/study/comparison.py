"""One table of a study: recipes down, evaluations across, mean and standard deviation over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pointlift.evaluation.result import Column, Result, Role
from pointlift.study.running import Measured

ABSENT = "–"
_ARROWS = {"higher": " ↑", "lower": " ↓", None: ""}


@dataclass(frozen=True)
class Cell:
    """What one row has in one column: ``values`` by seed, None where undefined, their mean and sample deviation."""

    values: tuple[float | None, ...]

    @property
    def mean(self) -> float | None:
        """Of the values that are there."""
        known = [value for value in self.values if value is not None]
        return statistics.fmean(known) if known else None

    @property
    def std(self) -> float | None:
        """Of the sample; None for fewer than two values."""
        known = [value for value in self.values if value is not None]
        return statistics.stdev(known) if len(known) > 1 else None


@dataclass(frozen=True)
class Line:
    """A named row; its role is that of a result's row, where ``control`` is a student that is wrong on purpose."""

    name: str
    role: Role
    seeds: tuple[int, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Comparison:
    """A study's table: for each column the evaluation's title and the metric that decides."""

    title: str
    columns: tuple[tuple[str, Column], ...]
    lines: tuple[Line, ...]

    def to_text(self) -> tuple[list[str], list[list[str]]]:
        """Heading and rows to print; the heading says which direction is better, shares are in percent."""
        heading = [f"{title} {column.heading}{_unit(column)}{_ARROWS[column.better]}" for title, column in self.columns]
        body = [
            [
                line.name if line.role in ("student", "teacher") else f"{line.role}: {line.name}",
                str(len(line.seeds)) if line.seeds else "",
                *(_text(cell, column) for cell, (_, column) in zip(line.cells, self.columns, strict=True)),
            ]
            for line in self.lines
        ]
        return ["", "seeds", *heading], body

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "title": self.title,
            "columns": [{"evaluation": title, **asdict(column)} for title, column in self.columns],
            "rows": [
                {
                    "name": line.name,
                    "role": line.role,
                    "seeds": list(line.seeds),
                    "cells": [{"mean": one.mean, "std": one.std, "values": list(one.values)} for one in line.cells],
                }
                for line in self.lines
            ],
        }


def comparison(title: str, measured: Sequence[Measured]) -> Comparison:
    """The table of the cells of a study.

    Students and controls have a row for each recipe, over its seeds. Baselines and the teacher have one of the first
    cell that measured them, without spread, since they are the same for every recipe or meant to be.
    """
    titles = list(dict.fromkeys(title for one in measured for title in one.results))
    first = {title: next(one.results[title] for one in measured if title in one.results) for title in titles}
    columns = tuple((title, _deciding(result)) for title, result in first.items())
    labels = {one.cell.label: one.cell.control for one in measured}
    lines = []
    for label, control in sorted(labels.items(), key=lambda item: item[1]):  # stable: controls come last
        runs = [one for one in measured if one.cell.label == label]
        cells = tuple(Cell(tuple(_student(one, title, column) for one in runs)) for title, column in columns)
        seeds = tuple(one.cell.recipe.seed for one in runs)
        lines.append(Line(label, "control" if control else "student", seeds, cells))
    return Comparison(title, columns, (*lines, *_references(measured, columns)))


def _deciding(result: Result) -> Column:
    return next(column for column in result.columns if column.key == result.decides)


def _student(one: Measured, title: str, column: Column) -> float | None:
    result = one.results.get(title)
    return None if result is None or not result.of_role("student") else _number(result.student.metrics.get(column.key))


def _references(measured: Sequence[Measured], columns: Sequence[tuple[str, Column]]) -> list[Line]:
    """Rows that no student is, each once: baselines on all test points, and the teacher wherever it has features."""
    found: dict[tuple[Role, str], dict[str, float | None]] = {}
    for one in measured:
        for title, column in columns:
            for row in one.results.get(title, ()):
                if row.role == "teacher" or (row.role == "baseline" and not row.subset):
                    found.setdefault((row.role, row.title), {}).setdefault(title, _number(row.metrics.get(column.key)))
    return [
        Line(name, role, (), tuple(Cell((values.get(title),)) for title, _ in columns))
        for (role, name), values in sorted(found.items(), key=lambda item: item[0][0])
        if any(value is not None for value in values.values())
    ]


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and value == value else None


def _unit(column: Column) -> str:
    return ", %" if column.unit == "share" else ""


def _text(cell: Cell, column: Column) -> str:
    if cell.mean is None:
        return ABSENT
    mean = _digits(cell.mean, column)
    return mean if cell.std is None else f"{mean} ± {_digits(cell.std, column)}"


def _digits(value: float, column: Column) -> str:
    if column.unit == "share":
        return f"{100 * value:.1f}"
    return f"{value:,.0f}" if abs(value) >= 100 or column.unit == "count" else f"{value:.3g}"
