"""Runs to groups: those that differ in their seed alone are one recipe, and its results become statistics."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pointlift.errors import CheckpointError
from pointlift.evaluation.result import Result, Row
from pointlift.options import controls
from pointlift.recipe import flat, portable
from pointlift.report.results import results_of, spoken
from pointlift.report.summary import Contestant, Group, Measured, Statistic, Summary, statistic
from pointlift.run import Run
from pointlift.train import checkpoint


def summarise(runs: Sequence[Run]) -> Summary:
    """The evaluations of ``runs``, those that differ in their seed alone taken together; also what is not evaluated.

    Raises:
        DataError: a result file is not the JSON that a protocol writes.
    """
    notes: list[str] = []
    groups = []
    for alike in _alike(runs):
        members: dict[int, Run] = {}
        for run in alike:
            if members.setdefault(run.recipe.seed, run) is not run:
                notes.append(f"{run.folder} repeats seed {run.recipe.seed} of {run.recipe.name} and is left out.")
        groups.append(_group([members[seed] for seed in sorted(members)]))
    for group, label in zip(groups, _labels(groups), strict=True):
        group.label = label
    groups.sort(key=lambda group: group.control is not None)  # stable: controls come last
    _give_titles([measured for group in groups for measured in group.results.values()])
    return Summary(groups, notes + _comparability(groups))


def recipe_values(run: Run) -> dict[str, Any]:
    """All that determines ``run`` except its seed, with dotted keys; nothing about where things lie."""
    return {key: value for key, value in flat(portable(run.recipe)).items() if key != "seed"}


def _alike(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs of one recipe together, but for those that learned from other weights of its teacher."""
    by_recipe: dict[str, list[Run]] = {}
    for run in runs:
        by_recipe.setdefault(json.dumps(recipe_values(run), sort_keys=True), []).append(run)
    found: list[list[Run]] = []
    for members in by_recipe.values():
        weights = [_learned_from(run) for run in members]
        known = next(filter(None, weights), None)  # a run that has just begun does not know
        by_teacher: dict[str | None, list[Run]] = {}
        for run, own in zip(members, weights, strict=True):
            by_teacher.setdefault(own or known, []).append(run)
        found += by_teacher.values()
    return found


def _learned_from(run: Run) -> str | None:
    """The fingerprint of the teacher that a run learned from; None without a readable checkpoint that knows it."""
    path = checkpoint.latest(run.folder / "checkpoints")
    try:
        return None if path is None else checkpoint.read_state(path).get("teacher")
    except CheckpointError:
        return None


def _group(members: list[Run]) -> Group:
    recipe = members[0].recipe
    found = [results_of(run) for run in members]
    names = sorted({name for one in found for name in one})
    weights = next(filter(None, map(_learned_from, members)), None)
    return Group(
        name=recipe.name,
        label=recipe.name,
        control=", ".join(mark.words for mark in controls(recipe)) or None,
        recipe=recipe_values(members[0]) | ({"teacher.weights": weights[:12]} if weights else {}),
        loss=recipe.loss.name,
        method=recipe.method.name,
        teacher=recipe.teacher.name,
        student=recipe.student.name,
        data=recipe.data.name,
        seeds=[run.recipe.seed for run in members],
        steps=members[0].steps,
        runs=[str(run.folder) for run in members],
        results={name: _measured([one.get(name) for one in found]) for name in names},
        members=members,
    )


def _measured(results: list[Result | None]) -> Measured:
    """The results of a group's runs, one a run, as statistics."""
    known = [result for result in results if result is not None]
    first = known[0]
    rows: dict[tuple[str, str], Row] = {}
    for result in known:
        for row in result.rows:
            rows.setdefault((row.name, row.subset), row)
    return Measured(
        title=first.protocol,
        protocol=first.protocol,
        task=first.task,
        decides=first.decides,
        columns=list({column.key: column for result in known for column in result.columns}.values()),
        class_columns=list(first.class_columns),
        rows=[_contestant(row, [_row(result, key) for result in results]) for key, row in rows.items()],
        settings=first.settings,
        words=first.words,
        run=first.run,
        differs=_differing([result.words for result in known]),
        settings_differ=_differing([result.settings for result in known]),
    )


def _row(result: Result | None, key: tuple[str, str]) -> Row | None:
    return next((row for row in result.rows if (row.name, row.subset) == key), None) if result else None


def _contestant(first: Row, rows: list[Row | None]) -> Contestant:
    entries: list[Mapping[str, Any]] = [row.classes if row else {} for row in rows]
    names = dict.fromkeys(name for entry in entries for name in entry)
    return Contestant(
        name=first.name,
        role=first.role,
        subset=first.subset,
        metrics=_metrics([row.metrics if row else {} for row in rows]),
        classes={name: _metrics([entry.get(name, {}) for entry in entries]) for name in names},
    )


def _metrics(entries: list[Mapping[str, Any]]) -> dict[str, Statistic]:
    """Statistics of everything that is a number, or yes or no, in one of the entries, one entry a run."""
    keys = dict.fromkeys(key for entry in entries for key, value in entry.items() if isinstance(value, (int, float)))
    return {key: statistic(entry.get(key) for entry in entries) for key in keys}


def _differing(blocks: list[dict[str, Any]]) -> list[str]:
    keys = dict.fromkeys(key for block in blocks for key in block)
    return sorted(key for key in keys if any(block.get(key) != blocks[0].get(key) for block in blocks))


def _labels(groups: Sequence[Group]) -> list[str]:
    """A short, unique name for each group: its loss if that tells them apart, else its recipe, else what differs."""
    by_loss = [" · ".join(filter(None, (group.loss, group.control))) for group in groups]
    by_name = [" · ".join(filter(None, (group.name, group.control))) for group in groups]
    for names in (by_loss, by_name):
        if len(set(names)) == len(names):
            return names
    recipes = [group.recipe for group in groups]
    keys = sorted({key for recipe in recipes for key in recipe})
    varied = [key for key in keys if len({json.dumps(recipe.get(key)) for recipe in recipes}) > 1]
    said = [", ".join(f"{key}={recipe.get(key)}" for key in varied) for recipe in recipes]
    return [f"{group.name} ({differs})" for group, differs in zip(groups, said, strict=True)]


def _give_titles(results: Sequence[Measured]) -> None:
    """What results are called in sentences; their split is said only where it tells some of them apart."""
    several = len({measured.run.get("split") for measured in results}) > 1
    for measured in results:
        measured.title = spoken(measured.protocol, measured.task, measured.run, split=several)


def _comparability(groups: Sequence[Group]) -> list[str]:
    notes = []
    names = list(dict.fromkeys(group.data for group in groups))
    if len(names) > 1:
        notes.append(f"The runs have different data sets ({', '.join(names)}); their rows are not comparable.")
    tests: dict[str, set[str]] = {}
    for group in groups:
        for measured in group.results.values():
            said = tests.setdefault(measured.title, set())
            said.add(json.dumps(measured.settings.get("data", {}).get("test"), sort_keys=True))
            if {"data", "seed"} & set(measured.settings_differ):
                said.add("differs within a group")
    varied = sorted(title for title, said in tests.items() if len(said) > 1)
    if varied:
        notes.append(f"Not all runs were measured on the same test data: {', '.join(varied)}.")
    return notes
