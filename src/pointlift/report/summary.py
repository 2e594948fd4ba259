"""The figures of several runs: grouped by recipe, with mean and standard deviation over seeds."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pointlift.errors import DataError
from pointlift.recipe import flat, portable
from pointlift.report import tables
from pointlift.run import Run

Statistic = dict[str, Any]
"""``mean``, ``std`` (of the sample; None for fewer than two values) and ``values``, one a run, None where absent."""

_CONTROLS = {"method.shuffle_pairs": "pairs shuffled", "teacher.random": "random teacher"}


def summarise(runs: Sequence[Run]) -> dict[str, Any]:
    """The evaluations of ``runs`` as plain values, runs that differ in their seed alone taken together.

    Args:
        runs: any runs; what was not evaluated is left out.

    Returns:
        ``groups``: for each recipe ``name``, ``label`` (unique, short), ``control`` (None, or what is wrong on
        purpose), ``recipe`` (without its seed), ``loss``, ``teacher``, ``student``, ``data``, ``seeds``, ``steps``,
        ``runs`` (their folders) and ``tasks``: for each protocol ``rows`` (row -> metric -> `Statistic`), ``classes``
        (row -> class -> metric -> `Statistic`), ``protocol``, ``split``, ``task``, ``columns`` (heading -> metric, of a
        protocol that names its own; else empty), ``test_data``, ``options`` and ``evaluation_seed`` of the first run,
        and ``protocol_differs``, the keys in which other runs' protocols differ from it. ``notes``: what should be
        known of the grouping, as sentences.

    Raises:
        DataError: a result file is not the JSON that a protocol writes.
    """
    grouped: dict[str, list[Run]] = {}
    notes: list[str] = []
    for run in runs:
        members = grouped.setdefault(json.dumps(recipe_values(run), sort_keys=True), [])
        if any(run.recipe.seed == other.recipe.seed for other in members):
            notes.append(f"{run.folder} repeats seed {run.recipe.seed} of {run.recipe.name} and is left out.")
        else:
            members.append(run)
    groups = [_group(members) for members in grouped.values()]
    for group, label in zip(groups, _labels(groups), strict=True):
        group["label"] = label
    groups.sort(key=lambda group: group["control"] is not None)  # stable: controls come last
    notes += _comparability(groups)
    return {"groups": groups, "notes": notes}


def markdown(summary: Mapping[str, Any]) -> str:
    """The tables of `summarise` for documents: results, the teacher's ceiling, IoU per class, structure."""
    parts = []
    for heading, table in tables.all_tables(summary):
        parts.append(f"**{heading}**\n\n{tables.to_markdown(table)}")
    parts += summary["notes"]
    return "\n\n".join(parts) + "\n"


def recipe_values(run: Run) -> dict[str, Any]:
    """All that determines ``run`` except its seed, with dotted keys; nothing about where things lie."""
    return {key: value for key, value in flat(portable(run.recipe)).items() if key != "seed"}


def statistic(values: Iterable[float | int | None]) -> Statistic:
    """Mean and sample standard deviation of the values that are there."""
    listed = list(values)
    known = [value for value in listed if value is not None]
    mean = statistics.fmean(known) if known else None
    return {"mean": mean, "std": statistics.stdev(known) if len(known) > 1 else None, "values": listed}


def _group(members: list[Run]) -> dict[str, Any]:
    members = sorted(members, key=lambda run: run.recipe.seed)
    recipe = members[0].recipe
    values = recipe_values(members[0])
    wrong = [words for key, words in _CONTROLS.items() if values.get(key) is True]
    results = [_results(run) for run in members]
    tasks = sorted({task for found in results for task in found})
    return {
        "name": recipe.name,
        "label": recipe.name,
        "control": ", ".join(wrong) or None,
        "recipe": values,
        "loss": recipe.loss.name,
        "teacher": recipe.teacher.name,
        "student": recipe.student.name,
        "data": recipe.data.name,
        "seeds": [run.recipe.seed for run in members],
        "steps": members[0].steps,
        "runs": [str(run.folder) for run in members],
        "tasks": {task: _task([found.get(task) for found in results]) for task in tasks},
    }


def _results(run: Run) -> dict[str, dict[str, Any]]:
    """The result files of a run by task."""
    found = {}
    for path in sorted((run.folder / "evaluation").glob("*.json")):
        try:
            result = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: the result cannot be read ({error}); evaluate the run again") from error
        if not isinstance(result, dict) or not isinstance(result.get("results"), dict):
            raise DataError(
                f"{path}: this is not the result of a protocol: it has no 'results'; evaluate the run again"
            )
        found[path.stem] = result
    return found


def _task(results: list[dict[str, Any] | None]) -> dict[str, Any]:
    known = [result for result in results if result is not None]
    names = list(dict.fromkeys(row for result in known for row in result["results"]))
    rows = [{} if result is None else result["results"] for result in results]
    protocols = [result.get("protocol", {}) for result in known]
    differs = {k for p in protocols[1:] for k in p.keys() | protocols[0].keys() if p.get(k) != protocols[0].get(k)}
    return {
        "rows": {name: _metrics([row.get(name) or {} for row in rows]) for name in names},
        "classes": {
            name: found
            for name in names
            if (found := _class_metrics([(row.get(name) or {}).get("classes", {}) for row in rows]))
        },
        "protocol": protocols[0],
        "protocol_differs": sorted(differs),
        "split": known[0].get("split"),
        "task": known[0].get("task"),
        "columns": known[0].get("columns") or {},
        "test_data": known[0].get("test_data") or {},
        "options": known[0].get("options"),
        "evaluation_seed": known[0].get("evaluation_seed", 0),
    }


def _metrics(entries: list[Mapping[str, Any]]) -> dict[str, Statistic]:
    """Statistics of everything that is a number in one of the entries, one entry a run."""
    keys = dict.fromkeys(key for entry in entries for key, value in entry.items() if _is_number(value))
    return {key: statistic(entry.get(key) for entry in entries) for key in keys}


def _class_metrics(entries: list[Mapping[str, Any]]) -> dict[str, dict[str, Statistic]]:
    names = dict.fromkeys(name for entry in entries for name in entry)
    return {name: _metrics([entry.get(name, {}) for entry in entries]) for name in names}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _labels(groups: list[dict[str, Any]]) -> list[str]:
    """A short, unique name for each group: its loss if that tells them apart, else its recipe, else what differs."""
    by_loss = [" · ".join(filter(None, (group["loss"], group["control"]))) for group in groups]
    by_name = [" · ".join(filter(None, (group["name"], group["control"]))) for group in groups]
    for names in (by_loss, by_name):
        if len(set(names)) == len(names):
            return names
    recipes = [group["recipe"] for group in groups]
    keys = sorted({key for recipe in recipes for key in recipe})
    varied = [key for key in keys if len({json.dumps(recipe.get(key)) for recipe in recipes}) > 1]
    said = [", ".join(f"{key}={recipe.get(key)}" for key in varied) for recipe in recipes]
    return [f"{group['name']} ({differs})" for group, differs in zip(groups, said, strict=True)]


def _comparability(groups: list[dict[str, Any]]) -> list[str]:
    notes = []
    names = list(dict.fromkeys(group["data"] for group in groups))
    if len(names) > 1:
        notes.append(f"The runs have different data sets ({', '.join(names)}); their rows are not comparable.")
    tests: dict[str, set[str]] = {}
    for group in groups:
        for task, found in group["tasks"].items():
            tests.setdefault(task, set()).add(json.dumps(found["protocol"].get("test data"), sort_keys=True))
            if {"test data", "seed"} & set(found["protocol_differs"]):
                tests[task].add("differs within a group")
    varied = sorted(task for task, found in tests.items() if len(found) > 1)
    if varied:
        notes.append(f"Not all runs were measured on the same test data: {', '.join(map(tables.called, varied))}.")
    return notes
