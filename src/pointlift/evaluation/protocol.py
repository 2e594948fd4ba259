"""The wording of protocol blocks: everything that the numbers beside them depend on."""

from __future__ import annotations

from typing import Any

import numpy as np

from pointlift.data.dataset import Dataset
from pointlift.evaluation.base import Trial
from pointlift.evaluation.sampling import subset


def describe_data(trial: Trial) -> dict[str, Any]:
    """The part of a protocol block that says which data were used, with all options of the data sets but their root."""
    return {
        "training data": described(trial.train),
        "test data": described(trial.test),
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


def subset_in_words(count: int, fraction: float) -> str:
    """The rule of `subset` and what it gave, for a protocol block."""
    chosen = len(subset(count, fraction))
    return (
        f"{chosen} of {count} training scans: those numbered round(j / {fraction:g}), j = 0, 1, 2, ..., in the data "
        "set's order; at least the first; all labelled points of a chosen scan count as labelled"
    )


def absent_classes(trial: Trial, counts: np.ndarray) -> dict[str, Any]:
    """The part of a protocol block about classes of which training knows nothing."""
    absent = [name for name, count in zip(trial.class_names, counts, strict=True) if not count]
    return {
        "classes without a training point": absent,
        "points of such classes": "count as mistakes in the test scans like all others; their IoU is 0",
    }


def described(scenes: Dataset) -> dict[str, Any]:
    """A data set: its name, how many scans it has, and the options that it was opened with, but for where it lies."""
    return {"data set": scenes.name, "scans": len(scenes), **scenes.settings}
