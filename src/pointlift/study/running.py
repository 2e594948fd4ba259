"""Doing a study: cell by cell, one after the other or several at a time; what is there already is not done again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pointlift import recipe as recipe_module
from pointlift import trial
from pointlift.data.opening import open_dataset
from pointlift.documents import read_json
from pointlift.errors import DataError, PointliftError
from pointlift.evaluation.result import Result
from pointlift.progress import Progress
from pointlift.recipe import Recipe
from pointlift.run import Run, prepare, train
from pointlift.study import processes
from pointlift.study.description import Cell, Evaluation
from pointlift.study.processes import Job


@dataclass(frozen=True)
class Measured:
    """A cell that is done: its run, and its results by the titles of the evaluations."""

    cell: Cell
    run: Run
    results: dict[str, Result]


def run(
    cells: Sequence[Cell], out: Path, *, parallel: int = 1, progress: Progress | None = None, cpu: bool = False
) -> list[Measured]:
    """Do all cells; the same call again goes on where it was stopped.

    Args:
        cells: of a study.
        out: its folder.
        parallel: how many cells at a time, each in a process of its own; torch's threads are shared out among them.
        progress: called with (what, done, total).
        cpu: stay on the CPU even where there is a GPU.

    Raises:
        PointliftError: of the first cell that could not be done; it begins with the cell's name.
    """
    if parallel > 1:
        _in_processes(cells, out, parallel, progress, cpu)
    return [run_cell(cell, out, progress, cpu) for cell in cells]


def run_cell(cell: Cell, out: Path, progress: Progress | None = None, cpu: bool = False) -> Measured:
    """Do what is not yet done of a cell; its run folder is ``out/runs/NAME``."""
    folder = out / "runs" / cell.name
    say = None if progress is None else _named(progress, cell.name)
    with _errors_named(cell.name):
        run = _trained(folder, cell.recipe) or train(cell.recipe, folder, say, cpu=cpu)
        results = {one.title: _found(run, one) or evaluate(run, one, say, cpu) for one in cell.evaluations}
    return Measured(cell, run, results)


def evaluate(run: Run, asked: Evaluation, progress: Progress | None, cpu: bool) -> Result:
    """Measure a run; the result is kept in it."""
    return trial.evaluate(run, asked.protocol, asked.options, **asked.what, seed=asked.seed, progress=progress, cpu=cpu)


def _trained(folder: Path, recipe: Recipe) -> Run | None:
    """The run of this recipe if it is there and complete."""
    try:
        run = Run(folder)
        done = run.state["step"]
    except PointliftError:
        return None
    return run if done >= run.steps and not recipe_module.differences(run.recipe, recipe) else None


def _found(run: Run, asked: Evaluation) -> Result | None:
    """The very result that is asked for, if the run has it: one that was measured otherwise since is none."""
    data = trial.data_in_results(run.recipe, asked.split, asked.label_data, asked.test_data)
    for path in sorted((run.folder / "evaluation").glob("*.json")):
        try:
            result = Result.from_dict(read_json(path, "result"), str(path))
        except DataError:
            continue
        if asked.answered_by(result, run.checkpoint.name, data):
            return result
    return None


@contextmanager
def _errors_named(name: str) -> Iterator[None]:
    """Errors of a user's mistake say which cell they are of."""
    try:
        yield
    except PointliftError as error:
        error.args = (f"{name}: {error}",)
        raise


def _named(progress: Progress, name: str) -> Progress:
    """Progress that says which cell it belongs to."""
    return lambda what, done, total: progress(f"{name}: {what}", done, total)


def _in_processes(cells: Sequence[Cell], out: Path, parallel: int, progress: Progress | None, cpu: bool) -> None:
    """Do what is not done of cells in processes of their own, after what several would make at once is made once."""
    left = [cell for cell in cells if not _done(cell, out)]
    for options in _data_of(left):
        open_dataset(options).prepare(progress)
    processes.do(
        [Job(names, _prepare, (names, recipes, cpu)) for names, recipes in _sharing(left, out)], parallel, progress
    )
    told = [(cell, (cell.label, cell.control, cell.recipe.to_dict(), cell.evaluations)) for cell in left]
    processes.do([Job(cell.name, _do_cell, (values, out, cpu)) for cell, values in told], parallel, progress)


def _done(cell: Cell, out: Path) -> bool:
    run = _trained(out / "runs" / cell.name, cell.recipe)
    return run is not None and all(_found(run, one) for one in cell.evaluations)


def _data_of(cells: Sequence[Cell]) -> list[BaseModel]:
    """The options of all data that cells are pretrained and measured on, each once."""
    every = [cell.recipe.data for cell in cells]
    for cell in cells:
        for one in cell.evaluations:
            data = trial.data_options(cell.recipe, one.split, one.label_data, one.test_data)
            every += [data.labelled, trial.test_options(data, one.split, one.test_data)]
    return list({options.model_dump_json(): options for options in every}.values())


def _sharing(cells: Sequence[Cell], out: Path) -> list[tuple[str, list[dict[str, Any]]]]:
    """Recipes of cells that are to be pretrained with the same teacher on the same data, so share its features.

    Of each such group of at least two: its cells' names in short, and one recipe for each way in which its features are
    asked for. What evaluations ask of the teacher is left to them: which images they see, they alone know.
    """
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.recipe.cache.enabled and _trained(out / "runs" / cell.name, cell.recipe) is None:
            same = cell.recipe.model_dump(mode="json", include={"data", "teacher", "cache"})
            groups.setdefault(json.dumps(same), []).append(cell)
    found = []
    for group in (group for group in groups.values() if len(group) > 1):
        values = [cell.recipe.to_dict() for cell in group]
        ways = {json.dumps([one["method"], one["image"], one["training"]["threads"]]): one for one in values}
        found.append((f"{group[0].name} and {len(group) - 1} more", list(ways.values())))
    return found


def _prepare(names: str, recipes: Sequence[dict[str, Any]], cpu: bool, progress: Progress) -> None:
    """What a process does for several cells: what they would do before training."""
    with _errors_named(names):
        for values in recipes:
            prepare(recipe_module.from_values(values), _named(progress, names), cpu)


def _do_cell(
    told: tuple[str, bool, dict[str, Any], tuple[Evaluation, ...]], out: Path, cpu: bool, progress: Progress
) -> None:
    """What a process does for one cell."""
    label, control, values, evaluations = told
    run_cell(Cell(label, control, recipe_module.from_values(values), evaluations), out, progress, cpu)
