"""Linear probe: how much of the classes a linear classifier finds in frozen features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from pointlift.data.scene import Scene
from pointlift.evaluation.base import Trial, each, require
from pointlift.evaluation.features import (
    Source,
    random_network,
    raw_source,
    raw_source_in_words,
    student_source,
)
from pointlift.evaluation.labels import majority_class
from pointlift.evaluation.probe import ClassWeights, Probe, ProbeOptions, train_probe
from pointlift.evaluation.protocol import absent_classes, describe_data, settings_with_labels, subset_in_words
from pointlift.evaluation.result import Result, Role, Row
from pointlift.evaluation.sampling import generator, spread, subset
from pointlift.evaluation.scoring import majority_row, measured, row_of
from pointlift.finite import require_finite
from pointlift.registry import PROTOCOLS
from pointlift.students.base import Student

Sources = dict[str, tuple[Source, int | None]]
"""What is probed, by name: the features, and the width of the probe's hidden layer."""


@PROTOCOLS.register("linear-probe", needs=("labels", "row classes"), reads="by a linear classifier on frozen features")
def linear_probe(
    trial: Trial,
    *,
    fraction: Annotated[float, Field(gt=0, le=1)] = 1.0,
    points_per_scene: PositiveInt | None = None,
    max_points: PositiveInt = 500_000,
    classifier_epochs: PositiveInt = 10,
    minimum_steps: PositiveInt = 1000,
    learning_rate: PositiveFloat = 1e-2,
    weight_decay: NonNegativeFloat = 1e-4,
    batch_size: PositiveInt = 4096,
    class_weights: ClassWeights = "none",
    normalization_scans: PositiveInt = 8,
    raw_mlp: PositiveInt | None = None,
    baselines: bool = True,
) -> Result:
    """Linear classifier on frozen features: the student's beside a random network's and hand-made ones.

    All rows see the same training points, the same classifier and every labelled test point. Where the task gives
    classes to whole clouds, these take the place of points, and a cloud's features are mean and maximum of its points'.

    Args:
        trial: student, task, data and seed.
        fraction: share of the scans that give labels whose labels are used, see `subset`.
        points_per_scene: labelled points drawn from each such scan; None: as many as ``max_points`` allows.
        max_points: training points in memory, over all scans.
        classifier_epochs: passes over them.
        minimum_steps: updates at least, so that few labels do not mean little training.
        learning_rate: peak of AdamW's cosine.
        weight_decay: of AdamW.
        batch_size: points per update.
        class_weights: ``none``, or ``balanced`` by 1/frequency, or ``sqrt`` of that.
        normalization_scans: training scans from which the random network takes its batch statistics.
        raw_mlp: also a classifier with one hidden layer of this width on the hand-made features.
        baselines: also the rows that do not depend on the student's weights; False where another run has them already.

    Returns:
        The task's metric of each row, with ``training_points``, ``feature_dim``, ``steps``, ``training_loss``.

    Raises:
        DataError: labels are missing in either split.
    """
    require(trial, "linear-probe")
    options = ProbeOptions(classifier_epochs, minimum_steps, learning_rate, weight_decay, batch_size, class_weights)
    chosen = subset(len(trial.labelled), fraction)
    per_scene = min(points_per_scene or max_points, max(1, max_points // len(chosen)))
    sources: Sources = {"student": (_student_source(trial, trial.student, "student"), None)}
    words = _student_in_words(
        trial.student, "student", "output of the pretrained student, in eval mode, not normalised"
    )
    if baselines:
        network, network_in_words = random_network(trial, spread(chosen, normalization_scans))
        sources |= _baselines(trial, network, raw_mlp)
        words |= _student_in_words(network, "random network", network_in_words)
        words |= raw_source_in_words(trial.labelled.feature_names)
    rows, counts = _learned_rows(trial, sources, chosen, per_scene, options)
    rows.append(majority_row(trial, majority_class(counts)))
    used: dict[str, Any] = {"fraction": fraction, "points_per_scene": points_per_scene, "max_points": max_points}
    used |= {"classifier_epochs": classifier_epochs, "normalization_scans": normalization_scans}
    used |= {"raw_mlp": raw_mlp, "baselines": baselines}
    used |= {key: value for key, value in asdict(options).items() if key != "epochs"}
    metric = trial.task.metric()
    return Result(
        "linear-probe",
        metric.columns,
        rows,
        metric.decides,
        settings_with_labels(trial, **used),
        {
            **_data_in_words(trial, counts, per_scene, fraction),
            **_classifier_in_words(raw_mlp),
            **asdict(options) | {"fraction": fraction},
            "features": words,
        },
        trial.task.name,
        metric.class_columns,
    )


def _learned_rows(
    trial: Trial, sources: Sources, chosen: Sequence[int], per_scene: int, options: ProbeOptions
) -> tuple[list[Row], np.ndarray]:
    """Every row that learns from labels, and the number of training points (C,) of each class, the same for all."""
    rows: list[Row] = []
    for what, (source, hidden) in sources.items():
        training = collect(trial, source, chosen, per_scene, what)
        counts = training.counts(len(trial.class_names))
        rows += _probe_rows(trial, source, training, options, hidden, what)
    return rows, counts


def _student_source(trial: Trial, student: Student, name: str) -> Source:
    """Output and decoder features, or under one name what is both."""
    return student_source(student, trial.device, name, _decoder_row(student, name))


def _student_in_words(student: Student, name: str, output: str) -> dict[str, str]:
    decoder = _decoder_row(student, name)
    if decoder == name:
        return {name: f"{output}; it has no output layer, so these are its encoder's features"}
    return {name: output, decoder: "its features before the head"}


def _decoder_row(student: Student, name: str) -> str:
    """The row of a student's features before the output layer, its only row where it has none."""
    return f"{name}, decoder" if student.out_channels else name


def _baselines(trial: Trial, network: Student, raw_mlp: int | None) -> Sources:
    sources: Sources = {
        "random network": (_student_source(trial, network, "random network"), None),
        "hand-made": (raw_source, None),
    }
    if raw_mlp is not None:
        sources["hand-made, MLP"] = (_renamed(raw_source, ", MLP"), raw_mlp)
    return sources


def _data_in_words(trial: Trial, counts: np.ndarray, per_scene: int, fraction: float) -> dict[str, Any]:
    return {
        **describe_data(trial),
        **trial.task.metric().words,
        "labelled training scans": subset_in_words(len(trial.labelled), fraction),
        "training points": f"{int(counts.sum())}: up to {per_scene} labelled {trial.task.rows} of each scan, drawn "
        "without replacement from (seed, scan), the same for every row",
        **absent_classes(trial, counts),
    }


def _classifier_in_words(raw_mlp: int | None) -> dict[str, str]:
    words = {
        "classifier": "one linear layer with bias, started at zero; softmax cross-entropy; AdamW, cosine to zero; "
        "inputs standardised by the mean and standard deviation of the row's own training points; last iterate; "
        "classes without a training point are never predicted"
    }
    words["comparison"] = (
        "published linear probes train with cross-entropy + Lovász by SGD; compare rows of this table only"
    )
    if raw_mlp is not None:
        words["rows with MLP"] = f"one hidden layer of {raw_mlp} ReLU units in between, all else equal"
    return words


class TrainingPoints:
    """Labels (N,) int64 and named feature matrices (N, D) of the training points, gathered scan by scan."""

    def __init__(self) -> None:
        self._labels: list[Tensor] = []
        self._features: dict[str, list[Tensor]] = {}

    def add(self, features: dict[str, Tensor], rows: np.ndarray, labels: np.ndarray) -> None:
        """Keep the ``rows`` of a scan's features."""
        self._labels.append(torch.from_numpy(labels[rows].astype(np.int64)))
        for name, values in features.items():
            self._features.setdefault(name, []).append(values[torch.from_numpy(rows)])

    @property
    def labels(self) -> Tensor:
        """All labels so far."""
        return torch.cat(self._labels)

    def counts(self, num_classes: int) -> np.ndarray:
        """Points (C,) of each class."""
        return np.bincount(self.labels.numpy(), minlength=num_classes)

    def names(self) -> list[str]:
        """The names of the feature matrices that are still held."""
        return list(self._features)

    def take(self, name: str) -> Tensor:
        """One feature matrix; it is not held any longer."""
        return torch.cat(self._features.pop(name))


def collect(trial: Trial, source: Source, chosen: Sequence[int], per_scene: int, what: str) -> TrainingPoints:
    """Features of at most ``per_scene`` labelled points of each chosen training scan, drawn from (seed, scan)."""
    training = TrainingPoints()
    for scene in each(trial, trial.labelled, f"training features: {what}", chosen):
        labels = trial.task.targets(scene, "training scan")
        rows = np.flatnonzero(labels >= 0)
        if len(rows) > per_scene:
            rows = np.sort(generator(trial.seed, "probe points", scene.id).choice(rows, per_scene, replace=False))
        training.add(_pooled(trial, source, scene), rows, labels)
    majority_class(training.counts(1))  # a DataError if nothing is labelled
    return training


def _pooled(trial: Trial, source: Source, scene: Scene) -> dict[str, Tensor]:
    """The source's features of what has a class."""
    found = {name: trial.task.pooled(values) for name, values in source(scene).items()}
    return {name: require_finite(values, f"features ({name})", scene.id) for name, values in found.items()}


def _probe_rows(
    trial: Trial, source: Source, training: TrainingPoints, options: ProbeOptions, hidden: int | None, what: str
) -> list[Row]:
    """Train one probe per feature matrix of the source, then score all of them in one pass over the test scans."""
    probes: dict[str, Probe] = {}
    more: dict[str, dict[str, Any]] = {}
    labels = training.labels
    for name in training.names():
        features = training.take(name)
        probes[name] = train_probe(
            features,
            labels,
            len(trial.class_names),
            options,
            seed=trial.seed,
            hidden=hidden,
            device=trial.device,
            progress=partial(trial.progress, f"classifier: {name}"),
        )
        more[name] = {"training_points": len(labels), "feature_dim": features.shape[1]}
        more[name] |= {"steps": probes[name].steps, "training_loss": probes[name].loss}

    def predict(scene: Scene) -> dict[str, Tensor]:
        return {name: probes[name].predict(values) for name, values in _pooled(trial, source, scene).items()}

    found = measured(trial, predict, f"test features: {what}")
    role: Role = "student" if what == "student" else "baseline"
    return [row_of(found[name], name, role, **more[name]) for name in probes]


def _renamed(source: Source, suffix: str) -> Source:
    def renamed(scene: Scene) -> dict[str, Tensor]:
        return {name + suffix: values for name, values in source(scene).items()}

    return renamed
