"""How to make the runs of a page again: commands and recipes, with nothing about the machine they were made on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pointlift import recipe as recipes
from pointlift.errors import PointliftError
from pointlift.evaluation.naming import USUAL_SPLIT
from pointlift.options import Place, marked
from pointlift.recipe import Recipe, flat, portable
from pointlift.registry import DATASETS, TASKS
from pointlift.report.grouping import recipe_values
from pointlift.report.results import as_yaml
from pointlift.report.summary import Group, Measured
from pointlift.run import Run
from pointlift.tasks.base import DEFAULT


def commands(group: Group) -> list[str]:
    """The commands that make the runs of one group again."""
    recipe = group.members[0].recipe
    source, changes = _as_shipped(group.members[0])
    given = _given(recipe)
    data = given.get("data", "")
    settings = "".join(f" --set {key}={_quoted(value)}" for key, value in changes.items())
    lines = []
    for one in group.members:
        folder = f"runs/{one.folder.name}"
        lines.append(
            f"pointlift pretrain {source} --seed {one.recipe.seed}{''.join(given.values())}{settings} --out {folder}"
        )
        lines += [
            f"pointlift evaluate {folder} --protocol {measured.protocol}{_options(measured, recipe.data.name)}{data}"
            for measured in group.results.values()
        ]
    return lines


def first_evaluation(run: Run, data_root: Path | None) -> str:
    """The command that measures a run for the first time: with labels if there are any, on held-out scans if there are.

    Where the data cannot be opened here, what needs least of them.
    """
    folder, task = f"runs/{run.folder.name}", TASKS.get(DEFAULT).factory
    given = "".join(flags for component, flags in _given(run.recipe).items() if component == "data")
    values = {} if data_root is None else {"root": data_root}
    split, protocol = "", "fidelity"
    try:
        labelled = run.parts.dataset(**values)
        try:
            test = run.parts.dataset(**values, split=USUAL_SPLIT)
        except PointliftError:
            test, split = labelled, " --split train"
        kind, names = task.labels, task.classes(labelled)  # type: ignore[attr-defined]
        if names and names == task.classes(test) and kind in labelled.labels and kind in test.labels:  # type: ignore[attr-defined]
            protocol = "linear-probe"
    except PointliftError:
        pass
    return f"pointlift evaluate {folder} --protocol {protocol}{split}{given}"


def recipe_text(run: Run) -> str:
    """The recipe as YAML, without its seed and without where things lie on this machine."""
    values = portable(run.recipe)
    values.pop("seed", None)
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def _given(recipe: Recipe) -> dict[str, str]:
    """Flags for the places that whoever makes a run again must give, by the component that needs them."""
    known = portable(recipe)
    found: dict[str, str] = {}
    for key, mark in marked(recipe, Place):
        component, _, option = key.partition(".")
        if not isinstance(mark, Place) or mark.flag is None or "." in option or option in known[component]:
            continue
        field = type(getattr(recipe, component)).model_fields[option]
        default = None if field.is_required() else field.default
        if field.is_required() or default not in (None, getattr(getattr(recipe, component), option)):
            found[component] = f" {mark.flag}"
    return found


def _as_shipped(run: Run) -> tuple[str, dict[str, Any]]:
    """The shipped recipe of this name and what differs from it; a file name if there is none."""
    try:
        shipped = flat(recipes.load(run.recipe.name, {"data.root": "."}).to_dict())
    except PointliftError:
        return f"{run.recipe.name}.yaml", {}
    own = recipe_values(run)
    return run.recipe.name, {k: value for k, value in own.items() if k not in shipped or shipped[k] != value}


def _options(measured: Measured, data: str) -> str:
    """Task, split, seed, data and options with which a result was measured."""
    run = measured.run
    said = f" --task {measured.task}" if measured.task not in (None, DEFAULT) else ""
    said += "".join(f" --set {key}={_quoted(value)}" for key, value in (run.get("options") or {}).items())
    said += f" --split {run['split']}" if run.get("split") not in (None, USUAL_SPLIT) else ""
    for flag in ("label_data", "test_data"):
        changes = run.get(flag) or {}
        places = _places(str(changes.get("name", data)))
        said += "".join(
            f" --{flag.replace('_', '-')} {key}={'FOLDER' if key in places else _quoted(value)}"
            for key, value in changes.items()
        )
    return said + (f" --seed {run['evaluation_seed']}" if run.get("evaluation_seed") else "")


def _places(data: str) -> set[str]:
    """The options of a data set that are places."""
    if data not in DATASETS.names():
        return {"root"}
    fields: Mapping[str, Any] = DATASETS.options(data).model_fields
    return {key for key, field in fields.items() if any(isinstance(mark, Place) for mark in field.metadata)}


def _quoted(value: Any) -> str:
    text = as_yaml(value)
    return f"'{text}'" if set(text) & set(" []{},*&#") else text
