"""What all pictures of a page share: test scans, trained students, the teacher, and how features become classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointlift.data.scene import Scene, View
from pointlift.errors import DataError
from pointlift.evaluation.base import Trial
from pointlift.evaluation.features import student_output
from pointlift.evaluation.prototypes import Classify
from pointlift.evaluation.visibility import Visibility, visible_features
from pointlift.progress import Progress
from pointlift.registry import TASKS
from pointlift.report.pictures.colors import class_colors
from pointlift.report.pictures.labelling import classifier, labelling_task, visibility_of
from pointlift.run import Run
from pointlift.students.base import Student
from pointlift.tasks.base import DEFAULT
from pointlift.teachers.pixels import PixelFeatures


@dataclass
class Subject:
    """A run that is pictured: its label on the page, and its trained student."""

    label: str
    student: Student


@dataclass
class Stage:
    """What all pictures of a page share.

    Attributes:
        trial: the test scans and the teacher, as the protocols are given them.
        subjects: the students.
        task: the protocol by which classes are found without training on points; None if there is none.
        classify: features to classes in that way.
        visibility: when a point counts as seen.
        palette: RGBA (C + 1, 4) uint8 of the classes, the last for none.
    """

    trial: Trial
    subjects: list[Subject]
    task: str | None
    classify: Classify | None
    visibility: Visibility
    palette: np.ndarray

    @property
    def names(self) -> tuple[str, ...]:
        """The classes."""
        return self.trial.test.class_names

    def output(self, subject: Subject, scene: Scene) -> Tensor:
        """The subject's features (N, D)."""
        return student_output(subject.student, scene, self.trial.device)

    def teacher(self, scene: Scene) -> tuple[np.ndarray, Tensor]:
        """The points (V,) that a view sees and the teacher's features (V, D) there; a `DataError` if there are none."""
        seen, features = visible_features(scene, self.visibility.pairs(scene), self.trial.pixel_features())
        if len(seen) == 0:
            raise DataError(f"no point of the scan '{scene.id}' is seen by an image")
        return seen, features

    def dense(self, view: View) -> Tensor:
        """The teacher's features of a view, (D, h, w)."""
        pixel_features = self.trial.pixel_features()
        assert isinstance(pixel_features, PixelFeatures)
        return pixel_features.dense(view)


def open_stage(
    subjects: Sequence[tuple[str, Run]],
    tasks: Mapping[str, Any],
    *,
    data_root: Path | None,
    progress: Progress,
    cpu: bool,
) -> Stage:
    """Open data, teacher and students of runs that share data and teacher.

    Args:
        subjects: label and run.
        tasks: the tasks of the first one's group, as `summarise` gives them.
        data_root: where the data lie now, if not where the recipe says.
        progress: called with (what, done, total).
        cpu: stay on the CPU even where there is a GPU.

    Raises:
        PointliftError: the data, the teacher or a checkpoint cannot be read.
    """
    first = subjects[0][1]
    task = labelling_task(tasks)
    protocol = tasks[task]["protocol"] if task else {}
    train, test = train_and_test(first, tasks, task, data_root=data_root, progress=progress)
    device = best_device(cpu)
    people = [Subject(label, run.student().to(device)) for label, run in subjects]
    trial = Trial(
        student=people[0].student,
        pretrained=train,
        labelled=train,
        test=test,
        task=TASKS.build(DEFAULT, train),
        fresh_student=lambda seed: first.fresh_student(seed).to(device),
        pixel_features=_once(first, device),
        embed_text=lambda prompts: first.parts.pixel_features.teacher.embed_text(prompts).cpu(),
        folder=first.folder,
        device=device,
        seed=protocol.get("seed", 0),
        progress=progress,
    )
    own_rule = Visibility(occlusion=getattr(first.recipe.method, "occlusion", None))
    return Stage(
        trial=trial,
        subjects=people,
        task=task,
        classify=classifier(tasks[task].get("task") or task, protocol, trial) if task else None,
        visibility=visibility_of(protocol, own_rule),
        palette=class_colors(test.class_names, test.class_colors),
    )


def train_and_test(
    run: Run, tasks: Mapping[str, Any], task: str | None, *, data_root: Path | None, progress: Progress
) -> tuple[Any, Any]:
    """The data that a run learned from, and the split that ``task`` measured, else the first evaluation, else val.

    Raises:
        PointliftError: the data cannot be read, or the split is empty.
    """
    shown = [tasks[task]] if task else list(tasks.values())
    split = next((found["split"] for found in shown if found.get("split")), "val")
    root = {} if data_root is None else {"root": data_root}
    part = {"part": tasks[task]["test_data"]["part"]} if task and tasks[task].get("test_data") else {}
    train, test = run.parts.train_and_test(split, part, **root)
    if len(test) == 0:
        raise DataError(f"the split '{split}' of the data set '{run.recipe.data.name}' has no scans")
    test.prepare(progress)
    return train, test


def best_device(cpu: bool) -> torch.device:
    """A GPU if there is one and it is not unwanted."""
    return torch.device("cuda" if torch.cuda.is_available() and not cpu else "cpu")


def _once(run: Run, device: torch.device) -> Callable[[], PixelFeatures]:
    """The run's teacher behind its cache, moved when it is first asked for."""

    def pixel_features() -> PixelFeatures:
        run.parts.pixel_features.teacher.to(device)
        return run.parts.pixel_features

    return pixel_features
