"""A run opened for evaluation: the one place where student, teacher, task and the three data sets come together."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel

from pointlift import recipe as recipes
from pointlift.data.dataset import Dataset
from pointlift.data.opening import changed_options, open_dataset
from pointlift.data.values import first_doubts
from pointlift.errors import CheckpointError, DataError, RecipeError
from pointlift.evaluation.base import Trial, require, require_run, unmet_by_task
from pointlift.evaluation.naming import result_name
from pointlift.evaluation.protocol import described
from pointlift.evaluation.result import Result
from pointlift.files import require_writable, write_atomically
from pointlift.memory import memory_errors_named
from pointlift.options import Place, marked, option_values, settings
from pointlift.progress import Progress, no_progress
from pointlift.recipe import Recipe
from pointlift.registry import DATASETS, PROTOCOLS, TASKS, TEACHERS
from pointlift.run import Parts, Run
from pointlift.tasks.base import DEFAULT, Task, checked_task
from pointlift.teachers.base import Teacher
from pointlift.teachers.pixels import PixelFeatures
from pointlift.train.method import Method

_log = logging.getLogger(__name__)
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
        learned_from = run.state.get("teacher")
        if learned_from not in (None, features.teacher.known_as(learned_from)):
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
    split: str | None = "val",
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
        split: of the test data; None: what gives labels stands for them too.
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
    label_data, test_data = dict(label_data or {}), dict(test_data or {})
    data = data_options(run.recipe, split, label_data, test_data, data_root)
    labelled, test = _opened(run, split, test_data, data)
    as_pretrained = data.pretrained == data.labelled

    def method(seed: int | None) -> Method:
        teacher.pixel_features  # noqa: B018 - only beside the teacher that it learned from
        return (run.method() if seed is None else run.fresh_method(seed)).to(device)

    return Trial(
        student=run.student().to(device),
        pretrained=cache(lambda: labelled if as_pretrained else open_dataset(data.pretrained)),
        pretrained_on=described(labelled)
        if as_pretrained
        else {"data set": run.recipe.data.name, **settings(data.pretrained)},
        labelled=labelled,
        test=test,
        task=open_task(task or DEFAULT, labelled, **(task_options or {})),
        fresh_student=lambda seed: run.fresh_student(seed).to(device),
        pixel_features=lambda: teacher.pixel_features,
        embed_text=lambda prompts: teacher.teacher.embed_text(prompts).cpu(),
        templates=lambda: teacher.teacher.templates,
        batch_size=run.recipe.training.batch_size,
        method=method,
        trains=run.parts.trains,
        folder=run.folder / "evaluation",
        device=device,
        seed=seed,
        progress=progress or no_progress,
    )


def open_task(name: str, scenes: Dataset, **options: Any) -> Task:
    """The task called ``name`` with the classes of a data set."""
    return checked_task(TASKS.build(name, scenes, **options), name)


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
    given, of_task = check_asked(
        run.recipe, protocol, options, task=task, split=split, label_data=label_data, test_data=test_data
    )
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
        for said in first_doubts(scenes, scenes.feature_names):
            _log.warning("%s: %s", scenes.name, said)
    require_writable(trial.folder)
    with memory_errors_named("measuring", MEMORY_REMEDY):
        result: Result = PROTOCOLS.build(protocol, trial, **given)
    result.run = {
        "recipe": run.recipe.name,
        "seed": run.recipe.seed,
        "checkpoint": run.checkpoint.name,
        "protocol": protocol,
        "task": result.task,
        "asked_task": task or DEFAULT,
        "split": split,
        **data_in_results(run.recipe, split, label_data or {}, test_data or {}),
        "options": dict(options or {}),
        "evaluation_seed": seed,
    }
    write_atomically(
        trial.folder / f"{result_name(protocol, result.task, result.run)}.json",
        json.dumps(result.to_dict(), indent=1, default=str),
    )
    return result


def split_options(options: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of a protocol, and those of the task, which are given among them under ``task.OPTION``."""
    given = dict(options or {})
    return given, {key.removeprefix("task."): given.pop(key) for key in list(given) if key.startswith("task.")}


def check_options(
    protocol: str, options: Mapping[str, Any] | None, task: str | None = None, what: str | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """`split_options`, after a look whether protocol and task have them; ``what`` begins the message if not."""
    of_protocol, of_task = split_options(options)
    PROTOCOLS.checked(protocol, of_protocol, what)
    TASKS.checked(task or DEFAULT, of_task, what and f"{what}: task '{task or DEFAULT}'")
    return of_protocol, of_task


def check_asked(
    recipe: Recipe,
    protocol: str,
    options: Mapping[str, Any] | None = None,
    *,
    task: str | None = None,
    split: str = "val",
    label_data: Mapping[str, Any] | None = None,
    test_data: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """All that can be said of an evaluation of a recipe's run before there is one, and before anything is opened.

    Args:
        recipe: of the run.
        protocol: as for `evaluate`, like all that follow.
        options: the protocol's own, and under ``task.OPTION`` those of the task.
        task: what is predicted.
        split: of the test data.
        label_data: options in which the data that give labels differ.
        test_data: options in which the test data alone differ.

    Returns:
        The options of the protocol, and those of the task.

    Raises:
        RecipeError: a name or an option is wrong, or the protocol needs what the recipe or the task does not have.
    """
    found = check_options(protocol, options, task)
    require_run(protocol, **_known(Parts(recipe)))
    kind: Any = TASKS.get(task or DEFAULT).factory
    sentence = unmet_by_task(PROTOCOLS.get(protocol).declared["needs"], kind)
    if sentence:
        raise RecipeError(sentence)
    data = data_options(recipe, split, label_data or {}, test_data or {})
    test_options(data, split, test_data or {})
    return found


def _known(parts: Parts) -> dict[str, Any]:
    """What of a recipe decides whether a protocol can test its run; nothing is opened for it."""
    teacher: Any = TEACHERS.get(parts.recipe.teacher.name).factory
    return {"trains": parts.trains, "has_text": teacher.has_text, "student": parts.student_class}


class TrialData(NamedTuple):
    """Validated options of the data that a run was pretrained on, that give labels and that are tested."""

    pretrained: BaseModel
    labelled: BaseModel
    test: BaseModel


def data_options(
    recipe: Recipe,
    split: str | None,
    label_data: Mapping[str, Any],
    test_data: Mapping[str, Any],
    data_root: Path | str | None = None,
) -> TrialData:
    """The three data sets of a trial as options, see `open_trial`; nothing is opened.

    Raises:
        RecipeError: an option does not fit its data set, or the split is given twice.
    """
    if split is not None and test_data.get("split", split) != split:
        raise RecipeError(f"the split is '{split}' and test_data says split={test_data['split']}; give it once")
    own = recipes.from_values(recipe.to_dict(), {} if data_root is None else {"data.root": str(data_root)})
    shared = {} if {"part", "name"} & label_data.keys() else {k: v for k, v in test_data.items() if k == "part"}
    labelled = _changed(own, {**shared, **label_data}, "--label-data")
    of_test = {key: value for key, value in test_data.items() if key not in ("split", *shared)}
    test = _changed(labelled, of_test, "--test-data")
    return TrialData(own.data, labelled.data, test.data)


def _changed(recipe: Recipe, changes: Mapping[str, Any], flag: str) -> Recipe:
    """The recipe with changed options of its data; those of a data set of another name begin anew."""
    name = str(changes.get("name", recipe.data.name))
    given = {**option_values(recipe.data), **changes}
    if name != recipe.data.name and given.get("root") is None:
        field = DATASETS.options(name).model_fields.get("root")
        if field is not None and field.is_required():
            raise RecipeError(f"the data set '{name}' needs the folder in which it lies: {flag} root=FOLDER")
    return recipes.from_values(recipe.to_dict(), {f"data.{key}": value for key, value in changes.items()})


def test_options(data: TrialData, split: str | None, test_data: Mapping[str, Any]) -> BaseModel:
    """The options of the data that are tested, at their split; a `RecipeError` if there is none of this name."""
    explicit = {k: v for k, v in option_values(data.test).items() if k in test_data}  # thinned out on purpose
    return changed_options(data.test, **(explicit if split is None else {"split": split, **explicit}))


def _opened(run: Run, split: str | None, test_data: dict[str, Any], data: TrialData) -> tuple[Dataset, Dataset]:
    """What gives labels and what is tested; a `DataError` unless their points have the features of the pretraining."""
    labelled = open_dataset(data.labelled)
    of_test = test_options(data, split, test_data)
    test = labelled if of_test == data.labelled else open_dataset(of_test)
    wanted = tuple(run.state["feature_names"])
    for scenes, what in ((labelled, "that give labels"), (test, "that are tested")):
        if tuple(scenes.feature_names) != wanted:
            raise DataError(
                f"{run.folder}: the student learned from points with the features ({', '.join(wanted)}), but the data "
                f"{what}, '{scenes.name}', have ({', '.join(scenes.feature_names)})"
            )
    return labelled, test


def data_in_results(
    recipe: Recipe, split: str, label_data: Mapping[str, Any], test_data: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """``label_data`` and ``test_data`` as a result says them, for whoever looks for it."""
    data = data_options(recipe, split, label_data, test_data)
    return {
        "label_data": _without_places(data.labelled, label_data),
        "test_data": _without_places(data.test, test_data),
    }


def _without_places(options: BaseModel, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes as a result says them: of a folder or file its own name alone, since results and pages go to others."""
    dumped = options.model_dump(mode="json")
    for key, _ in marked(options, Place):
        *path, last = key.split(".")
        holder: Any = dumped
        for part in path:
            holder = holder[int(part)] if isinstance(holder, list) else holder[part]
        holder[last] = None if holder[last] is None else Path(str(holder[last])).name
    return {key: recipes.shortened(dumped.get(key, value)) for key, value in changes.items()}
