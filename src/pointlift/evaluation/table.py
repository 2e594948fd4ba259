"""Results as tables of text, for the terminal and for Markdown; the columns of a result say how its values are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pointlift.evaluation.result import Column, Result
from pointlift.tasks.metric import Unit

ABSENT = "–"


def tables(result: Result) -> list[tuple[str, list[str], list[list[str]]]]:
    """Title, headings and rows of everything to print: the contestants, and their classes where there are any."""
    found = [(_title(result), columns(result), rows(result))]
    for column in _of_classes(result):
        heading, body = class_rows(result, column)
        found.append((f"{column.heading} per class{', %' if column.unit == 'share' else ''}", heading, body))
    return found


def columns(result: Result) -> list[str]:
    """Headings of the table of ``result``; the first names the row."""
    return ["", *(f"{one.heading} ({one.note})" if one.note else one.heading for one in result.columns)]


def rows(result: Result) -> list[list[str]]:
    """One row of text for each contestant and subset: its name, then its values."""
    return [[row.title, *(text(row.metrics.get(one.key), one.unit) for one in result.columns)] for row in result.rows]


def class_rows(result: Result, column: Column) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of one value of each class: classes downwards, contestants across.

    How much there is of a class (the first column that counts) stands before; classes of which there is nothing are
    left out.
    """
    contestants = [row for row in result.rows if row.classes]
    count = _count(result)
    body = []
    for name in contestants[0].classes if contestants else ():
        found = [row.classes[name] for row in contestants]
        values = [one[column.key] if count is None or one[count.key] else None for one in found]
        if any(value is not None for value in values):
            counted = [] if count is None else [text(found[0][count.key], count.unit)]
            body.append([name, *counted, *(text(value, column.unit) for value in values)])
    heading = [] if count is None else [count.heading]
    return ["class", *heading, *(row.title for row in contestants)], body


def markdown(result: Result) -> str:
    """The tables and the protocol of ``result`` as Markdown."""
    (_, heading, body), *others = tables(result)
    parts = [_markdown_table(heading, body)]
    parts += [f"{title}\n\n{_markdown_table(heading, body)}" for title, heading, body in others]
    if result.words:
        parts.append("Protocol\n\n" + "\n".join(_listed(result.words)))
    return "\n\n".join(parts) + "\n"


def text(value: Any, unit: Unit) -> str:
    """A value as its unit is written: shares in percent, numbers with three digits after the point."""
    if value is None or value != value:
        return ABSENT
    if unit == "yes/no":
        return "yes" if value else "no"
    if unit == "share":
        return f"{100 * value:.1f}"
    return f"{value:.3f}" if unit == "number" else f"{value:,}"


def _title(result: Result) -> str:
    """Protocol, split and how the data differ from the run's own."""
    run = result.run
    changes = [f"{key}={value}" for which in ("label_data", "test_data") for key, value in run.get(which, {}).items()]
    return " ".join([result.protocol, *([f"on {run['split']}"] if "split" in run else []), *changes])


def _count(result: Result) -> Column | None:
    return next((column for column in result.class_columns if column.unit == "count"), None)


def _of_classes(result: Result) -> list[Column]:
    """The values of classes that make a table each."""
    count = _count(result)
    return [column for column in result.class_columns if column != count and any(row.classes for row in result.rows)]


def _markdown_table(heading: list[str], body: list[list[str]]) -> str:
    rule = ["---"] + ["---:"] * (len(heading) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in (heading, rule, *body))


def _listed(values: Mapping[str, Any], indent: str = "") -> list[str]:
    lines = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}- {key}:", *_listed(value, indent + "  ")]
        else:
            shown = ", ".join(map(str, value)) or "none" if isinstance(value, (list, tuple)) else value
            lines.append(f"{indent}- {key}: {shown}")
    return lines
