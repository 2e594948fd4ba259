"""One self-contained page: what was done, how well it went, what it looks like, and where it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from pointlift import __version__
from pointlift.errors import DataError
from pointlift.files import write_atomically
from pointlift.progress import Progress, no_progress
from pointlift.report import again, figures, tables, words
from pointlift.report.cells import Table
from pointlift.report.grouping import summarise
from pointlift.report.pictures.album import album
from pointlift.report.pictures.stage import Asked
from pointlift.report.summary import Summary
from pointlift.run import Run


@dataclass(frozen=True)
class Chapter:
    """One result in full: its title, what its protocol is, its table, and panels that compare it with the teacher."""

    title: str
    about: str
    table: Table
    panels: list[Markup]


@dataclass(frozen=True)
class Block:
    """The protocol block of a result, and the keys in which other recipes' or seeds' differ."""

    title: str
    words: Mapping[str, Any]
    differs: list[str]


def report(
    runs: Sequence[Run],
    out: Path,
    *,
    title: str | None = None,
    introduction: Sequence[str] | None = None,
    progress: Progress | None = None,
    cpu: bool = False,
    data_root: Path | None = None,
    teacher: str | None = None,
    scenes: int = 2,
) -> Path:
    """Write one HTML file that shows what came of ``runs``; it needs neither a network nor scripts.

    Runs that differ in their seed alone are taken together. Where data, teacher or checkpoints cannot be read, the page
    has no pictures and says why.

    Args:
        runs: one run or several to compare, evaluated or not.
        out: the file; one that is there already is replaced.
        title: of the page; by default the recipes' names.
        introduction: what was done, in about three sentences; by default composed from the recipes.
        progress: called with (what, done, total).
        cpu: stay on the CPU even where there is a GPU.
        data_root: where the data lie now, if not where the recipe says.
        teacher: where the teacher's weights lie now, folder or hub id, if not where the recipe says.
        scenes: number of test scans that are shown in pictures.

    Returns:
        ``out``.

    Raises:
        DataError: there is no run, or a result file is not the JSON that a protocol writes.
    """
    if not runs:
        raise DataError("a report needs at least one run folder")
    runs = [run.with_teacher(teacher) for run in runs]
    summary = summarise(runs)
    names = summary.names()
    telling = [name for name in names if summary.first(name).class_columns]
    ceilings = [(name, table) for name in names if (table := tables.ceiling(summary, name))]
    classes = [(name, table) for name in telling if (table := tables.per_class(summary, name))]
    page = _environment().get_template("report.html.jinja").render(
        title=title or words.default_title(summary),
        introduction=list(introduction) if introduction is not None else words.introduction(summary),
        headlines=words.headlines(summary),
        summary=summary,
        controls=words.controls_in_words(summary),
        results=tables.results(summary),
        whole=[_chapter(summary, name) for name in telling],
        ceilings=[(summary.first(name).title, table) for name, table in ceilings],
        classes=[(tables.class_title(summary, name), table) for name, table in classes],
        curves=_curves(summary),
        chapters=[_chapter(summary, name) for name in names if name not in telling],
        album=album(summary, Asked(scenes, data_root, progress or no_progress, cpu)),
        protocols=[_block(summary, name) for name in names],
        commands=[again.commands(group) for group in summary.groups],
        recipes=[again.recipe_text(group.members[0]) for group in summary.groups],
        version=__version__,
    )  # fmt: skip
    write_atomically(Path(out), page)
    return Path(out)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pointlift", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["key"] = lambda group: Markup("") if group is None else figures.key_mark(group)
    environment.filters["listed"] = _listed
    environment.filters["capitalised"] = lambda text: text[:1].upper() + text[1:]
    return environment


def _chapter(summary: Summary, name: str) -> Chapter:
    first = summary.first(name)
    return Chapter(first.title, words.about(first.protocol), tables.in_full(summary, name), _panels(summary, name))


def _curves(summary: Summary) -> list[Markup]:
    """One panel for each group, since losses have different units."""
    panels = []
    for number, group in enumerate(summary.groups):
        curves = []
        for run in group.members:
            logged = [line for line in run.metrics() if "loss" in line and "step" in line]
            if logged:
                steps, losses = [line["step"] for line in logged], [line["loss"] for line in logged]
                curves.append(figures.Curve(f"seed {run.recipe.seed}", steps, losses))
        if curves:
            panels.append(figures.loss_panel(group.label, curves, number))
    return panels


def _panels(summary: Summary, name: str) -> list[Markup]:
    """One panel for each number that is neither good nor bad in itself, but near to the teacher's or not."""
    panels = []
    for column in summary.first(name).columns:
        rows = []
        for number, group in summary.having(name) if column.better is None and column.unit == "number" else ():
            measured = group.results[name]
            own, teachers = measured.student(), measured.of_role("teacher")
            if own is None or not teachers or column.key not in own.metrics or column.key not in teachers[0].metrics:
                continue
            mean = teachers[0].metrics[column.key].mean
            values = [value for value in own.metrics[column.key].values if value is not None]
            if mean is not None and values:
                rows.append(figures.Dumbbell(group.label, mean, values, number))
        if rows:
            panels.append(figures.dumbbells(", ".join(filter(None, (column.heading, column.note))), rows))
    return panels


def _block(summary: Summary, name: str) -> Block:
    """The protocol block of the first group that has this result."""
    first = summary.first(name)
    others = [group.results[name] for _, group in summary.having(name)]
    differs = {key for other in others for key in other.differs}
    differs |= {
        key
        for other in others
        for key in {**first.words, **other.words}
        if first.words.get(key) != other.words.get(key)
    }
    return Block(first.title, first.words, sorted(differs))


def _listed(value: Any) -> str:
    """A value of a protocol block in words."""
    if isinstance(value, (list, tuple)):
        return ", ".join(_listed(one) for one in value) or "none"
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_listed(one)}" for key, one in value.items())
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:g}" if isinstance(value, float) and np.isfinite(value) else str(value)
