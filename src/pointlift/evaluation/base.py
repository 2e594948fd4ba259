"""What every protocol is given, what it may need of that, and the sentence where it is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch

from pointlift.data.dataset import Dataset
from pointlift.data.scene import Pairs, Scene
from pointlift.errors import DataError, RecipeError, brief
from pointlift.progress import Progress, no_progress
from pointlift.registry import PROTOCOLS
from pointlift.students.base import Student
from pointlift.tasks.base import Task
from pointlift.train.method import Method, Trained

if TYPE_CHECKING:
    from pointlift.registry import Part

PixelFeatures = Callable[[Scene, Pairs], torch.Tensor]
"""A scene and P pairs -> the teacher's features (P, D) float32 on the CPU."""
EmbedText = Callable[[Sequence[str]], torch.Tensor]
"""C prompts -> their features (C, D) in the space of the teacher's dense features."""

Need = Literal["labels", "row classes", "point classes", "point features", "teacher", "text", "tokens", "patches"]
"""What a protocol may need.

``labels``: those that the task asks for, of the labelled and of the test data, with the same classes. ``row classes``:
a task that gives points or clouds a class; ``point classes``: points. ``point features``: a student whose output was
trained at points, in the space of the teacher's. ``teacher``: its weights. ``text``: its text side, which includes
them. ``tokens``: a method that trained token sets. ``patches``: a student of patches that can be hidden.
"""


def check_protocol(part: Part) -> None:
    """A `ValueError` unless the protocol declares what it needs, and beside that only what reports know.

    ``reads`` is how it reads features out, in words that follow "is read out", such as ``by text prompts alone``. For
    protocols that find classes of points without training on points, ``classifier`` is a function ``(trial, *,
    settings of its own) -> Classify`` by which pictures get the classes that the scores are of.
    ``uses`` are needs that it can do without: what depends on them is left out where they are not met.
    """
    extra = set(part.declared) - {"needs", "reads", "classifier", "uses"}
    if extra or "needs" not in part.declared or not set(part.declared["needs"]) <= set(get_args(Need)):
        raise ValueError(
            f"the protocol '{part.name}' must declare its needs, some of: {', '.join(get_args(Need))}; and may declare "
            "reads, classifier and uses"
        )


@dataclass
class Trial:
    """What a protocol is given: the pretrained student, data, a task, and how to make what it is compared with.

    Args:
        student: the pretrained network.
        pretrained: opens the scenes that it was pretrained on, which need not be here; their labels are never read.
        pretrained_on: what is known of them without.
        labelled: the scenes that give labels to whatever learns from them.
        test: scenes whose labels are read for scoring only; they have the classes of ``labelled``.
        task: what labels ask, with the classes of ``labelled``.
        fresh_student: seed -> a randomly initialised twin of ``student``.
        pixel_features: builds the teacher and its cache on demand; the result maps a scene and P pairs to (P, D).
        folder: where a protocol may write.
        device: where networks run.
        seed: of every random draw of the protocol.
        progress: called with (what, done, total).
        embed_text: the text side of the same teacher, asked only by protocols that take prompts; None if it has none.
        method: the trained method with all that it trained beside the student, or for a seed one with random weights;
            asked only by protocols that need more than the student; None if there is none.
        trains: what the method trained beside the encoder, see `Method.trains`.
        templates: the sentences around class names that the teacher's text side is usually asked with.
        batch_size: scenes of a step of the pretraining.
    """

    student: Student
    pretrained: Callable[[], Dataset]
    pretrained_on: Mapping[str, Any]
    labelled: Dataset
    test: Dataset
    task: Task
    fresh_student: Callable[[int], Student]
    pixel_features: Callable[[], PixelFeatures]
    folder: Path
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    seed: int = 0
    progress: Progress = no_progress
    embed_text: EmbedText | None = None
    method: Callable[[int | None], Method] | None = None
    trains: Trained | None = "points"
    templates: Callable[[], Sequence[str]] = lambda: ("{}",)
    batch_size: int = 2

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the C classes of the task."""
        return self.task.class_names


def unmet(
    needs: Iterable[Need], *, trains: Trained | None, has_text: bool, student: type[Student], has_teacher: bool = True
) -> str | None:
    """Why a run cannot be tested by a protocol with these needs, for a sentence about it; None if it can.

    All of it is known of a recipe before anything is read.

    Args:
        needs: as the protocol declares them.
        trains: what the method trained beside the encoder.
        has_text: whether the teacher understands text.
        student: the class of the student.
        has_teacher: whether the teacher can be asked at all.
    """
    reasons: dict[Need, str | None] = {
        "point features": None
        if trains == "points"
        else "compares the student's features with the teacher's, but the run's method trained the encoder alone, so "
        "the student has no features in the teacher's space",
        "teacher": None if has_teacher else "asks the teacher, which is not there",
        "text": None if has_text else "asks by text, but the teacher has no text encoder, which prompts need",
        "tokens": None
        if trains == "tokens"
        else "compares predicted token sets, which only a method that trained token sets has, such as 'concept' with "
        "method.target=tokens",
        "patches": None
        if student.has_patches
        else "hides patches, which only a student of patches has, such as point_transformer",
    }
    return next((reasons[need] for need in needs if reasons.get(need)), None)


def labelled_points(trial: Trial) -> bool:
    """Whether points of the test data have classes, those of the data that give labels, for a protocol that uses them.

    That is for protocols to which labels are no need, see `check_protocol`.
    """
    return unmet_by_data(("point classes", "labels"), trial.task, trial.test, trial.test) is None and (
        trial.task.classes(trial.labelled) == trial.task.classes(trial.test)
    )


def unmet_by_task(needs: Iterable[Need], task: Task | type[Task]) -> str | None:
    """Why a protocol with these needs cannot run on a task, as a sentence; None if it can."""
    wanted = set(needs)
    if "row classes" in wanted and task.rows is None:
        return f"the task '{task.name}' gives no class to points or clouds, which this protocol needs"
    if "point classes" in wanted and task.rows != "points":
        return f"the task '{task.name}' gives no class to every point, which this protocol needs"
    return None


def unmet_by_data(needs: Iterable[Need], task: Task, labelled: Dataset, test: Dataset) -> str | None:
    """Why a protocol with these needs cannot run on a task and data, as a sentence; None if it can.

    All of it is known before a scene is read.
    """
    wanted = set(needs)
    sentence = unmet_by_task(wanted, task)
    if sentence or "labels" not in wanted:
        return sentence
    ours, theirs = task.classes(labelled), task.classes(test)
    if ours != theirs:
        advice = (
            "" if labelled.name == test.name else f" (to learn from labels there too: --label-data name={test.name})"
        )
        return (
            f"the data that give labels have the classes {brief(ours)}, the test data {brief(theirs)}; they must be "
            f"the same{advice}"
        )
    if not theirs:
        advice = f"; choose one of its parts: --test-data part={test.mixed[0]}" if test.mixed else ""
        return f"the data set '{test.name}' names no classes, but this protocol compares classes{advice}"
    for data, flag in ((labelled, "--label-data"), (test, "--test-data")):
        if task.labels not in data.labels:
            known = ", ".join(sorted(data.labels)) or "none"
            return (
                f"the task '{task.name}' needs labels of {task.labels}, which the data set '{data.name}' has not here "
                f"(its labels: {known}); choose other data with {flag}"
            )
    return None


def require_run(protocol: str, **known: Any) -> None:
    """A `RecipeError` where a run, of which `unmet` is told what is ``known``, cannot be tested by a protocol."""
    reasons = {name: unmet(PROTOCOLS.get(name).declared["needs"], **known) for name in PROTOCOLS.names()}
    if reasons[protocol]:
        others = ", ".join(name for name, reason in reasons.items() if not reason)
        raise RecipeError(f"the protocol '{protocol}' {reasons[protocol]} (it can be tested by {others})")


def require(trial: Trial, protocol: str) -> None:
    """Fail before the long work where a protocol's needs are not met.

    Raises:
        RecipeError: the run has not what the protocol needs; or the task does not suit it.
        DataError: the data have not.
    """
    needs = PROTOCOLS.get(protocol).declared["needs"]
    require_run(protocol, trains=trial.trains, has_text=trial.embed_text is not None, student=type(trial.student))
    sentence = unmet_by_data(needs, trial.task, trial.labelled, trial.test)
    if sentence:
        free = [name for name in PROTOCOLS.names() if "labels" not in PROTOCOLS.get(name).declared["needs"]]
        advice = "" if trial.test.labels else f" (without labels there are: {', '.join(free)})"
        raise DataError(f"{sentence}{advice}")
    for what, scenes in (("training", trial.labelled), ("test", trial.test)):
        if len(scenes) == 0:
            raise DataError(f"the {what} split of '{scenes.name}' has no scans")
        if "labels" not in needs:
            continue
        trial.task.targets(scenes[0], f"{what} scan")


def each(trial: Trial, scenes: Dataset, what: str, indices: Sequence[int] | None = None) -> Iterator[Scene]:
    """The scenes one by one (all, or those at ``indices``), with progress under the name ``what``."""
    indices = range(len(scenes)) if indices is None else indices
    for done, index in enumerate(indices, start=1):
        yield scenes[index]
        trial.progress(what, done, len(indices))
