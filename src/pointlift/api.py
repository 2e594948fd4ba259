"""The library's front door: what the command line does, one call each."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from pointlift import recipe as recipes
from pointlift import run as runs
from pointlift.commands import rehearse as rehearsal
from pointlift.commands.predict import predict as predict
from pointlift.data.dataset import Dataset
from pointlift.data.opening import open_by_name
from pointlift.errors import CheckpointError
from pointlift.evaluation.base import Trial
from pointlift.files import write_atomically
from pointlift.progress import Progress
from pointlift.recipe import Recipe
from pointlift.registry import PROTOCOLS, STUDENTS, TEACHERS
from pointlift.run import Parts, Run
from pointlift.students.base import Student
from pointlift.teachers.pixels import PixelFeatures
from pointlift.train import checkpoint
from pointlift.train.method import Method

_OF_POINT_FEATURES = ("zero-shot", "exemplar", "structure")  # these compare the student's output with the teacher


def pretrain(
    recipe: str | Path | Recipe,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    *,
    out: Path | str | None = None,
    progress: Progress | None = None,
    cpu: bool = False,
) -> Run:
    """Distil as ``recipe`` says (a shipped name, a YAML file or a `Recipe`); the same call again resumes."""
    recipe = _resolved(recipe, overrides)
    return runs.train(recipe, Path(out) if out else runs.default_folder(recipe), progress, cpu=cpu)


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
    task: str,
    options: Mapping[str, Any] | None = None,
    *,
    data_root: Path | str | None = None,
    teacher: str | None = None,
    split: str = "val",
    test_data: Mapping[str, Any] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    cpu: bool = False,
) -> dict[str, Any]:
    """Measure a run by the protocol ``task``; the result is also written to ``evaluation/TASK.json`` in the run.

    With ``test_data`` the file is ``evaluation/TASK-KEY=VALUE.json``, so that it stands beside the usual result.

    Args:
        run: a run folder.
        task: a protocol's name, see ``pointlift list protocols``.
        options: the protocol's own options.
        data_root: where the data lie now, if not where the recipe says.
        teacher: where the teacher's weights lie now, folder or hub id.
        split: the split that is measured; protocols that learn do so on the recipe's own split.
        test_data: options in which the test data differ from the recipe's, for tests out of distribution.
        seed: of whatever the protocol draws.
        progress: called with (what, done, total).
        cpu: stay on the CPU even where there is a GPU.
    """
    run = _with_teacher(run if isinstance(run, Run) else Run(run), teacher)
    if task in _OF_POINT_FEATURES:
        run.require_point_features(task)
    PROTOCOLS.checked(task, options or {})  # before any data is read or made
    root = {"root": Path(data_root)} if data_root else {}
    changes = dict(test_data or {})
    train, test = run.parts.train_and_test(split, changes, **root)
    for scenes in (train, test):
        scenes.prepare(progress)
    device = torch.device("cuda" if torch.cuda.is_available() and not cpu else "cpu")
    trial = Trial(
        student=run.student().to(device),
        train=train,
        test=test,
        fresh_student=lambda seed: run.fresh_student(seed).to(device),
        pixel_features=lambda: _pixel_features(run, device),
        embed_text=lambda prompts: run.parts.pixel_features.teacher.embed_text(prompts).cpu(),
        templates=lambda: run.parts.pixel_features.teacher.templates,
        method=lambda seed: _method(run, device, seed),
        folder=run.folder / "evaluation",
        device=device,
        seed=seed,
        **({"progress": progress} if progress else {}),
    )
    result = {
        "task": task,
        "recipe": run.recipe.name,
        "seed": run.recipe.seed,
        "checkpoint": run.checkpoint.name,
        "split": split,
        "test_data": changes,
        "options": dict(options or {}),
        "evaluation_seed": seed,
        **PROTOCOLS.build(task, trial, **(options or {})),
    }
    stem = "-".join([task, *(re.sub(r"[^\w.=]+", "_", f"{key}={value}") for key, value in sorted(changes.items()))])
    write_atomically(trial.folder / f"{stem}.json", json.dumps(result, indent=1, default=str))
    return result


def _with_teacher(run: Run, source: str | None) -> Run:
    """The run itself, or one whose teacher's weights lie at ``source``."""
    if source is None:
        return run
    moved = Run(run.folder)
    moved.recipe = recipes.from_values(run.recipe.to_dict(), {"teacher.source": source})
    moved.parts = Parts(moved.recipe)
    return moved


def _pixel_features(run: Run, device: torch.device) -> PixelFeatures:
    """The run's teacher; a `CheckpointError` if it is not the one that the student learned from."""
    features = run.parts.pixel_features
    learned_from = checkpoint.read_state(run.checkpoint).get("teacher")
    if learned_from not in (None, features.teacher.fingerprint):
        raise CheckpointError(
            f"{run.folder}: the student learned from another teacher than this {run.recipe.teacher.name} (its weights "
            "or options differ); give the right one with --teacher"
        )
    features.teacher.to(device)
    return features


def _method(run: Run, device: torch.device, seed: int | None) -> Method:
    """The run's trained method, or for a seed one with random weights, beside the teacher that it learned from."""
    _pixel_features(run, device)
    return (run.method() if seed is None else run.fresh_method(seed)).to(device)


def load(run: Path | str) -> Student:
    """The trained student of a run folder; ``.features(points)`` gives ``(N, D)`` for a NumPy array of points."""
    return Run(run).student()


def dataset(name: str, root: Path | str, split: str = "train", **options: Any) -> Dataset:
    """A data set as a sequence of Scenes."""
    return open_by_name(name, root=Path(root), split=split, **options)


def teacher(name: str, **options: Any) -> Any:
    """A frozen 2D model."""
    return TEACHERS.build(name, **options)


def student(name: str, in_channels: int, out_channels: int, **options: Any) -> Student:
    """A 3D network with random weights."""
    return STUDENTS.build(name, in_channels, out_channels, **options)
