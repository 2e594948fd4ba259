"""A run opened for evaluation: the one place where student, teacher, task and the three data sets come together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from pointlift import recipe as recipes
from pointlift.data.dataset import Dataset
from pointlift.data.opening import open_dataset
from pointlift.errors import CheckpointError, DataError
from pointlift.evaluation.base import Trial, require, require_run
from pointlift.evaluation.naming import result_name
from pointlift.evaluation.result import Result
from pointlift.files import require_writable, write_atomically
from pointlift.memory import memory_errors_named
from pointlift.progress import Progress, no_progress
from pointlift.registry import PROTOCOLS, TASKS
from pointlift.run import Run
from pointlift.tasks.base import DEFAULT, Task
from pointlift.teachers.base import Teacher
from pointlift.teachers.pixels import PixelFeatures
from pointlift.train import checkpoint
from pointlift.train.method import Method

MEMORY_REMEDY = "measure a smaller share of the data (see the protocol's options), or on a machine with more"


class OpenedTeacher:
    """The teacher of a run, made when it is first asked for, and checked: it is the one that the student learned from.

    Args:
        run: a run folder.
        device: where the teacher runs.
    """

    def __init__(self, run: Run, device: torch.device) -> None:
        self._run, self._device = run, device

    @cached_property
    def pixel_features(self) -> PixelFeatures:
        """The teacher behind its cache.

        Raises:
            CheckpointError: weights or options are not those that the student learned from.
        """
        run, features = self._run, self._run.parts.pixel_features
        learned_from = checkpoint.read_state(run.checkpoint).get("teacher")
        if learned_from not in (None, features.teacher.fingerprint):
            raise CheckpointError(
                f"{run.folder}: the student learned from another teacher than this {run.recipe.teacher.name} (its "
                "weights or options differ); give the right one with --teacher"
            )
        features.teacher.to(self._device)
        return features

    @property
    def teacher(self) -> Teacher:
        """The frozen 2D network itself."""
        return self.pixel_features.teacher


def open_trial(
    run: Run,
    *,
    task: str | None = None,
    task_options: Mapping[str, Any] | None = None,
    split: str = "val",
    label_data: Mapping[str, Any] | None = None,
    test_data: Mapping[str, Any] | None = None,
    data_root: Path | str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    cpu: bool = False,
) -> Trial:
    """A run with its data, its teacher and a task, as every protocol and every picture is given them.

    What a run was pretrained on, what gives labels and what is tested may be three data sets. The data that give labels
    are those of the recipe, changed by ``label_data``; the test data are these, with another split, changed by
    ``test_data``.

    Args:
        run: a run folder.
        task: what is predicted; by default semantic segmentation.
        task_options: the task's own.
        split: of the test data.
        label_data: options in which the data that give labels differ from the recipe's, among them perhaps ``name``.
        test_data: options in which the test data alone differ; the ``part`` of a mixture holds for both, since every
            part has classes of its own.
        data_root: where the recipe's data lie now.
        seed: of whatever a protocol draws.
        progress: called with (what, done, total).
        cpu: stay on the CPU even where there is a GPU.

    Raises:
        PointliftError: data, teacher or checkpoint cannot be opened, or do not fit the student.
    """
    device = torch.device("cuda" if torch.cuda.is_available() and not cpu else "cpu")
    teacher = OpenedTeacher(run, device)
    pretrained, labelled, test = _data(run, split, dict(label_data or {}), dict(test_data or {}), data_root)

    def method(seed: int | None) -> Method:
        teacher.pixel_features  # noqa: B018 - only beside the teacher that it learned from
        return (run.method() if seed is None else run.fresh_method(seed)).to(device)

    return Trial(
        student=run.student().to(device),
        pretrained=pretrained,
        labelled=labelled,
        test=test,
        task=open_task(task or DEFAULT, labelled, **(task_options or {})),
        fresh_student=lambda seed: run.fresh_student(seed).to(device),
        pixel_features=lambda: teacher.pixel_features,
        embed_text=lambda prompts: teacher.teacher.embed_text(prompts).cpu(),
        templates=lambda: teacher.teacher.templates,
        method=method,
        trains=run.parts.trains,
        folder=run.folder / "evaluation",
        device=device,
        seed=seed,
        progress=progress or no_progress,
    )


def open_task(name: str, scenes: Dataset, **options: Any) -> Task:
    """The task called ``name`` with the classes of a data set."""
    return TASKS.build(name, scenes, **options)


def evaluate(
    run: Run,
    protocol: str,
    options: Mapping[str, Any] | None = None,
    *,
    task: str | None = None,
    split: str = "val",
    label_data: Mapping[str, Any] | None = None,
    test_data: Mapping[str, Any] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    **where: Any,
) -> Result:
    """Test a run by a protocol, and keep the result in the folder ``evaluation`` of the run.

    What cannot be is said before any data are read: an option that the protocol does not have, a need of it that the
    run does not meet, a task that the labels do not allow.

    Args:
        run: a run folder.
        protocol: how it is tested.
        options: the protocol's own, and under ``task.OPTION`` those of the task.
        task: as for `open_trial`, like all that follow.
        split: of the test data.
        label_data: options in which the data that give labels differ.
        test_data: options in which the test data alone differ.
        seed: of whatever the protocol draws.
        progress: called with (what, done, total).
        where: ``data_root`` and ``cpu``.
    """
    given = dict(options or {})
    of_task = {key.removeprefix("task."): given.pop(key) for key in list(given) if key.startswith("task.")}
    PROTOCOLS.checked(protocol, given)
    TASKS.checked(task or DEFAULT, of_task)
    require_run(protocol, **_known(run, protocol))
    trial = open_trial(
        run,
        task=task,
        task_options=of_task,
        split=split,
        label_data=label_data,
        test_data=test_data,
        seed=seed,
        progress=progress,
        **where,
    )
    require(trial, protocol)
    for scenes in {id(scenes): scenes for scenes in (trial.labelled, trial.test)}.values():
        scenes.prepare(progress)
    require_writable(trial.folder)
    with memory_errors_named("measuring", MEMORY_REMEDY):
        result: Result = PROTOCOLS.build(protocol, trial, **given)
    result.run = {
        "recipe": run.recipe.name,
        "seed": run.recipe.seed,
        "checkpoint": run.checkpoint.name,
        "protocol": protocol,
        "task": result.task,
        "split": split,
        "label_data": dict(label_data or {}),
        "test_data": dict(test_data or {}),
        "options": dict(options or {}),
        "evaluation_seed": seed,
    }
    write_atomically(
        trial.folder / f"{result_name(protocol, result.task, result.run)}.json",
        json.dumps(result.to_dict(), indent=1, default=str),
    )
    return result


def _known(run: Run, protocol: str) -> dict[str, Any]:
    """What of a run decides whether a protocol can test it; the teacher is opened only where its text is asked for."""
    asked = "text" in PROTOCOLS.get(protocol).declared["needs"] and run.parts.trains == "points"
    has_text = OpenedTeacher(run, torch.device("cpu")).teacher.has_text if asked else True
    return {"trains": run.parts.trains, "has_text": has_text, "student": run.parts.student_class}


def _data(
    run: Run, split: str, label_data: dict[str, Any], test_data: dict[str, Any], data_root: Path | str | None
) -> tuple[Dataset, Dataset, Dataset]:
    """What the run was pretrained on, what gives labels, and what is tested."""
    values = run.recipe.to_dict()
    root = {} if data_root is None else {"data.root": str(data_root)}
    both = label_data | {key: value for key, value in test_data.items() if key == "part"}
    of_labels = recipes.from_values(values, root | {f"data.{key}": value for key, value in both.items()}).data
    labelled = open_dataset(of_labels)
    test = open_dataset(of_labels, **{"split": split, **test_data})
    pretrained = open_dataset(recipes.from_values(values, root).data) if both else labelled
    wanted = tuple(checkpoint.read_state(run.checkpoint)["feature_names"])
    for scenes, what in ((labelled, "that give labels"), (test, "that are tested")):
        if tuple(scenes.feature_names) != wanted:
            raise DataError(
                f"{run.folder}: the student learned from points with the features ({', '.join(wanted)}), but the data "
                f"{what}, '{scenes.name}', have ({', '.join(scenes.feature_names)})"
            )
    return pretrained, labelled, test
