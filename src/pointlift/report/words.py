"""What a page says in sentences, composed from the runs themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from pointlift import recipe as recipes
from pointlift.errors import PointliftError
from pointlift.recipe import flat
from pointlift.report import tables
from pointlift.report.summary import recipe_values
from pointlift.run import Run

READ_OUT = {
    "zero-shot": "by text prompts alone",
    "exemplar": "by labelled pixels of the training images",
    "linear-probe": "by a linear classifier on frozen features",
    "finetune": "by fine-tuning on few labels",
}


@dataclass(frozen=True)
class Headline:
    """One number at the top of the page: what it is, and what it is to be compared with."""

    value: str
    unit: str
    text: str


def joined(parts: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def default_title(summary: Mapping[str, Any]) -> str:
    """The recipes' names, or their number if there are many."""
    names = list(dict.fromkeys(group["name"] for group in summary["groups"]))
    return joined(names) if len(names) <= 3 else f"{len(names)} recipes compared"


def introduction(summary: Mapping[str, Any]) -> list[str]:
    """What was done, in three sentences."""
    groups = _proper(summary)
    return [_what(groups), _how(groups, summary), _measured(summary)]


def _what(groups: Sequence[Mapping[str, Any]]) -> str:
    first = groups[0]
    data = joined(list(dict.fromkeys(group["data"] for group in groups)))
    student = joined(list(dict.fromkeys(group["student"] for group in groups)))
    method = first["recipe"].get("method.name")
    if method != "point_pixel":
        return f"The 3D network {student} was trained on the data set {data} by the method {method}."
    teacher = joined(list(dict.fromkeys(group["teacher"] for group in groups)))
    return (
        f"The 3D network {student} learned to give each point of the data set {data} the feature that the frozen image "
        f"network {teacher} gives the pixel on which the point falls; it sees points alone, and no label was used."
    )


def _how(groups: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> str:
    losses = list(dict.fromkeys(group["loss"] for group in groups))
    scans = next((n for group in groups if (n := scans_of(group, "training data"))), None)
    steps = joined([f"{steps:,}" for steps in sorted({group["steps"] for group in groups})])
    how = f"with the {losses[0]} loss" if len(losses) == 1 else f"with each of the losses {joined(losses)}"
    seeds = sorted({len(group["seeds"]) for group in groups})
    said = f"{_between([str(n) for n in seeds])} seeds" if seeds != [1] else "one seed only, so without a spread"
    controls = [group["label"] for group in summary["groups"] if group["control"]]
    beside = ""
    if controls and len(controls) < len(summary["groups"]):
        beside = f", and beside them the control{'s' if len(controls) > 1 else ''} {joined(controls)}"
    return f"It was distilled {how} for {steps} steps{f' on {scans:,} scans' if scans else ''}, {said}{beside}."


def _measured(summary: Mapping[str, Any]) -> str:
    tasks = tables.segmentation_tasks(summary)
    scans = next((n for group in summary["groups"] if (n := scans_of(group, "test data"))), None)
    where = f"{scans:,} held-out scans" if scans else "held-out scans"
    ways = [READ_OUT.get(task, f"by {tables.called(task)}") for task in tasks]
    if not ways:
        return "Its features were not yet used to tell classes apart; what was measured is below."
    return f"What its features know of the classes is read out on {where} {joined(ways)}, beside baselines."


def scans_of(group: Mapping[str, Any], which: str) -> int | None:
    """Number of scans in the ``training data`` or ``test data`` of the first task that names them."""
    for task in group["tasks"].values():
        data = task["protocol"].get(which)
        if isinstance(data, Mapping) and data.get("scans"):
            return int(data["scans"])
    return None


def headlines(summary: Mapping[str, Any]) -> list[Headline]:
    """At most four numbers: the students' range, and what to compare it with."""
    groups = _proper(summary)
    found = []
    for task in tables.segmentation_tasks(summary)[:3]:
        row = tables.student_row(task)
        statistics = [tables.metric_of(group, task, row, "miou") for group in groups]
        value = _range(statistics)
        if value:
            found.append(
                Headline(value, "% mIoU", f"{tables.called(task)}, {_people(statistics)}{_against(summary, task)}")
            )
        shares = [row.cells[2].text.removesuffix(" %") for row in _ceiling_rows(summary, task)]
        if shares:
            text = f"of the teacher’s own {tables.called(task)} mIoU, at the points that a camera sees"
            found.append(Headline(_between(sorted(set(shares), key=int)), "%", text))
    return found[:4]


def _ceiling_rows(summary: Mapping[str, Any], task: str) -> list[tables.Row]:
    table = tables.ceiling(summary, task)
    proper = [number for number, group in enumerate(summary["groups"]) if not group["control"]]
    return [row for row in table.rows if row.group in proper] if table else []


def _range(statistics: Sequence[Mapping[str, Any] | None]) -> str:
    known = [one for one in statistics if one and one["mean"] is not None]
    if len(known) == 1:
        return str(tables.percent(known[0]))
    return _between([f"{100 * value:.1f}" for value in sorted(one["mean"] for one in known)])


def _between(ordered: Sequence[str]) -> str:
    """``a–b`` of values in order, or the one there is."""
    ends = list(dict.fromkeys([*ordered[:1], *ordered[-1:]]))
    return "–".join(ends)


def _people(statistics: Sequence[Mapping[str, Any] | None]) -> str:
    known = [one for one in statistics if one and one["mean"] is not None]
    runs = {len(one["values"]) for one in known}
    what = "one recipe" if len(known) == 1 else f"lowest to highest of {len(known)} recipes"
    return f"{what}, {'one seed' if runs == {1} else f'mean of {_between([str(n) for n in sorted(runs)])} seeds'}"


def _against(summary: Mapping[str, Any], task: str) -> str:
    said = []
    for row in ("random network", "raw features", "local geometry", "majority class"):
        found = tables.shared(summary, task, row, "miou")
        if found:
            said.append(f"{row} {100 * found['mean']:.1f}")
    return f"; {', '.join(said)}" if said else ""


def _proper(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The groups that are no controls, or all if there are only such."""
    return [group for group in summary["groups"] if not group["control"]] or list(summary["groups"])


def commands(members: Sequence[Run], tasks: Mapping[str, Any]) -> list[str]:
    """The commands that make the runs of one group again."""
    run = members[0]
    source, changes = _as_shipped(run)
    needs_data = "" if run.recipe.data.name in ("street", "rooms", "shapes", "mixture") else " --data-root DATA"
    needs_teacher = " --teacher WEIGHTS" if getattr(run.recipe.teacher, "source", None) else ""
    settings = "".join(f" --set {key}={_yaml(value)}" for key, value in changes.items())
    lines = []
    for one in members:
        folder = f"runs/{one.folder.name}"
        seed = f" --seed {one.recipe.seed}"
        lines.append(f"pointlift pretrain {source}{seed}{needs_data}{needs_teacher}{settings} --out {folder}")
        lines += [
            f"pointlift evaluate {folder} --task {found.get('task') or task}{_options(found)}{needs_data}"
            for task, found in tasks.items()
        ]
    return lines


def _as_shipped(run: Run) -> tuple[str, dict[str, Any]]:
    """The shipped recipe of this name and what differs from it; a file name if there is none."""
    try:
        shipped = flat(recipes.load(run.recipe.name, {"data.root": "."}).to_dict())
    except PointliftError:
        return f"{run.recipe.name}.yaml", {}
    own = recipe_values(run)
    changes = {key: value for key, value in own.items() if key not in shipped or shipped[key] != value}
    changes.pop("teacher.source", None)
    return run.recipe.name, changes


def _options(found: Mapping[str, Any]) -> str:
    """Split, seed and options with which a result was measured."""
    said = "".join(f" --set {key}={_yaml(value)}" for key, value in (found.get("options") or {}).items())
    if found.get("split") not in (None, "val"):
        said += f" --split {found['split']}"
    said += "".join(f" --test-data {key}={_yaml(value)}" for key, value in found.get("test_data", {}).items())
    return said + (f" --seed {found['evaluation_seed']}" if found.get("evaluation_seed") else "")


def _yaml(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()
    return f"'{text}'" if set(text) & set(" []{},*&#") else text


def recipe_text(run: Run) -> str:
    """The recipe as YAML, without its seed and without where things lie on this machine."""
    values = recipes.portable(run.recipe)
    values.pop("seed", None)
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
