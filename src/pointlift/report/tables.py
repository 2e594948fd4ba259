"""The tables of a summary, once as data, for the page and for Markdown alike."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pointlift.evaluation.table import ABSENT

STRUCTURE = {
    "U": "uniformity",
    "|ΔU|": "uniformity_gap",
    "T": "tolerance",
    "|ΔT|": "tolerance_gap",
    "modality gap": "modality_gap",
    "paired gap": "paired_gap",
    "CKA": "linear_cka",
    "relational gap": "relational_gap",
}
TASKS = ("zero-shot", "exemplar", "linear-probe", "finetune")
"""Protocols whose results are segmentations, in the order in which they are shown; others follow by name."""
VISIBLE = ", visible points"
TEACHER = "teacher" + VISIBLE
BASELINES = ("from scratch", "local geometry", "raw features", "random network", "majority class")
"""Rows that owe nothing to the distillation; with a suffix such as ", MLP" too."""


@dataclass
class Cell:
    """One entry of a table: its text, its spread over seeds, and how it is to be drawn.

    ``best``: ahead of all others by more than both spreads. ``share``: from 0 to 1, drawn as a bar or a tint.
    """

    text: str
    spread: str = ""
    best: bool = False
    share: float | None = None

    def __str__(self) -> str:
        return f"{self.text} ± {self.spread}" if self.spread else self.text


@dataclass
class Row:
    """A named line of cells; ``group`` is the number of the summary's group it shows, None for others."""

    name: str
    cells: list[Cell]
    group: int | None = None


@dataclass
class Table:
    """Headings in two levels, and sections of rows: ``spans`` are (heading, number of columns) above ``columns``."""

    corner: str
    columns: list[str]
    sections: list[tuple[str, list[Row]]]
    spans: list[tuple[str, int]] = field(default_factory=list)

    @property
    def rows(self) -> list[Row]:
        """The rows of all sections."""
        return [row for _, rows in self.sections for row in rows]

    @property
    def spreads(self) -> list[bool]:
        """Which columns have a spread in one of their cells, so that the others can leave room for it."""
        return [any(row.cells[column].spread for row in self.rows) for column in range(len(self.columns))]


def all_tables(summary: Mapping[str, Any]) -> list[tuple[str, Table]]:
    """Every table that has something to show, with its heading."""
    found: list[tuple[str, Table | None]] = [("Results", results(summary))]
    found += [
        (f"{called(task)}: the teacher's ceiling", ceiling(summary, task)) for task in segmentation_tasks(summary)
    ]
    found += [(f"{called(task)}: IoU per class, %", per_class(summary, task)) for task in segmentation_tasks(summary)]
    found.append(("Structure", structure(summary)))
    for task in measure_tasks(summary):
        name = called(task)
        found.append((name[:1].upper() + name[1:], measures(summary, task)))
    return [(heading, table) for heading, table in found if table is not None]


def segmentation_tasks(summary: Mapping[str, Any]) -> list[str]:
    """The tasks with an mIoU in one of the groups."""
    found = {
        name
        for group in summary["groups"]
        for name, task in group["tasks"].items()
        if "miou" in task["rows"].get(student_row(name), {})
    }
    return [name for name in TASKS if name in found] + sorted(found - set(TASKS))


def called(task: str) -> str:
    """The name of a result file as it is written in a sentence: its protocol, and how the test data differ."""
    protocol, *changes = re.split(r"-(?=[\w.]+=)", task)
    said = [f"no {key}" if value == "None" else f"{key}={value}" for key, value in (c.split("=", 1) for c in changes)]
    name = {"linear-probe": "linear probe", "finetune": "fine-tuning"}.get(protocol, protocol)
    return f"{name} ({', '.join(said)})" if said else name


def student_row(task: str) -> str:
    """The row of a task that shows what was distilled."""
    return "pretrained" if task.startswith("finetune") else "student"


def results(summary: Mapping[str, Any]) -> Table | None:
    """mIoU and accuracy per task: the distilled students, the controls, the baselines and the teacher itself."""
    tasks = segmentation_tasks(summary)
    if not tasks:
        return None
    columns = [(task, metric) for task in tasks for metric in ("miou", "accuracy")]
    distilled: list[Row] = []
    controls: list[Row] = []
    for number, group in enumerate(summary["groups"]):
        cells = [percent(metric_of(group, task, student_row(task), metric)) for task, metric in columns]
        row = Row(group["label"], [Cell(seeds_in_words(group["seeds"])), *cells], number)
        (controls if group["control"] else distilled).append(row)
    mark_best(distilled)
    sections = [("Distilled", distilled), ("Controls", controls), ("Baselines", _baselines(summary, columns))]
    teacher = Row("teacher", [Cell(""), *(percent(shared(summary, task, TEACHER, metric)) for task, metric in columns)])
    if any(cell.text != ABSENT for cell in teacher.cells[1:]):
        sections.append(("The teacher itself, only at points that a camera sees", [teacher]))
    return Table(
        "",
        ["seeds", *(_METRICS[metric] for _, metric in columns)],
        [(heading, rows) for heading, rows in sections if rows],
        [("", 1), *((task, 2) for task in tasks)],
    )


def ceiling(summary: Mapping[str, Any], task: str) -> Table | None:
    """The student's mIoU beside the teacher's own at the same points; None unless the task has both."""
    rows = []
    for number, group in enumerate(summary["groups"]):
        student = metric_of(group, task, "student" + VISIBLE, "miou")
        teacher = metric_of(group, task, TEACHER, "miou")
        if not student or not teacher or student["mean"] is None or not teacher["mean"]:
            continue
        share = student["mean"] / teacher["mean"]
        everywhere = percent(metric_of(group, task, "student", "miou"))
        cells = [
            percent(_fixed(teacher)),
            percent(student),
            Cell(f"{100 * share:.0f} %", share=min(share, 1.0)),
            everywhere,
        ]
        rows.append(Row(group["label"], cells, number))
    if not rows:
        return None
    columns = ["teacher, visible points", "student, visible points", "share of the teacher", "student, all points"]
    return Table("", columns, [("", rows)])


def per_class(summary: Mapping[str, Any], task: str) -> Table | None:
    """IoU of each class that test points have: classes downwards, groups and the teacher across."""
    row = student_row(task)
    groups = [group for group in summary["groups"] if row in group["tasks"].get(task, {}).get("classes", {})]
    if not groups:
        return None
    columns = [(group["label"], group["tasks"][task]["classes"][row]) for group in groups]
    first = groups[0]["tasks"][task]["classes"]
    columns += [(name, first[name]) for name in (*BASELINES, TEACHER) if name in first and name != "majority class"]
    body = []
    for name, metrics in columns[0][1].items():
        points = metrics["points"]["mean"] or 0
        if points:
            cells = [percent(_fixed(classes.get(name, {}).get("iou")), tint=True) for _, classes in columns]
            body.append((points, Row(name, [Cell(f"{points:,.0f}"), *cells])))
    body.sort(key=lambda one: -one[0])
    return Table("class", ["points", *(label for label, _ in columns)], [("", [line for _, line in body])])


def structure(summary: Mapping[str, Any]) -> Table | None:
    """Uniformity, tolerance and the gaps to the teacher."""
    measured = [
        (number, group)
        for number, group in enumerate(summary["groups"])
        if "student" in group["tasks"].get("structure", {}).get("rows", {})
    ]
    if not measured:
        return None
    students: list[Row] = []
    controls: list[Row] = []
    for number, group in measured:
        row = _structure_row(group["label"], group["tasks"]["structure"]["rows"]["student"], number)
        (controls if group["control"] else students).append(row)
    references = _structure_references([group for _, group in measured])
    sections = [("Students", students), ("Controls", controls), ("References", references)]
    return Table("", list(STRUCTURE), [(heading, rows) for heading, rows in sections if rows])


def measure_tasks(summary: Mapping[str, Any]) -> list[str]:
    """The tasks whose protocols name their own columns, such as retrieval."""
    return sorted({name for group in summary["groups"] for name, task in group["tasks"].items() if task["columns"]})


def measures(summary: Mapping[str, Any], task: str) -> Table:
    """The rows of a task whose protocol names its own columns, group by group, since baselines may differ with them."""
    measured = [(number, group) for number, group in enumerate(summary["groups"]) if task in group["tasks"]]
    columns = {heading: key for _, group in measured for heading, key in group["tasks"][task]["columns"].items()}
    sections = []
    for number, group in measured:
        rows = [
            Row(name, [measure(metrics.get(key)) for key in columns.values()], number if name == "student" else None)
            for name, metrics in group["tasks"][task]["rows"].items()
        ]
        sections.append((group["label"], rows))
    return Table("", list(columns), sections)


def _structure_references(groups: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Each teacher once (a random one is another), then the random network of the first group that has one."""
    rows: list[Row] = []
    seen: set[str] = set()
    for group in groups:
        line = _structure_row("", group["tasks"]["structure"]["rows"].get("teacher", {}), None)
        key = "|".join(cell.text for cell in line.cells)
        if key not in seen and any(cell.text != ABSENT for cell in line.cells):
            seen.add(key)
            line.name = f"teacher of {group['label']}" if rows else "teacher"
            rows.append(line)
    for group in groups:
        metrics = group["tasks"]["structure"]["rows"].get("random network")
        if metrics:
            return [*rows, _structure_row("random network", metrics, None)]
    return rows


def _structure_row(name: str, metrics: Mapping[str, Any], group: int | None) -> Row:
    return Row(name, [number(_fixed(metrics.get(key))) for key in STRUCTURE.values()], group)


def to_text(table: Table, mark: str = "") -> tuple[list[str], list[list[str]]]:
    """Headings and rows of text; ``mark`` stands around the names of rows that are no student's."""
    body = []
    for section, rows in table.sections:
        for row in rows:
            name = f"control: {row.name}" if section == "Controls" else row.name
            plain = row.group is not None or not section
            body.append([name if plain else f"{mark}{name}{mark}", *(str(cell) or ABSENT for cell in row.cells)])
    return [table.corner, *_full_headings(table)], body


def to_markdown(table: Table) -> str:
    """The table in Markdown; rows that are no student's are set in italics."""
    heading, body = to_text(table, mark="*")
    lines = [heading, ["---"] + ["---:"] * len(table.columns), *body]
    return "\n".join("| " + " | ".join(part.replace("|", "\\|") for part in line) + " |" for line in lines)


def metric_of(group: Mapping[str, Any], task: str, row: str, metric: str) -> Mapping[str, Any] | None:
    """The statistic, or None where the group was not measured so."""
    return group["tasks"].get(task, {}).get("rows", {}).get(row, {}).get(metric)


def shared(summary: Mapping[str, Any], task: str, row: str, metric: str) -> Mapping[str, Any] | None:
    """A statistic that does not depend on the distillation: of the first group that has it, proper runs first."""
    for group in summary["groups"]:  # controls come last
        found = metric_of(group, task, row, metric)
        if found is not None and found["mean"] is not None:
            return _fixed(found)
    return None


def percent(statistic: Mapping[str, Any] | None, tint: bool = False) -> Cell:
    """A fraction as a percentage with one digit."""
    if not statistic or statistic["mean"] is None:
        return Cell(ABSENT)
    spread = "" if statistic["std"] is None else f"{100 * statistic['std']:.1f}"
    return Cell(f"{100 * statistic['mean']:.1f}", spread, share=statistic["mean"] if tint else None)


def number(statistic: Mapping[str, Any] | None) -> Cell:
    """A number with two digits."""
    if not statistic or statistic["mean"] is None:
        return Cell(ABSENT)
    return Cell(f"{statistic['mean']:.2f}", "" if statistic["std"] is None else f"{statistic['std']:.2f}")


def measure(statistic: Mapping[str, Any] | None) -> Cell:
    """A number of any size with three digits that count, its spread with two."""
    fixed = _fixed(statistic)
    if not fixed or fixed["mean"] is None:
        return Cell(ABSENT)
    return Cell(_digits(fixed["mean"], 3), "" if fixed["std"] is None else _digits(fixed["std"], 2))


def _digits(value: float, count: int) -> str:
    return f"{value:.0f}" if abs(value) >= 10 ** (count - 1) else f"{value:#.{count}g}".rstrip(".")


def seeds_in_words(seeds: Sequence[int]) -> str:
    """How many seeds, plainly."""
    return "one" if len(seeds) == 1 else str(len(seeds))


def mark_best(rows: Sequence[Row]) -> None:
    """Mark the highest cell of a column if it is ahead of the next by more than both spreads; never on one seed."""
    for column in range(len(rows[0].cells) if rows else 0):
        cells = [row.cells[column] for row in rows if row.cells[column].spread]
        if len(cells) < 2 or len(cells) < len(rows):
            continue
        first, second = sorted(cells, key=lambda cell: -float(cell.text))[:2]
        first.best = float(first.text) - float(second.text) > float(first.spread) + float(second.spread)


_METRICS = {"miou": "mIoU", "accuracy": "accuracy"}


def _baselines(summary: Mapping[str, Any], columns: Sequence[tuple[str, str]]) -> list[Row]:
    names = [
        row
        for group in summary["groups"]
        for task in dict.fromkeys(task for task, _ in columns)
        for row in group["tasks"].get(task, {}).get("rows", {})
    ]
    rows = []
    for base in BASELINES:
        for name in dict.fromkeys(name for name in names if name == base or name == f"{base}, MLP"):
            cells = [percent(shared(summary, task, name, metric)) for task, metric in columns]
            rows.append(Row(name, [Cell(""), *cells]))
    return rows


def _fixed(statistic: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Without its spread if that is nothing but rounding: what does not depend on the run is the same in every run."""
    if statistic and statistic["std"] is not None and statistic["std"] < 1e-9:
        return {**statistic, "std": None}
    return statistic


def _full_headings(table: Table) -> list[str]:
    above = [called(heading) for heading, width in table.spans for _ in range(width)] or [""] * len(table.columns)
    return [f"{span} {column}".strip() for span, column in zip(above, table.columns, strict=True)]
