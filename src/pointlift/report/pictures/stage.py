"""What all pictures of a page share: test scans, trained students, the teacher, and how features become classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from pointlift.data.dataset import Dataset
from pointlift.data.scene import Scene, View
from pointlift.errors import DataError
from pointlift.evaluation.base import Trial
from pointlift.evaluation.features import student_output
from pointlift.evaluation.naming import USUAL_SPLIT
from pointlift.evaluation.prototypes import Classify
from pointlift.evaluation.visibility import Visibility, visible_features
from pointlift.options import option_values
from pointlift.progress import Progress
from pointlift.registry import METHODS
from pointlift.report.pictures.colors import class_colors
from pointlift.report.pictures.labelling import classifier, labelling_result, visibility_of
from pointlift.report.summary import Group, Measured
from pointlift.run import Run
from pointlift.students.base import Student
from pointlift.teachers.pixels import PixelFeatures
from pointlift.trial import open_trial


@dataclass(frozen=True)
class Asked:
    """How many test scans are to be pictured, and how runs are opened for it; see `report`."""

    scenes: int
    data_root: Path | None
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
        return self.trial.test

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
        palette=class_colors(trial.test.class_names, trial.test.class_colors),
    )


def opened(run: Run, shown: Measured | None, asked: Asked) -> Trial:
    """A run as a protocol is given it, on the data that ``shown`` was measured on, else on the split ``val``.

    Raises:
        PointliftError: data, teacher or checkpoint cannot be read, the teacher is another, or the split is empty.
    """
    measured_on = shown.run if shown else {}
    part = {key: value for key, value in (measured_on.get("test_data") or {}).items() if key == "part"}
    trial = open_trial(
        run,
        split=measured_on.get("split") or USUAL_SPLIT,
        test_data=part,
        data_root=asked.data_root,
        seed=shown.settings.get("seed", 0) if shown else 0,
        progress=asked.progress,
        cpu=asked.cpu,
    )
    if len(trial.test) == 0:
        raise DataError(f"the split that is to be pictured, of the data set '{trial.test.name}', has no scans")
    trial.test.prepare(asked.progress)
    return trial


def _own_visibility(run: Run) -> Visibility:
    """The rule by which a run took points for seen in training."""
    method = run.recipe.method
    return Visibility(*METHODS.get(method.name).factory.sees(**option_values(method)))  # type: ignore[attr-defined]
