"""Doing a study: cell by cell, one after the other or several at a time; what is there already is not done again."""

from __future__ import annotations

import json
import multiprocessing
import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from pointlift import plugins, trial
from pointlift import recipe as recipe_module
from pointlift.errors import DataError, PointliftError, TrainingError
from pointlift.evaluation.result import Result
from pointlift.progress import Progress
from pointlift.recipe import Recipe
from pointlift.run import Parts, Run, train
from pointlift.study.description import Cell, Evaluation
from pointlift.train import checkpoint


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
        PointliftError: of the first cell that could not be done.
    """
    if parallel > 1:
        _in_processes(cells, out, parallel, progress, cpu)
    return [run_cell(cell, out, progress, cpu) for cell in cells]


def run_cell(cell: Cell, out: Path, progress: Progress | None = None, cpu: bool = False) -> Measured:
    """Do what is not yet done of a cell; its run folder is ``out/runs/NAME``."""
    folder = out / "runs" / cell.name
    say = None if progress is None else _named(progress, cell.name)
    run = _trained(folder, cell.recipe) or train(cell.recipe, folder, say, cpu=cpu)
    results = {one.title: _found(run, one) or evaluate(run, one, say, cpu) for one in cell.evaluations}
    return Measured(cell, run, results)


def evaluate(run: Run, asked: Evaluation, progress: Progress | None, cpu: bool) -> Result:
    """Measure a run; the result is kept in it."""
    given = asked.model_dump(include={"task", "split", "label_data", "test_data", "seed"})
    return trial.evaluate(run, asked.protocol, asked.options, **given, progress=progress, cpu=cpu)


def _trained(folder: Path, recipe: Recipe) -> Run | None:
    """The run of this recipe if it is there and complete."""
    try:
        run = Run(folder)
        done = int(checkpoint.read_state(run.checkpoint)["step"])
    except (PointliftError, KeyError):
        return None
    return run if done >= run.steps and not recipe_module.differences(run.recipe, recipe) else None


def _found(run: Run, asked: Evaluation) -> Result | None:
    """The very result that is asked for, if the run has it: one that was measured otherwise since is none."""
    for path in sorted((run.folder / "evaluation").glob("*.json")):
        try:
            result = Result.from_dict(json.loads(path.read_text()), str(path))
        except (OSError, ValueError, DataError):
            continue
        if asked.answered_by(result, run.checkpoint.name):
            return result
    return None


def _named(progress: Progress, name: str) -> Progress:
    """Progress that says which cell it belongs to."""
    return lambda what, done, total: progress(f"{name}: {what}", done, total)


def _in_processes(cells: Sequence[Cell], out: Path, parallel: int, progress: Progress | None, cpu: bool) -> None:
    """Do cells in processes of their own; when one cannot be done no other is begun, and it is said at the end."""
    _prepare(cells, progress)  # once, and not by every process at the same time
    context = multiprocessing.get_context("spawn")
    said: Any = context.Queue()
    threads = max(1, torch.get_num_threads() // parallel)
    running: dict[str, BaseProcess] = {}

    def begin(cell: Cell) -> BaseProcess:
        told = (cell.name, cell.label, cell.control, cell.recipe.to_dict(), cell.evaluations)
        process = context.Process(target=_work, args=(said, plugins.loaded(), threads, told, out, cpu), daemon=False)
        process.start()
        return process

    try:
        failed = _all_done(list(cells), running, begin, parallel, said, progress)
    finally:
        _stop(running)
    if failed:
        raise TrainingError(failed)


def _all_done(
    waiting: list[Cell],
    running: dict[str, BaseProcess],
    begin: Callable[[Cell], BaseProcess],
    parallel: int,
    said: Any,
    progress: Progress | None,
) -> str:
    """Begin what waits while there is room, until all has ended; a sentence if something failed."""
    failed = ""
    while running or (waiting and not failed):
        while waiting and not failed and len(running) < parallel:
            cell = waiting.pop(0)
            running[cell.name] = begin(cell)
        failed = _heard(said, progress) or failed
        failed = _ended(running) or failed
    return _heard(said, progress) or failed


def _stop(running: dict[str, BaseProcess]) -> None:
    """Ask processes that still run to stop, which saves what they have, and wait for them."""
    for process in running.values():
        process.terminate()
    for process in running.values():
        process.join()


def _prepare(cells: Sequence[Cell], progress: Progress | None) -> None:
    """Make what data sets make on first use, those of all cells."""
    for recipe in {json.dumps(cell.recipe.to_dict()["data"]): cell.recipe for cell in cells}.values():
        Parts(recipe).dataset().prepare(progress)


def _work(said: Any, imports: Sequence[str], threads: int, told: tuple[Any, ...], out: Path, cpu: bool) -> None:
    """What a process does: one cell."""
    name, label, control, values, evaluations = told
    try:
        for source in imports:
            plugins.load(source)
        torch.set_num_threads(threads)
        cell = Cell(label, control, recipe_module.from_values(values), evaluations)
        run_cell(cell, out, lambda *one: said.put((name, *one)), cpu)
    except PointliftError as error:
        said.put((name, f"{name}: {error}"))


def _heard(said: Any, progress: Progress | None) -> str:
    """Pass on what processes said; the last failure among it, if any."""
    failed = ""
    try:
        message = said.get(timeout=0.2)
        while True:
            if len(message) == 2:
                failed = message[1]
            elif progress is not None:
                progress(*message[1:])
            message = said.get_nowait()
    except queue.Empty:
        return failed


def _ended(running: dict[str, BaseProcess]) -> str:
    """Forget processes that have ended; a sentence for one that ended badly."""
    failed = ""
    for name, process in list(running.items()):
        if process.exitcode is not None:
            del running[name]
            if process.exitcode == -9:
                failed = f"{name}: its process was killed, most likely because memory ran out; set a lower --parallel"
            elif process.exitcode != 0:
                failed = f"{name}: its process ended with {process.exitcode}; run it alone to see why"
    return failed
