"""What all pictures of a page share: test scans, trained students, the teacher, and how features become classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pointlift import recipe as recipes
from pointlift.data.dataset import Dataset
from pointlift.data.scene import Scene, View
from pointlift.errors import CheckpointError, DataError
from pointlift.evaluation.base import Trial
from pointlift.evaluation.features import student_output
from pointlift.evaluation.prototypes import Classify
from pointlift.evaluation.visibility import Visibility, visible_features
from pointlift.methods.point_pixel import PointPixel
from pointlift.options import option_values
from pointlift.progress import Progress
from pointlift.registry import METHODS
from pointlift.report.pictures.colors import class_colors
from pointlift.report.pictures.labelling import classifier, labelling_result, visibility_of
from pointlift.report.summary import Group, Measured
from pointlift.run import Parts, Run
from pointlift.students.base import Student
from pointlift.teachers.pixels import PixelFeatures
from pointlift.train import checkpoint


@dataclass(frozen=True)
class Asked:
    """How many test scans are to be pictured, and how runs are opened for it; see `report`."""

    scenes: int
    data_root: Path | None
    teacher: str | None
    progress: Progress
    cpu: bool


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
        shown: the result by which classes are found without training on points; None if there is none.
        classify: features to classes in that way; None also where the result does not say how.
        unclassified: why, as a sentence.
        visibility: when a point counts as seen.
        palette: RGBA (C + 1, 4) uint8 of the classes, the last for none.
    """

    trial: Trial
    subjects: list[Subject]
    shown: Measured | None
    classify: Classify | None
    unclassified: str
    visibility: Visibility
    palette: np.ndarray

    @property
    def test(self) -> Dataset:
        """The scans that are pictured."""
        return self.trial.test  # type: ignore[return-value]

    @property
    def names(self) -> tuple[str, ...]:
        """The classes."""
        return self.test.class_names

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


def open_stage(groups: Sequence[Group], asked: Asked) -> Stage:
    """Open data, teacher and students of groups that share data and teacher, each by its first run.

    Raises:
        PointliftError: the data, the teacher or a checkpoint cannot be read.
    """
    first = groups[0]
    shown = labelling_result(first.results)
    trial = opened(first.members[0], shown or next(iter(first.results.values()), None), asked)
    others = [group.members[0].student().to(trial.device) for group in groups[1:]]
    classify, unclassified = None, ""
    if shown is not None:
        try:
            classify = classifier(shown, trial)
        except DataError as error:
            unclassified = str(error)
    return Stage(
        trial=trial,
        subjects=[
            Subject(group.label, student) for group, student in zip(groups, [trial.student, *others], strict=True)
        ],
        shown=shown,
        classify=classify,
        unclassified=unclassified,
        visibility=visibility_of(shown.settings if shown else {}, _own_visibility(first.members[0])),
        palette=class_colors(trial.test.class_names, trial.test.class_colors),  # type: ignore[attr-defined]
    )


def opened(run: Run, shown: Measured | None, asked: Asked) -> Trial:
    """A run as a protocol is given it, on the data that ``shown`` was measured on, else on the split ``val``.

    The one place where a page opens a run. TO BE REPLACED by `pointlift.trial.open_trial`, which does the same.

    Raises:
        PointliftError: data, teacher or checkpoint cannot be read, the teacher is another, or the split is empty.
    """
    if asked.teacher is not None:
        moved = Run(run.folder)
        moved.recipe = recipes.from_values(run.recipe.to_dict(), {"teacher.source": asked.teacher})
        moved.parts = Parts(moved.recipe)
        run = moved
    device = torch.device("cuda" if torch.cuda.is_available() and not asked.cpu else "cpu")
    measured_on = shown.run if shown else {}
    split = measured_on.get("split") or "val"
    root = {} if asked.data_root is None else {"root": asked.data_root}
    part = {key: value for key, value in (measured_on.get("test_data") or {}).items() if key == "part"}
    train, test = run.parts.train_and_test(split, part, **root)
    if len(test) == 0:
        raise DataError(f"the split '{split}' of the data set '{run.recipe.data.name}' has no scans")
    test.prepare(asked.progress)
    return Trial(
        student=run.student().to(device),
        train=train,
        test=test,
        fresh_student=lambda seed: run.fresh_student(seed).to(device),
        pixel_features=_teacher(run, device),
        embed_text=lambda prompts: run.parts.pixel_features.teacher.embed_text(prompts).cpu(),
        method=lambda _: run.method().to(device),
        folder=run.folder,
        device=device,
        seed=shown.settings.get("seed", 0) if shown else 0,
        progress=asked.progress,
    )


def _teacher(run: Run, device: torch.device) -> Callable[[], PixelFeatures]:
    """The run's teacher behind its cache, moved when it is first asked for."""

    def pixel_features() -> PixelFeatures:
        teacher = run.parts.pixel_features.teacher
        if checkpoint.read_state(run.checkpoint).get("teacher") not in (None, teacher.fingerprint):
            raise CheckpointError(
                f"the student learned from another teacher than this {run.recipe.teacher.name} (its weights or options "
                "differ); give the right one with --teacher"
            )
        teacher.to(device)
        return run.parts.pixel_features

    return pixel_features


def _own_visibility(run: Run) -> Visibility:
    """The rule by which a run took points for seen in training, if its method pairs them with pixels."""
    method = run.recipe.method
    if not issubclass(METHODS.get(method.name).factory, PointPixel):  # type: ignore[arg-type]
        return Visibility()
    options = option_values(method)
    return Visibility(options["min_depth"], options["occlusion"])
