"""The tables of a summary: all results side by side, and each result in full, beside the teacher and class by class."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from pointlift.evaluation.result import Column, Role
from pointlift.report.cells import Cell, Line, Section, Table, cell, heading, mark_best, to_markdown
from pointlift.report.summary import Contestant, Group, Measured, Statistic, Summary, statistic

SECTIONS: dict[Role, str] = {
    "student": "Pretrained",
    "control": "Controls",
    "baseline": "Baselines",
    "teacher": "The teacher itself",
}
"""Headings of the roles, in the order in which they are shown."""
REFERENCES: tuple[Role, ...] = ("control", "baseline", "teacher")
"""Roles of what was not pretrained by the runs themselves."""


def markdown(summary: Summary) -> str:
    """The tables and notes of a summary for documents."""
    parts = [f"**{title}**\n\n{to_markdown(table)}" for title, table in all_tables(summary)]
    return "\n\n".join(parts + summary.notes) + "\n"


def all_tables(summary: Summary, brief: bool = False) -> list[tuple[str, Table]]:
    """Every table that has something to show, with its title.

    ``brief`` leaves out what is class by class, and all but the deciding metric of what tells classes apart.
    """
    names = summary.names()
    found: list[tuple[str, Table | None]] = [("Results", results(summary))]
    found += [(f"{summary.first(name).title}: beside the teacher", ceiling(summary, name)) for name in names]
    if not brief:
        found += [(class_title(summary, name), per_class(summary, name)) for name in names]
    whole = [name for name in names if not (brief and summary.first(name).class_columns)]
    found += [(summary.first(name).title, in_full(summary, name)) for name in whole]
    return [(title, table) for title, table in found if table is not None]


def results(summary: Summary) -> Table | None:
    """The metric that decides of every result: the recipes, the controls, the baselines and the teacher itself."""
    names = summary.names()
    if not names:
        return None
    columns = [summary.first(name).deciding for name in names]
    proper: list[Line] = []
    controls: list[Line] = []
    for number, group in enumerate(summary.groups):
        found = [group.results[name].decided() if name in group.results else None for name in names]
        cells = [Cell("one" if len(group.seeds) == 1 else str(len(group.seeds))), *_cells(found, columns)]
        (controls if group.control else proper).append(Line(group.label, cells, number))
    mark_best(proper, [None, *columns])
    sections = [Section(SECTIONS["student"], proper), Section(SECTIONS["control"], controls)]
    for role in REFERENCES:
        subset = None if role == "teacher" else ""
        rows = [row for name in names for _, group in summary.having(name) for row in group.results[name].rows]
        titles = [row.title for row in rows if row.role == role and subset in (None, row.subset)]
        lines = []
        for title in dict.fromkeys(titles):
            found = [_shared(summary, name, title, column) for name, column in zip(names, columns, strict=True)]
            lines.append(Line(title, [Cell(""), *_cells(found, columns)]))
        sections.append(Section(SECTIONS[role], [line for line in lines if not line.empty], plain=False))
    spans = [("", 1), *((summary.first(name).title, 1) for name in names)]
    return Table("", ["seeds", *map(heading, columns)], _filled(sections), spans)


def in_full(summary: Summary, name: str) -> Table:
    """All columns of one result: on all test points, then on each subset of them."""
    having = summary.having(name)
    measured = [group.results[name] for _, group in having]
    columns = list({column.key: column for one in measured for column in one.columns}.values())
    sections = []
    for subset in dict.fromkeys(["", *(row.subset for one in measured for row in one.rows)]):
        place = f", {subset}" if subset else ""
        for said, is_control in ((SECTIONS["student"], False), (SECTIONS["control"], True)):
            members = [one for one in having if bool(one[1].control) is is_control]
            sections.append(Section(said + place, _student_lines(members, name, subset, columns)))
        for role in REFERENCES:
            lines = _reference_lines(having, name, role, subset, columns)
            sections.append(Section(SECTIONS[role] + place, lines, plain=False))
    table = Table("", [heading(column, noted=True) for column in columns], _filled(sections))
    return _without_empty_columns(table)


def ceiling(summary: Summary, name: str) -> Table | None:
    """The student beside the teacher on the test points that the teacher has, by the metric that decides.

    None unless both were scored on one subset of the test points, and the metric is a share of which more is better.
    """
    column = summary.first(name).deciding
    if column.unit != "share" or column.better != "higher":
        return None
    lines: list[Line] = []
    subsets: dict[str, None] = {}
    for number, group in summary.having(name):
        measured = group.results[name]
        for teacher in measured.of_role("teacher", None):
            own, reached = teacher.metrics.get(column.key), measured.decided(teacher.subset)
            if not teacher.subset or own is None or reached is None or not own.mean or reached.mean is None:
                continue
            share = statistic(map(_ratio, reached.values, own.values))
            bar = cell(share, "share")
            bar.share = min(share.mean or 0.0, 1.0)
            lines.append(Line(group.label, [*_cells([own.fixed, reached], [column] * 2), bar], number))
            lines[-1].cells += _cells([measured.decided()], [column])
            subsets[teacher.subset] = None
    if not lines:
        return None
    where = " or ".join(subsets)
    columns = [f"teacher, {where}", f"student, {where}", "share of the teacher, %", "student, everywhere"]
    return Table("", columns, [Section("", lines)])


def class_title(summary: Summary, name: str) -> str:
    """The title of the table class by class."""
    value, _ = _of_classes(summary.first(name))
    said = f"{value.heading} per class{', %' if value.unit == 'share' else ''}" if value else "per class"
    return f"{summary.first(name).title}: {said}"


def per_class(summary: Summary, name: str) -> Table | None:
    """The first metric of each class that has a direction: classes downwards by their size, contestants across."""
    having = [(number, group.results[name]) for number, group in summary.having(name)]
    value, size = _of_classes(having[0][1])
    across = [(summary.groups[number].label, row) for number, one in having if (row := one.student()) and row.classes]
    if value is None or not across:
        return None
    first = having[0][1]
    for role in REFERENCES:
        rows = first.of_role(role, None if role == "teacher" else "")
        across += [(row.title, row) for row in rows if _tells(row, value)]
    lines = []
    for class_name in across[0][1].classes:
        counted = [row.classes.get(class_name, {}) for _, row in across]
        points = counted[0].get(size.key) if size else None
        if size and (points is None or not points.mean):
            continue
        cells = [_tinted(metrics.get(value.key), value) for metrics in counted]
        lines.append(Line(class_name, ([cell(points, size.unit)] if size else []) + cells))
    lines.sort(key=lambda line: -_mean(line.cells[0].value) if size else 0)
    return Table("class", ([size.heading] if size else []) + [title for title, _ in across], [Section("", lines)])


def _student_lines(
    having: Sequence[tuple[int, Group]], name: str, subset: str, columns: Sequence[Column]
) -> list[Line]:
    """All rows of students, group by group; what is best is marked among rows of one name."""
    lines: dict[str, list[Line]] = {}
    ordered = []
    for number, group in having:
        for place, row in enumerate(group.results[name].of_role("student", subset)):
            said = f"{group.label}: {row.name}" if place else group.label
            ordered.append(Line(said, _cells([row.metrics.get(column.key) for column in columns], columns), number))
            lines.setdefault(row.name, []).append(ordered[-1])
    for alike in lines.values():
        mark_best(alike, columns)
    return ordered


def _reference_lines(
    having: Sequence[tuple[int, Group]], name: str, role: Role, subset: str, columns: Sequence[Column]
) -> list[Line]:
    """Rows that owe nothing to the runs' own training, each once; again only where it is not the same contestant.

    A control's baselines are those of the recipe that it controls, but its teacher may be another.
    """
    lines: dict[str, list[tuple[str, Line]]] = {}
    for _, group in having:
        for row in group.results[name].of_role(role, subset):
            found = [row.metrics[column.key].fixed if column.key in row.metrics else None for column in columns]
            line, basis = Line(row.name, _cells(found, columns)), _basis(group, role)
            known = lines.setdefault(row.name, [])
            if line.empty or (known and group.control and role != "teacher"):
                continue
            if any(basis == other or line.cells == one.cells for other, one in known):
                continue
            line.name = f"{row.name} of {group.label}" if known else row.name
            known.append((basis, line))
    return [line for known in lines.values() for _, line in known]


def _basis(group: Group, role: Role) -> str:
    """What a row of this role depends on: a teacher's on teacher and data, all else not on losses and training."""
    if role == "teacher":
        kept = {key: value for key, value in group.recipe.items() if key.startswith(("data.", "teacher.", "cache."))}
    else:
        own = ("name", "loss.", "training.", "points", "image")
        kept = {key: value for key, value in group.recipe.items() if not key.startswith(own)}
    return json.dumps(kept, sort_keys=True)


def _shared(summary: Summary, name: str, title: str, column: Column) -> Statistic | None:
    """What a reference row reached in a result: of the first group that has it, proper ones first."""
    for _, group in summary.having(name):  # controls come last
        for row in group.results[name].rows:
            found = row.metrics.get(column.key)
            if row.title == title and row.role != "student" and found is not None and found.mean is not None:
                return found.fixed
    return None


def _of_classes(measured: Measured) -> tuple[Column | None, Column | None]:
    """The metric that is shown of each class, and what says how large a class is."""
    value = next((column for column in measured.class_columns if column.better), None)
    return value, next((column for column in measured.class_columns if column.unit == "count"), None)


def _tells(row: Contestant, value: Column) -> bool:
    """Whether a contestant finds more than one class; one that says the same everywhere is no column."""
    return sum(_mean(metrics.get(value.key)) > 0 for metrics in row.classes.values()) > 1


def _tinted(found: Statistic | None, column: Column) -> Cell:
    shown = cell(found.fixed if found else None, column.unit)
    shown.share = found.mean if found and column.unit == "share" else None
    return shown


def _cells(found: Iterable[Statistic | None], columns: Sequence[Column]) -> list[Cell]:
    return [cell(one, column.unit) for one, column in zip(found, columns, strict=True)]


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def _mean(found: Statistic | None) -> float:
    return found.mean if found and found.mean is not None else 0.0


def _filled(sections: Iterable[Section]) -> list[Section]:
    """Sections that have lines; neighbours of one heading are one."""
    filled: list[Section] = []
    for section in sections:
        if not section.lines:
            continue
        if filled and filled[-1].heading == section.heading:
            filled[-1].lines += section.lines
        else:
            filled.append(section)
    return filled


def _without_empty_columns(table: Table) -> Table:
    kept = [n for n in range(len(table.columns)) if any(line.cells[n].value for line in table.lines)]
    for line in table.lines:
        line.cells = [line.cells[n] for n in kept]
    return Table(table.corner, [table.columns[n] for n in kept], table.sections)
