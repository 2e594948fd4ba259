"""Everything that the numbers of a result depend on, for machines and in the words of a protocol block."""

from __future__ import annotations

from typing import Any

import numpy as np

from pointlift.data.dataset import Dataset
from pointlift.evaluation.base import Trial
from pointlift.evaluation.sampling import subset


def settings_of(trial: Trial, **options: Any) -> dict[str, Any]:
    """The settings of a result: the protocol's options as they were used, the seed, and the data."""
    data = {"pretrained": dict(trial.pretrained_on), "test": described(trial.test)}
    return {**options, "seed": trial.seed, "data": data}


def settings_with_labels(trial: Trial, **options: Any) -> dict[str, Any]:
    """`settings_of`, and the task and the data that give it labels."""
    found = settings_of(trial, **options)
    found["data"]["labelled"] = described(trial.labelled)
    return {**found, "task": {"name": trial.task.name, **trial.task.settings}, "classes": list(trial.class_names)}


def describe_data(trial: Trial) -> dict[str, Any]:
    """The part of a protocol block that says what was asked of which data, with all their options but their root."""
    elsewhere = {} if trial.pretrained_on == described(trial.labelled) else {"pretraining data": trial.pretrained_on}
    return {
        "task": trial.task.name,
        **elsewhere,
        "training data": described(trial.labelled),
        "test data": described(trial.test),
        "classes": list(trial.class_names),
        "seed": trial.seed,
        "test labels": "used for scoring only; nothing is trained, selected, stopped or tuned on the test scans",
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
