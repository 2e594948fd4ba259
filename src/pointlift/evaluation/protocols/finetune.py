"""Fine-tuning with few labels, from the pretrained weights and from scratch, both to their plateau."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from pointlift.data.augmentation import PointAugmentation
from pointlift.data.selection import split_by_sequence
from pointlift.errors import RecipeError
from pointlift.evaluation.base import Trial, require
from pointlift.evaluation.labels import count_labels, majority_class
from pointlift.evaluation.plateau import Budget, Watch, train_to_plateau
from pointlift.evaluation.protocol import absent_classes, describe_data, settings_with_labels, subset_in_words
from pointlift.evaluation.result import Column, Result, Role, Row
from pointlift.evaluation.sampling import subset
from pointlift.evaluation.scoring import majority_row, measured, row_of
from pointlift.registry import PROTOCOLS
from pointlift.students.base import Student
from pointlift.tasks.metric import Metric
from pointlift.tasks.supervised import Supervised

AUGMENTATION = {"rotate_z": 180.0, "flip_x": 0.5, "flip_y": 0.5, "scale": (0.95, 1.05), "drop_cuboid": 0.0}


@dataclass(frozen=True)
class Updates:
    """How weights are updated; `finetune` says what each one means."""

    batch_size: int
    optimizer: Literal["adamw", "sgd"]
    learning_rate: float
    head_learning_rate: float
    scratch_learning_rate: float
    weight_decay: float
    warmup_steps: int
    augment: bool

    def options(self, learning_rate: float) -> dict[str, Any]:
        """Those that `TrainOptions` knows, at this learning rate of the backbone."""
        return {
            "batch_size": self.batch_size,
            "optimizer": self.optimizer,
            "learning_rate": learning_rate,
            "weight_decay": self.weight_decay,
            "warmup_steps": self.warmup_steps,
            "dampening": 0.1 if self.optimizer == "sgd" else 0.0,
        }


@dataclass(frozen=True)
class Scans:
    """Training scans: how many are not held out, those of them that are used, and those held out, by which rule."""

    kept: int
    used: list[int]
    ids: list[str]
    held_out: list[int]
    rule: str


COLUMNS = (Column("best_step", "best step", "steps"), Column("plateaued", "plateaued", "yes/no"))
"""Beside those of the task's metric."""


@PROTOCOLS.register("finetune", needs=("labels",), reads="by fine-tuning on labels")
def finetune(
    trial: Trial,
    *,
    fraction: Annotated[float, Field(gt=0, le=1)] = 1.0,
    steps: PositiveInt = 2000,
    minimum_steps: NonNegativeInt = 200,
    evaluate_every: PositiveInt = 50,
    patience: PositiveInt = 6,
    min_improvement: NonNegativeFloat = 0.002,
    cooldown: NonNegativeFloat = 0.25,
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.15,
    batch_size: PositiveInt = 2,
    optimizer: Literal["adamw", "sgd"] = "adamw",
    learning_rate: PositiveFloat = 1e-3,
    head_learning_rate: PositiveFloat = 1e-2,
    scratch_learning_rate: PositiveFloat | None = None,
    weight_decay: NonNegativeFloat = 0.01,
    warmup_steps: NonNegativeInt = 20,
    augment: bool = True,
) -> Result:
    """The task's loss from the pretrained weights and from scratch, each until it no longer improves.

    Both rows see the same scans in the same order, the same head, schedule and stopping rule (`plateau`), which looks
    at held-out *training* scans. Test scans are scored once.

    Args:
        trial: student, task, data and seed.
        fraction: share of the training scans that are not held out, see `subset`.
        steps: most updates before the cool-down.
        minimum_steps: updates at least, or ``steps`` if that is fewer: early on, running batch statistics still lag.
        evaluate_every: updates between evaluations on the held-out scans.
        patience: evaluations without improvement that end training.
        min_improvement: of what decides (mIoU) on the held-out scans, below which an evaluation is not better.
        cooldown: length of the cosine, as a share of the updates before it.
        held_out: share of the training scans kept for the rule, see `split_by_sequence`.
        batch_size: scans per update.
        optimizer: adamw, or sgd (momentum 0.9, dampening 0.1 as SLidR).
        learning_rate: of the backbone.
        head_learning_rate: of the new linear head.
        scratch_learning_rate: of the backbone from scratch; None: the same.
        weight_decay: of matrices, not of vectors.
        warmup_steps: linear rise of the learning rate.
        augment: rotate about the up axis by ±180°, flip, scale by 0.95 to 1.05.

    Returns:
        Rows "pretrained", "from scratch" and "majority class" with the task's metric; the first two also with
        ``plateaued``, ``best_step``, ``steps``, what decided on the held-out scans, and in the details the ``curve``.

    Raises:
        DataError: labels are missing, or one training scan only. RecipeError: ``evaluate_every`` exceeds ``steps``.
    """
    budget = Budget(steps, min(minimum_steps, steps), evaluate_every, patience, min_improvement, cooldown)
    rates = learning_rate, head_learning_rate, scratch_learning_rate or learning_rate
    updates = Updates(batch_size, optimizer, *rates, weight_decay, warmup_steps, augment)
    if budget.evaluate_every > budget.steps:
        raise RecipeError(
            f"finetune: evaluate_every is {budget.evaluate_every}; it must be at most steps, {budget.steps}"
        )
    require(trial, "finetune")
    scans = _scans(trial.labelled.ids, held_out, fraction)
    counts = count_labels(trial, scans.used) if trial.task.rows else None
    rows = _tuned(trial, scans, budget, updates)
    if counts is not None:
        rows.append(majority_row(trial, majority_class(counts)))
    metric = trial.task.metric()
    shares = {"fraction": fraction, "held_out": held_out}
    return Result(
        "finetune",
        (*metric.columns, *COLUMNS),
        rows,
        metric.decides,
        settings_with_labels(trial, **shares, **asdict(budget), **asdict(updates)),
        {
            **_data_in_words(trial, scans, fraction),
            **({} if counts is None else absent_classes(trial, counts)),
            **_training_in_words(trial, budget, updates),
            **{**shares, **asdict(budget)},
        },
        trial.task.name,
        metric.class_columns,
    )


def _tuned(trial: Trial, scans: Scans, budget: Budget, updates: Updates) -> list[Row]:
    """The rows of what is trained."""
    starts: dict[str, tuple[Student, float, Role]] = {
        "pretrained": (copy.deepcopy(trial.student), updates.learning_rate, "student"),
        "from scratch": (trial.fresh_student(trial.seed), updates.scratch_learning_rate, "baseline"),
    }
    rows = []
    for name, (student, rate, role) in starts.items():
        method = new_method(trial, student, updates, rate)
        watch = Watch(trial, scans.held_out, budget, name)
        train_to_plateau(method, scans.used, watch, updates.options(rate))
        metric = _measured(trial, method, name)
        rows.append(row_of(metric, name, role, details={"curve": watch.curve}, **watch.report()))
    return rows


def _scans(ids: list[str], held_out: float, fraction: float) -> Scans:
    kept, checked, rule = split_by_sequence(ids, held_out)
    used = [kept[index] for index in subset(len(kept), fraction)]
    return Scans(len(kept), used, [ids[index] for index in used], checked, rule)


def new_method(trial: Trial, student: Student, updates: Updates, learning_rate: float) -> Supervised:
    """The student with a new head; the head's weights depend on the seed alone and are the same for every row."""
    points = PointAugmentation.model_validate(AUGMENTATION) if updates.augment else None
    factor = updates.head_learning_rate / learning_rate
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(trial.seed)
        method = trial.task.training(student, points, head_factor=factor)
    return method.to(trial.device)


def _measured(trial: Trial, method: Supervised, name: str) -> Metric:
    return measured(trial, lambda scene: {name: method.predict(scene)}, f"{name}: test scans")[name]


def _data_in_words(trial: Trial, scans: Scans, fraction: float) -> dict[str, Any]:
    return {
        **describe_data(trial),
        **trial.task.metric().words,
        "held-out training scans": f"{scans.rule}; their labels decide when to stop and which step to keep, beyond the "
        "fraction of labels that is trained on",
        "labelled training scans": subset_in_words(scans.kept, fraction) + "; of the scans that are not held out",
        "training scans used": scans.ids,
    }


def _training_in_words(trial: Trial, budget: Budget, updates: Updates) -> dict[str, Any]:
    task, value = trial.task.words(), trial.task.metric().deciding().heading
    return {
        "loss": f"{task['loss']}; new head, {task['head']}; all weights are trained",
        "schedule": f"{updates.warmup_steps} updates of warm-up, then constant until the held-out {value} (over the "
        f"classes present there) has not got better by {budget.min_improvement:g} for {budget.patience} evaluations, "
        f"one every {budget.evaluate_every} updates, but at least {budget.minimum_steps} and at most {budget.steps} "
        f"updates; then a cosine to zero over {budget.cooldown:g} of the updates so far, from the best weights; of all "
        f"evaluated weights those with the best held-out {value} are scored on the test scans, once",
        "augmentation": "rotation about the up axis by +-180 degrees, flips, scale 0.95 to 1.05"
        if updates.augment
        else "none",
        "from scratch": f"the same network with random weights, seed {trial.seed}; the head starts equal in both rows",
        "learning rates": {
            "pretrained backbone": updates.learning_rate,
            "backbone from scratch": updates.scratch_learning_rate,
            "head": updates.head_learning_rate,
        },
        "comparison": "published few-label rows train for a fixed number of epochs and name other data; compare rows "
        "of this table only",
        "optimizer": updates.optimizer,
        "weight_decay": updates.weight_decay,
        "batch_size": updates.batch_size,
    }
