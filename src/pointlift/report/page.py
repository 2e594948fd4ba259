"""One self-contained page: what was done, how well it went, what it looks like, and where it fails."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import jinja2
import numpy as np
from markupsafe import Markup

from pointlift import __version__
from pointlift.errors import DataError, PointliftError
from pointlift.files import write_atomically
from pointlift.progress import Progress, no_progress
from pointlift.report import figures, tables, words
from pointlift.report.pictures.encoder import EncoderGallery, encoder_gallery, open_encoder
from pointlift.report.pictures.gallery import Gallery, gallery
from pointlift.report.pictures.labelling import labelling_task
from pointlift.report.pictures.mistakes import Mistakes, find_mistakes
from pointlift.report.pictures.retrieved import RetrievedImages, retrieved_images
from pointlift.report.pictures.stage import open_stage
from pointlift.report.summary import recipe_values, summarise
from pointlift.run import Run

PICTURED = 4
"""Recipes that are shown in pictures, at most."""
QUERIES = 3
"""Frames for which retrieved images are shown, for each scan that is shown in pictures: one takes a single row."""

T = TypeVar("T")


def report(
    runs: Sequence[Run],
    out: Path,
    *,
    title: str | None = None,
    introduction: Sequence[str] | None = None,
    progress: Progress | None = None,
    cpu: bool = False,
    data_root: Path | None = None,
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
        scenes: number of test scans that are shown in pictures.

    Returns:
        ``out``.

    Raises:
        DataError: there is no run, or a result file is not the JSON that a protocol writes.
    """
    if not runs:
        raise DataError("a report needs at least one run folder")
    summary = summarise(runs)
    members = [_members(runs, group) for group in summary["groups"]]
    progress = progress or no_progress
    pictures, mistakes, missing = _pictures(summary, members, data_root, scenes, progress, cpu)
    encoder = _encoder_pictures(summary, members, data_root, scenes, progress, cpu)
    page = _environment().get_template("report.html.jinja").render(
        title=title or words.default_title(summary),
        introduction=list(introduction) if introduction is not None else words.introduction(summary),
        headlines=words.headlines(summary),
        groups=summary["groups"],
        notes=summary["notes"],
        results=tables.results(summary),
        ceilings=_tables(summary, tables.ceiling),
        classes=_tables(summary, tables.per_class),
        curves=_curves(summary, members),
        structure=tables.structure(summary),
        measures=[(task, tables.measures(summary, task)) for task in tables.measure_tasks(summary)],
        dumbbells=_dumbbells(summary),
        gallery=pictures,
        mistakes=mistakes,
        missing=missing,
        encoder=encoder,
        protocols=_protocols(summary),
        commands=[words.commands(runs_of, g["tasks"]) for runs_of, g in zip(members, summary["groups"], strict=True)],
        recipes=[words.recipe_text(runs_of[0]) for runs_of in members],
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
    environment.filters["called"] = tables.called
    return environment


def _members(runs: Sequence[Run], group: Mapping[str, Any]) -> list[Run]:
    by_folder = {str(run.folder): run for run in runs}
    return [by_folder[folder] for folder in group["runs"]]


def _tables(summary: Mapping[str, Any], make: Any) -> list[tuple[str, tables.Table]]:
    made = [(task, make(summary, task)) for task in tables.segmentation_tasks(summary)]
    return [(task, table) for task, table in made if table is not None]


def _curves(summary: Mapping[str, Any], members: Sequence[Sequence[Run]]) -> list[Markup]:
    """One panel for each group, since losses have different units."""
    panels = []
    for number, (group, runs) in enumerate(zip(summary["groups"], members, strict=True)):
        curves = []
        for run in runs:
            logged = [line for line in run.metrics() if "loss" in line and "step" in line]
            if logged:
                steps, losses = [line["step"] for line in logged], [line["loss"] for line in logged]
                curves.append(figures.Curve(f"seed {run.recipe.seed}", steps, losses))
        if curves:
            panels.append(figures.loss_panel(group["label"], curves, number))
    return panels


def _dumbbells(summary: Mapping[str, Any]) -> list[Markup]:
    panels = []
    for title, metric in (("U, uniformity", "uniformity"), ("T, tolerance", "tolerance")):
        rows = []
        for number, group in enumerate(summary["groups"]):
            student = tables.metric_of(group, "structure", "student", metric)
            teacher = tables.metric_of(group, "structure", "teacher", metric)
            if student and teacher and student["mean"] is not None and teacher["mean"] is not None:
                values = [value for value in student["values"] if value is not None]
                rows.append(figures.Dumbbell(group["label"], teacher["mean"], values, number))
        if rows:
            panels.append(figures.dumbbells(title, rows))
    return panels


def _pictures(
    summary: Mapping[str, Any],
    members: Sequence[Sequence[Run]],
    data_root: Path | None,
    scenes: int,
    progress: Progress,
    cpu: bool,
) -> tuple[Gallery | None, Mistakes | None, str]:
    """Pictures and mistakes, or the reason why there are none, as a sentence; empty if no student has such features."""
    if scenes < 1:
        return None, None, "none were asked for"
    shown, best = _pictured(summary, members)
    if not shown:
        return None, None, ""
    subjects = [(summary["groups"][number]["label"], members[number][0]) for number in shown]
    tasks = summary["groups"][shown[0]]["tasks"]

    def make() -> tuple[Gallery, Mistakes | None]:
        stage = open_stage(subjects, tasks, data_root=data_root, progress=progress, cpu=cpu)
        return gallery(stage, scenes, progress), find_mistakes(stage, shown.index(best), progress)

    made, missing = _or_reason(make)
    return (*made, "") if made else (None, None, missing)


@dataclass(frozen=True)
class _Encoder:
    """The pictures of a run that trained its encoder alone, each or the reason why there are none, and which run."""

    run: str
    gallery: EncoderGallery | None
    missing: str
    retrieved: RetrievedImages | None
    not_retrieved: str


def _encoder_pictures(
    summary: Mapping[str, Any],
    members: Sequence[Sequence[Run]],
    data_root: Path | None,
    scenes: int,
    progress: Progress,
    cpu: bool,
) -> _Encoder | None:
    """Pictures of one run whose student has no features in the teacher's space; None if there is no such run."""
    number = _encoder(summary, members)
    if number is None or scenes < 1:
        return None
    run, group = members[number][0], summary["groups"][number]
    name = f"{group['label'] if len(members) > 1 else group['name']}, seed {run.recipe.seed}"
    stage, missing = _or_reason(
        lambda: open_encoder(run, group["tasks"], data_root=data_root, progress=progress, cpu=cpu)
    )
    if stage is None:
        return _Encoder(name, None, missing, None, "")
    pictures, missing = _or_reason(lambda: encoder_gallery(stage, scenes))
    if stage.method.target != "tokens":
        return _Encoder(name, pictures, missing, None, "")
    return _Encoder(name, pictures, missing, *_or_reason(lambda: retrieved_images(stage, QUERIES * scenes)))


def _encoder(summary: Mapping[str, Any], members: Sequence[Sequence[Run]]) -> int | None:
    """The group whose encoder is pictured, proper ones first: one with concepts, else with token sets, else any."""
    able = [number for number, runs in enumerate(members) if not runs[0].parts.point_features]

    def lacks(number: int) -> tuple[bool, bool, bool]:
        method = members[number][0].recipe.method
        tokens = getattr(method, "target", None) == "tokens"
        return summary["groups"][number]["control"] is not None, not tokens, not getattr(method, "concepts", False)

    return min(able, key=lacks, default=None)


def _or_reason(make: Callable[[], T]) -> tuple[T | None, str]:
    """What ``make`` gives, or the reason why it cannot, as a sentence."""
    try:
        return make(), ""
    except (PointliftError, OSError, ImportError) as error:
        return None, _without_folders(str(error).rstrip("."))


def _without_folders(text: str) -> str:
    """A message without the folders of this machine: the page goes to others."""
    return re.sub(r"(?<![\w.])/(?:[^\s/:]+/)+", "", text)


def _pictured(summary: Mapping[str, Any], members: Sequence[Sequence[Run]]) -> tuple[list[int], int]:
    """Groups that share data and teacher with the first, proper ones if there are any; and the best of them.

    Groups whose students have no features in the teacher's space are left out, perhaps all.
    """
    groups = summary["groups"]
    shared = ("data.", "teacher.", "cache.")

    def basis(number: int) -> dict[str, Any]:
        return {key: value for key, value in recipe_values(members[number][0]).items() if key.startswith(shared)}

    able = [number for number, runs in enumerate(members) if runs[0].parts.point_features]
    if not able:
        return [], -1
    numbers = [number for number in able if not groups[number]["control"]] or able
    alike = [number for number in numbers if basis(number) == basis(numbers[0])]
    task = labelling_task(groups[alike[0]]["tasks"])

    def score(number: int) -> float:
        found = tables.metric_of(groups[number], task, "student", "miou") if task else None
        return -1.0 if not found or found["mean"] is None else float(found["mean"])

    shown = alike[:PICTURED]
    return shown, max(shown, key=score)


def _protocols(summary: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], list[str]]]:
    """Task, protocol block of the first group that has it, and the keys in which others differ."""
    found: dict[str, tuple[Mapping[str, Any], set[str]]] = {}
    for group in summary["groups"]:
        for name, task in group["tasks"].items():
            block, differs = found.setdefault(name, (task["protocol"], set()))
            keys = block.keys() | task["protocol"].keys()
            differs |= {key for key in keys if block.get(key) != task["protocol"].get(key)}
            differs |= set(task["protocol_differs"])
    return [(name, block, sorted(differs)) for name, (block, differs) in sorted(found.items())]


def _listed(value: Any) -> str:
    """A value of a protocol block in words."""
    if isinstance(value, (list, tuple)):
        return ", ".join(_listed(one) for one in value) or "none"
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_listed(one)}" for key, one in value.items())
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:g}" if isinstance(value, float) and np.isfinite(value) else str(value)
