"""Fine-tuning with few labels, from the pretrained weights and from scratch, both to their plateau."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from pointlift.data.augmentation import PointAugmentation
from pointlift.errors import RecipeError
from pointlift.evaluation.base import Trial
from pointlift.evaluation.labels import count_labels, majority_class, require_labels
from pointlift.evaluation.plateau import Budget, Watch, train_to_plateau
from pointlift.evaluation.protocol import absent_classes, describe_data, scoring_in_words, subset_in_words
from pointlift.evaluation.sampling import split_by_sequence, subset
from pointlift.evaluation.scoring import confusions, majority_row, scored
from pointlift.registry import PROTOCOLS
from pointlift.students.base import Student
from pointlift.tasks.segmentation import Segmentation

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
    lovasz_weight: float
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


@PROTOCOLS.register("finetune", needs=("labels",))
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
    lovasz_weight: NonNegativeFloat = 1.0,
    augment: bool = True,
) -> dict[str, Any]:
    """Cross-entropy + Lovász from the pretrained weights and from scratch, each until it no longer improves.

    Both rows see the same scans in the same order, the same head, schedule and stopping rule (`plateau`), which looks
    at held-out *training* scans. Test scans are scored once.

    Args:
        trial: student, data and seed.
        fraction: share of the training scans that are not held out, see `subset`.
        steps: most updates before the cool-down.
        minimum_steps: updates at least, or ``steps`` if that is fewer: early on, running batch statistics still lag.
        evaluate_every: updates between evaluations on the held-out scans.
        patience: evaluations without improvement that end training.
        min_improvement: of the held-out mIoU, below which an evaluation does not count as better.
        cooldown: length of the cosine, as a share of the updates before it.
        held_out: share of the training scans kept for the rule, see `split_by_sequence`.
        batch_size: scans per update.
        optimizer: adamw, or sgd (momentum 0.9, dampening 0.1 as SLidR).
        learning_rate: of the backbone.
        head_learning_rate: of the new linear head.
        scratch_learning_rate: of the backbone from scratch; None: the same.
        weight_decay: of matrices, not of vectors.
        warmup_steps: linear rise of the learning rate.
        lovasz_weight: of the Lovász term.
        augment: rotate about the up axis by ±180°, flip, scale by 0.95 to 1.05.

    Returns:
        ``protocol`` and ``results``: "pretrained", "from scratch" and "majority class" with the metrics of
        `Confusion.result`; the first two also with ``plateaued``, ``best_step``, ``steps`` and ``curve``.

    Raises:
        DataError: labels are missing, or one training scan only. RecipeError: ``evaluate_every`` exceeds ``steps``.
    """
    budget = Budget(steps, min(minimum_steps, steps), evaluate_every, patience, min_improvement, cooldown)
    rates = learning_rate, head_learning_rate, scratch_learning_rate or learning_rate
    updates = Updates(batch_size, optimizer, *rates, weight_decay, warmup_steps, lovasz_weight, augment)
    return _compare(trial, fraction, held_out, budget, updates)


def _compare(trial: Trial, fraction: float, held_out: float, budget: Budget, updates: Updates) -> dict[str, Any]:
    if budget.evaluate_every > budget.steps:
        raise RecipeError(
            f"finetune: evaluate_every is {budget.evaluate_every}; it must be at most steps, {budget.steps}"
        )
    require_labels(trial)
    scans = _scans(trial.train.ids, held_out, fraction)
    counts = count_labels(trial, scans.used)
    starts = {
        "pretrained": (copy.deepcopy(trial.student), updates.learning_rate),
        "from scratch": (trial.fresh_student(trial.seed), updates.scratch_learning_rate),
    }
    results: dict[str, Any] = {}
    for name, (student, rate) in starts.items():
        method = new_method(trial, student, updates, rate)
        watch = Watch(trial, scans.held_out, budget, name)
        train_to_plateau(method, scans.used, watch, updates.options(rate))
        results[name] = {**_score(trial, method, name), **watch.report()}
    results["majority class"] = majority_row(trial, majority_class(counts))
    protocol = {
        **_data_in_words(trial, scans, counts, fraction),
        **_training_in_words(trial, budget, updates),
        **{"fraction": fraction, "held_out": held_out, **asdict(budget)},
    }
    return {"protocol": protocol, "results": results}


def _scans(ids: list[str], held_out: float, fraction: float) -> Scans:
    kept, checked, rule = split_by_sequence(ids, held_out)
    used = [kept[index] for index in subset(len(kept), fraction)]
    return Scans(len(kept), used, [ids[index] for index in used], checked, rule)


def new_method(trial: Trial, student: Student, updates: Updates, learning_rate: float) -> Segmentation:
    """The student with a new head; the head's weights depend on the seed alone and are the same for every row."""
    points = PointAugmentation.model_validate(AUGMENTATION) if updates.augment else None
    factor = updates.head_learning_rate / learning_rate
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(trial.seed)
        classes = len(trial.class_names)
        method = Segmentation(student, classes, points, lovasz_weight=updates.lovasz_weight, head_factor=factor)
    return method.to(trial.device)


def _score(trial: Trial, method: Segmentation, name: str) -> dict[str, Any]:
    return scored(confusions(trial, lambda scene: {name: method.predict(scene)}, f"{name}: test scans")[name])


def _data_in_words(trial: Trial, scans: Scans, counts: np.ndarray, fraction: float) -> dict[str, Any]:
    return {
        "task": "finetune",
        **describe_data(trial),
        **scoring_in_words(),
        "held-out training scans": f"{scans.rule}; their labels decide when to stop and which step to keep, beyond the "
        "fraction of labels that is trained on",
        "labelled training scans": subset_in_words(scans.kept, fraction) + "; of the scans that are not held out",
        "training scans used": scans.ids,
        **absent_classes(trial, counts),
    }


def _training_in_words(trial: Trial, budget: Budget, updates: Updates) -> dict[str, Any]:
    return {
        "loss": f"cross-entropy + {updates.lovasz_weight:g} x Lovász-Softmax over the classes present in the batch; "
        "new linear head on the decoder's features; all weights are trained",
        "schedule": f"{updates.warmup_steps} updates of warm-up, then constant until the held-out mIoU (over the "
        f"classes present there) has not risen by {budget.min_improvement:g} for {budget.patience} evaluations, one "
        f"every {budget.evaluate_every} updates, but at least {budget.minimum_steps} and at most {budget.steps} "
        f"updates; then a cosine to zero over {budget.cooldown:g} of the updates so far, from the best weights; of all "
        "evaluated weights those with the best held-out mIoU are scored on the test scans, once",
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
