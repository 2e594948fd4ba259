"""What every protocol is given and the small rules that all of them share: subsets, labels, random draws."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pointlift.data.scene import Pairs, Scene
from pointlift.errors import DataError, RecipeError
from pointlift.evaluation.metrics import IGNORE, Confusion

if TYPE_CHECKING:
    from pointlift.students.base import Student

PixelFeatures = Callable[[Scene, Pairs], torch.Tensor]


def no_progress(what: str, done: int, total: int) -> None:
    """Report nothing."""


@dataclass
class Trial:
    """What a protocol is given: the pretrained student, labelled data, and how to make what it is compared with.

    Args:
        student: the pretrained network.
        train: training scenes, with ``class_names`` and ``feature_names``.
        test: test scenes of the same data set; their labels are read for scoring only.
        fresh_student: seed -> a randomly initialised twin of ``student``.
        pixel_features: builds the teacher and its cache on demand; the result maps a scene and P pairs to (P, D).
        folder: where a protocol may write.
        device: where networks run.
        seed: of every random draw of the protocol.
        progress: called with (what, done, total).
    """

    student: Student
    train: Sequence[Scene]
    test: Sequence[Scene]
    fresh_student: Callable[[int], Student]
    pixel_features: Callable[[], PixelFeatures]
    folder: Path
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    seed: int = 0
    progress: Callable[[str, int, int], None] = no_progress

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the C classes; a `DataError` if there are none, or if training and test data disagree."""
        train, test = (tuple(getattr(data, "class_names", ())) for data in (self.train, self.test))
        if train != test:
            raise DataError(f"the training data has the classes {train}, the test data {test}; they must be the same")
        if not test:
            raise DataError(f"the data set '{name_of(self.test)}' names no classes, but this protocol compares classes")
        return test


def name_of(scenes: Sequence[Scene]) -> str:
    """The name of a data set for messages and protocols."""
    return str(getattr(scenes, "name", type(scenes).__name__))


def labels_of(scene: Scene, split: str, num_classes: int) -> np.ndarray:
    """Labels of ``scene`` (N,) int64 with -1 for ignored points.

    Raises:
        DataError: the scene has no labels, or a label that is no class.
    """
    if scene.labels is None:
        raise DataError(
            f"the {split} scan '{scene.id}' has no labels; this protocol needs labelled points in the training and the "
            "test split"
        )
    labels = np.asarray(scene.labels)
    if len(labels) and (labels.max() >= num_classes or labels.min() < IGNORE):
        wrong = labels.max() if labels.max() >= num_classes else labels.min()
        raise DataError(
            f"the {split} scan '{scene.id}' has the label {wrong}; labels must be below the number of classes "
            f"({num_classes}), or {IGNORE} for points to ignore"
        )
    return labels


def require_labels(trial: Trial) -> None:
    """Fail before the long work, with a `DataError`, if a split is empty or its first scan has no labels."""
    for split, scenes in (("training", trial.train), ("test", trial.test)):
        if len(scenes) == 0:
            raise DataError(f"the {split} split of '{name_of(scenes)}' has no scans")
        labels_of(scenes[0], split, len(trial.class_names))


def require_positive(task: str, **options: float) -> None:
    """A `RecipeError` that names the first option that is not above 0."""
    for name, value in options.items():
        if not value > 0:
            raise RecipeError(f"{task}: {name} is {value}; it must be above 0")


def each(trial: Trial, scenes: Sequence[Scene], what: str, indices: Sequence[int] | None = None) -> Iterator[Scene]:
    """The scenes one by one (all, or those at ``indices``), with progress under the name ``what``."""
    indices = range(len(scenes)) if indices is None else indices
    for done, index in enumerate(indices, start=1):
        yield scenes[index]
        trial.progress(what, done, len(indices))


def subset(count: int, fraction: float) -> list[int]:
    """Which of ``count`` training scans are used at a share ``fraction`` of the labels.

    The scans numbered round(j / fraction), j = 0, 1, 2, …, in the order of the data set: 0.01 is every 100th scan,
    beginning with the first, as in SLidR's SemanticKITTI protocol. So there is always at least one, the first.

    Raises:
        RecipeError: ``fraction`` is not in (0, 1].
        DataError: there is no scan.
    """
    if not 0 < fraction <= 1:
        raise RecipeError(f"fraction is {fraction}; it must be above 0 and at most 1")
    if count == 0:
        raise DataError("the training split has no scans")
    chosen: list[int] = []
    while (index := int(len(chosen) / fraction + 0.5)) < count:
        chosen.append(index)
    return chosen


def subset_in_words(count: int, fraction: float) -> str:
    """The rule of `subset` and what it gave, for a protocol block."""
    chosen = len(subset(count, fraction))
    return (
        f"{chosen} of {count} training scans: those numbered round(j / {fraction:g}), j = 0, 1, 2, ..., in the data "
        "set's order; at least the first; all labelled points of a chosen scan count as labelled"
    )


def ids_of(scenes: Sequence[Scene]) -> list[str]:
    """The ids of all scenes, without reading them where the data set knows its ``ids``."""
    known = getattr(scenes, "ids", None)
    return list(known) if known is not None else [scenes[index].id for index in range(len(scenes))]


class Chosen(Sequence[Scene]):
    """The scenes at ``indices`` of a data set, read on demand."""

    def __init__(self, scenes: Sequence[Scene], indices: Sequence[int]) -> None:
        self.scenes, self.indices = scenes, list(indices)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Scene:  # type: ignore[override]
        return self.scenes[self.indices[index]]


def generator(seed: int, purpose: str, *key: str) -> np.random.Generator:
    """Random numbers that depend on (seed, purpose, key) alone, whatever was drawn before."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), *(zlib.crc32(part.encode()) for part in key)])


class Shortlist:
    """The ``limit`` entries with the smallest random keys per class, kept while scenes stream by.

    Random keys make this a uniform draw without replacement from everything that was offered, in memory that depends
    on ``limit`` alone. ``limit=None`` keeps all.
    """

    def __init__(self, num_classes: int, limit: int | None) -> None:
        self.limit = limit
        self._kept = [np.empty((0, 3)) for _ in range(num_classes)]  # random key, scene number, index in the scene

    def offer(self, scene_number: int, indices: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> None:
        """Offer the entries ``indices`` (P,) of a scene, with their ``labels`` (P,); labels below 0 are left out."""
        rows = np.stack([rng.random(len(indices)), np.full(len(indices), scene_number), indices], axis=1)
        for label in np.unique(labels[labels >= 0]):
            rows_of_class = np.concatenate([self._kept[label], rows[labels == label]])
            if self.limit is not None and len(rows_of_class) > self.limit:
                rows_of_class = rows_of_class[np.argpartition(rows_of_class[:, 0], self.limit - 1)[: self.limit]]
            self._kept[label] = rows_of_class

    def counts(self) -> np.ndarray:
        """How many entries each class has, (C,)."""
        return np.array([len(rows) for rows in self._kept])

    def of_scene(self, scene_number: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices (K,) kept of one scene, ascending, and their labels (K,)."""
        indices, labels = [], []
        for label, rows in enumerate(self._kept):
            mine = rows[rows[:, 1] == scene_number, 2].astype(np.int64)
            indices.append(mine)
            labels.append(np.full(len(mine), label))
        joined = np.concatenate(indices)
        order = np.argsort(joined, kind="stable")
        return joined[order], np.concatenate(labels)[order]


def scored(confusion: Confusion) -> dict[str, Any]:
    """The metrics of `Confusion.result` as JSON knows them: None instead of NaN.

    Raises:
        DataError: no test point has a label.
    """
    metrics = confusion.result()
    if metrics["points"] == 0:
        raise DataError("no point of the test split has a label; this protocol needs labelled test points to score")
    return {key: None if isinstance(value, float) and value != value else value for key, value in metrics.items()}


def confusion_of(trial: Trial) -> Confusion:
    """An empty confusion matrix over the trial's classes."""
    return Confusion(len(trial.class_names), trial.class_names)


def majority_class(counts: np.ndarray) -> int:
    """The class with the most training labels (the first of equals); a `DataError` if there is no label at all."""
    if counts.sum() == 0:
        raise DataError("no point of the training scans that are used has a label; this protocol learns from labels")
    return int(counts.argmax())


def majority_row(trial: Trial, majority: int) -> dict[str, Any]:
    """The metrics of predicting one class everywhere."""
    confusion = confusion_of(trial)
    for scene in each(trial, trial.test, "majority class"):
        labels = labels_of(scene, "test", len(trial.class_names))
        confusion.update(np.full(len(labels), majority), labels)
    return scored(confusion)


def count_labels(trial: Trial, scans: Sequence[int]) -> np.ndarray:
    """Labelled points of each class (C,) in these training scans; a `DataError` if there are none."""
    counts = np.zeros(len(trial.class_names), np.int64)
    for scene in each(trial, trial.train, "training labels", scans):
        labels = labels_of(scene, "training", len(counts))
        counts += np.bincount(labels[labels >= 0], minlength=len(counts))
    majority_class(counts)
    return counts


def absent_classes(trial: Trial, counts: np.ndarray) -> dict[str, Any]:
    """The part of a protocol block about classes of which training knows nothing."""
    absent = [name for name, count in zip(trial.class_names, counts, strict=True) if not count]
    return {
        "classes without a training point": absent,
        "points of such classes": "count as mistakes in the test scans like all others; their IoU is 0",
    }


def visibility_in_words(min_depth: float, occlusion: float | None) -> str:
    """When a point counts as seen, for a protocol block."""
    test = "no occlusion test" if occlusion is None else f"occlusion test with tolerance {occlusion:g}"
    return (
        f"a point is seen by a view at depth > {min_depth:g} m, 1 pixel or more inside the image, {test}; the "
        "teacher's feature of a point is the mean of its unit features over the views that see it"
    )


def describe_data(trial: Trial) -> dict[str, Any]:
    """The part of a protocol block that says which data were used, with all options of the data sets but their root."""
    return {
        "training data": _described(trial.train),
        "test data": _described(trial.test),
        "classes": list(trial.class_names),
        "seed": trial.seed,
        "test labels": "used for scoring only; nothing is trained, selected, stopped or tuned on the test scans",
    }


def scoring_in_words() -> dict[str, str]:
    """The part of a protocol block that says what mIoU is."""
    return {
        "test points": "every labelled point that the test data set yields with the options above",
        "mIoU": "mean IoU over the classes with at least 100 labelled test points, each IoU over the points of all "
        "test scans together; beside it over all classes of the data set",
    }


def _described(scenes: Sequence[Scene]) -> dict[str, Any]:
    simple = (str, int, float, bool, tuple, list, type(None))
    own = {key: value for key, value in vars(scenes).items() if not key.startswith("_") and isinstance(value, simple)}
    own = {key: value for key, value in own.items() if key not in ("name", "root")}
    return {"data set": name_of(scenes), "scans": len(scenes), **own}
