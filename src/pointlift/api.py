"""The library's front door: what the command line does, one call each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pointlift import recipe as recipes
from pointlift import run as runs
from pointlift import trial
from pointlift.commands import rehearse as rehearsal
from pointlift.commands.predict import predict as predict
from pointlift.data.dataset import Dataset
from pointlift.data.opening import open_split
from pointlift.evaluation.result import Result
from pointlift.progress import Progress
from pointlift.recipe import Recipe
from pointlift.registry import STUDENTS, TEACHERS
from pointlift.run import Run
from pointlift.students.base import Student, checked_student
from pointlift.teachers.base import checked_teacher
from pointlift.train.loop import Callback


def pretrain(
    recipe: str | Path | Recipe,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    *,
    out: Path | str | None = None,
    progress: Progress | None = None,
    callbacks: Sequence[Callback] = (),
    cpu: bool = False,
) -> Run:
    """Distil as ``recipe`` says (a shipped name, a YAML file or a `Recipe`); the same call again resumes.

    ``callbacks`` are called with (step, method, metrics) after every logged step.
    """
    recipe = _resolved(recipe, overrides)
    return runs.train(recipe, Path(out) if out else runs.default_folder(recipe), progress, callbacks, cpu=cpu)


def dry_run(
    recipe: str | Path | Recipe,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    *,
    progress: Progress | None = None,
    cpu: bool = False,
) -> dict[str, Any]:
    """Build the run of ``recipe`` on the data that is there, take two steps, and say what the whole run would need."""
    return rehearsal.dry_run(_resolved(recipe, overrides), progress=progress, cpu=cpu)


def _resolved(recipe: str | Path | Recipe, overrides: Mapping[str, Any] | Sequence[str]) -> Recipe:
    if not isinstance(recipe, Recipe):
        return recipes.load(recipe, overrides)
    return recipes.from_values(recipe.to_dict(), overrides) if overrides else recipe


def evaluate(
    run: Run | Path | str,
    protocol: str,
    options: Mapping[str, Any] | None = None,
    *,
    task: str | None = None,
    data_root: Path | str | None = None,
    teacher: str | None = None,
    split: str = "val",
    label_data: Mapping[str, Any] | None = None,
    test_data: Mapping[str, Any] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    cpu: bool = False,
) -> Result:
    """Measure a run by a protocol; the result is also kept in the folder ``evaluation`` of the run.

    What was pretrained on, what gives labels and what is tested may be three data sets: the data that give labels are
    the recipe's, changed by ``label_data``, and the test data are these, changed by ``test_data``.

    Args:
        run: a run folder.
        protocol: its name, see ``pointlift list protocols``.
        options: the protocol's own options, and under ``task.OPTION`` those of the task.
        task: what is predicted, see ``pointlift list tasks``; by default semantic segmentation.
        data_root: where the data lie now, if not where the recipe says.
        teacher: where the teacher's weights lie now, folder or hub id.
        split: the split that is measured; protocols that learn do so on the recipe's own split.
        label_data: options in which the data that give labels differ from the recipe's, among them perhaps ``name``.
        test_data: options in which the test data differ from those, for tests out of distribution.
        seed: of whatever the protocol draws.
        progress: called with (what, done, total).
        cpu: stay on the CPU even where there is a GPU.
    """
    return trial.evaluate(
        (run if isinstance(run, Run) else Run(run)).with_teacher(teacher),
        protocol,
        options,
        task=task,
        split=split,
        label_data=label_data,
        test_data=test_data,
        data_root=data_root,
        seed=seed,
        progress=progress,
        cpu=cpu,
    )


def load(run: Path | str) -> Student:
    """The trained student of a run folder; ``.features(points)`` gives ``(N, D)`` for a NumPy array of points."""
    return Run(run).student()


def dataset(name: str, root: Path | str | None = None, split: str = "train", **options: Any) -> Dataset:
    """A data set as a sequence of Scenes; one that lies nowhere, or that pointlift makes itself, needs no ``root``."""
    place = {} if root is None else {"root": Path(root)}
    return open_split(name, split, **place, **options)


def teacher(name: str, **options: Any) -> Any:
    """A frozen 2D model."""
    return checked_teacher(TEACHERS.build(name, **options), name)


def student(name: str, in_channels: int, out_channels: int, **options: Any) -> Student:
    """A 3D network with random weights."""
    student = STUDENTS.build(name, in_channels, out_channels, **options)
    return checked_student(student, name, in_channels, out_channels)
