"""Fine-tuning with few labels, from the pretrained weights and from scratch, both to their plateau."""

from __future__ import annotations

import copy
import math
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from pointlift.data.augmentation import PointAugmentation
from pointlift.errors import DataError, RecipeError
from pointlift.evaluation.base import (
    Chosen,
    Trial,
    absent_classes,
    confusion_of,
    count_labels,
    describe_data,
    each,
    ids_of,
    labels_of,
    majority_class,
    majority_row,
    require_labels,
    require_positive,
    scored,
    scoring_in_words,
    subset,
    subset_in_words,
)
from pointlift.methods.segmentation import Segmentation
from pointlift.registry import PROTOCOLS
from pointlift.train import TrainOptions, fit

if TYPE_CHECKING:
    from pointlift.methods.base import Method
    from pointlift.students.base import Student


AUGMENTATION = {"rotate_z": 180.0, "flip_x": 0.5, "flip_y": 0.5, "scale": (0.95, 1.05), "drop_cuboid": 0.0}


@dataclass
class Budget:
    """How long to train, and when to stop; `finetune` says what each one means."""

    steps: int
    minimum_steps: int
    evaluate_every: int
    patience: int
    min_improvement: float
    cooldown: float


@PROTOCOLS.register("finetune")
def finetune(
    trial: Trial,
    *,
    fraction: float = 1.0,
    steps: int = 2000,
    minimum_steps: int = 200,
    evaluate_every: int = 50,
    patience: int = 6,
    min_improvement: float = 0.002,
    cooldown: float = 0.25,
    held_out: float = 0.15,
    batch_size: int = 2,
    optimizer: Literal["adamw", "sgd"] = "adamw",
    learning_rate: float = 1e-3,
    head_learning_rate: float = 1e-2,
    scratch_learning_rate: float | None = None,
    weight_decay: float = 0.01,
    warmup_steps: int = 20,
    lovasz_weight: float = 1.0,
    augment: bool = True,
) -> dict[str, Any]:
    """Cross-entropy + Lovász from the pretrained weights and from scratch, each until it no longer improves.

    Both rows see the same scans in the same order, the same head, schedule and stopping rule. The rule looks at
    held-out *training* scans: constant learning rate until the mIoU there has not improved for ``patience``
    evaluations, then a cosine to zero from the best weights, then the best weights of all. Test scans are scored once.

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
        DataError: labels are missing, or one training scan only. RecipeError: an impossible option.
    """
    if evaluate_every > steps or patience < 1 or not 0 < held_out < 1 or cooldown < 0:
        raise RecipeError(
            f"finetune needs evaluate_every ({evaluate_every}) <= steps ({steps}), patience ({patience}) >= 1, "
            f"held_out ({held_out}) between 0 and 1 and cooldown ({cooldown}) >= 0"
        )
    rates = {"learning_rate": learning_rate, "head_learning_rate": head_learning_rate}
    require_positive("finetune", evaluate_every=evaluate_every, batch_size=batch_size, **rates)
    require_labels(trial)
    ids = ids_of(trial.train)
    kept, checked, rule = split_by_sequence(ids, held_out)
    used = [kept[index] for index in subset(len(kept), fraction)]
    counts = count_labels(trial, used)
    budget = Budget(steps, min(minimum_steps, steps), evaluate_every, patience, min_improvement, cooldown)
    starts = {
        "pretrained": (copy.deepcopy(trial.student), learning_rate),
        "from scratch": (trial.fresh_student(trial.seed), scratch_learning_rate or learning_rate),
    }
    results: dict[str, Any] = {}
    for name, (student, rate) in starts.items():
        points = PointAugmentation.model_validate(AUGMENTATION) if augment else None
        method = _method(trial, student, points, lovasz_weight, head_learning_rate / rate)
        options = {
            "batch_size": batch_size,
            "optimizer": optimizer,
            "learning_rate": rate,
            "weight_decay": weight_decay,
        }
        options |= {"warmup_steps": warmup_steps, "dampening": 0.1 if optimizer == "sgd" else 0.0}
        watch = train_to_plateau(trial, method, used, checked, budget, options, name)
        results[name] = {**_score(trial, method, name), **watch.report()}
    results["majority class"] = majority_row(trial, majority_class(counts))
    protocol = {
        "task": "finetune",
        **describe_data(trial),
        **scoring_in_words(),
        "held-out training scans": f"{rule}; their labels decide when to stop and which step to keep, beyond the "
        "fraction of labels that is trained on",
        "labelled training scans": subset_in_words(len(kept), fraction) + "; of the scans that are not held out",
        "training scans used": [ids[index] for index in used],
        **absent_classes(trial, counts),
        **_training_in_words(budget, warmup_steps, lovasz_weight, augment),
        "from scratch": f"the same network with random weights, seed {trial.seed}; the head starts equal in both rows",
        "learning rates": {
            "pretrained backbone": learning_rate,
            "backbone from scratch": scratch_learning_rate or learning_rate,
            "head": head_learning_rate,
        },
        "comparison": "published few-label rows train for a fixed number of epochs and name other data; compare rows "
        "of this table only",
        **{"optimizer": optimizer, "weight_decay": weight_decay, "batch_size": batch_size},
        **{"fraction": fraction, "held_out": held_out, **asdict(budget)},
    }
    return {"protocol": protocol, "results": results}


def _training_in_words(budget: Budget, warmup_steps: int, lovasz_weight: float, augment: bool) -> dict[str, str]:
    return {
        "loss": f"cross-entropy + {lovasz_weight:g} x Lovász-Softmax over the classes present in the batch; new linear "
        "head on the decoder's features; all weights are trained",
        "schedule": f"{warmup_steps} updates of warm-up, then constant until the held-out mIoU (over the classes "
        f"present there) has not risen by {budget.min_improvement:g} for {budget.patience} evaluations, one every "
        f"{budget.evaluate_every} updates, but at least {budget.minimum_steps} and at most "
        f"{budget.steps} updates; then a cosine to zero over {budget.cooldown:g} of the updates so far, from the best "
        "weights; of all evaluated weights those with the "
        "best held-out mIoU are scored on the test scans, once",
        "augmentation": "rotation about the up axis by +-180 degrees, flips, scale 0.95 to 1.05" if augment else "none",
    }


def split_by_sequence(ids: list[str], share: float) -> tuple[list[int], list[int], str]:
    """Training scans to keep, those held out, and the rule in words.

    Held out are the last whole sequences (the id up to its last ``/``) until they make up ``share`` of the scans, but
    never the first sequence: neighbouring scans are near-copies, so single scans would not be held out at all. If there
    is one sequence only, its last scans are held out.

    Raises:
        DataError: fewer than two scans.
    """
    if len(ids) < 2:
        raise DataError(f"finetune needs at least two training scans, to hold one out; there are {len(ids)}")
    wanted = max(1, math.ceil(share * len(ids) - 1e-9))
    sequences = [name.rpartition("/")[0] for name in ids]
    order = list(dict.fromkeys(sequences))
    out: list[str] = []
    while len(out) < len(order) - 1 and sum(name in out for name in sequences) < wanted:
        out.append(order[-1 - len(out)])
    if out:
        held = [index for index, name in enumerate(sequences) if name in out]
        rule = f"the {len(held)} scans of the last training sequence(s): {', '.join(sorted(out))}"
    else:
        held = list(range(len(ids) - min(wanted, len(ids) - 1), len(ids)))
        rule = f"the last {len(held)} of the {len(ids)} training scans, as they are one sequence"
    return [index for index in range(len(ids)) if index not in held], held, rule


class _PlateauError(Exception):
    """Leaves the training loop when the held-out scans no longer improve."""


@dataclass
class Watch:
    """Scores the held-out scans from inside the loop and remembers the best weights."""

    trial: Trial
    scans: list[int]
    budget: Budget
    name: str
    stops: bool = True
    offset: int = 0
    best: float = -math.inf
    best_step: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)
    reference: float = -math.inf
    stale: int = 0
    plateaued: bool = False

    def __call__(self, step: int, method: Method, metrics: dict[str, float]) -> None:
        """Evaluate at ``step``; leaves the loop at the plateau."""
        assert isinstance(method, Segmentation)
        confusion = confusion_of(self.trial)
        for scene in each(self.trial, self.trial.train, f"{self.name}: held-out scans", self.scans):
            confusion.update(method.predict(scene), labels_of(scene, "training", len(self.trial.class_names)))
        miou = confusion.result(min_points=1)["miou"]
        if math.isnan(miou):
            raise DataError("no point of the held-out training scans has a label, so nothing can decide when to stop")
        self.curve.append({"step": self.offset + step, "held_out_miou": miou, "loss": metrics["loss"]})
        if miou > self.best:
            self.best, self.best_step = miou, self.offset + step
            self.weights = {key: value.detach().cpu().clone() for key, value in method.trained.state_dict().items()}
        self.stale = 0 if miou > self.reference + self.budget.min_improvement else self.stale + 1
        if self.stale == 0:
            self.reference = miou
        if self.stops and self.stale >= self.budget.patience and step >= self.budget.minimum_steps:
            self.plateaued = True
            raise _PlateauError

    def report(self) -> dict[str, Any]:
        """What goes into the result beside the metrics."""
        return {
            "plateaued": self.plateaued,
            "best_step": self.best_step,
            "steps": self.curve[-1]["step"],
            "held_out_miou": self.best,
            "curve": self.curve,
        }


def train_to_plateau(
    trial: Trial,
    method: Segmentation,
    used: list[int],
    checked: list[int],
    budget: Budget,
    options: dict[str, Any],
    name: str,
) -> Watch:
    """Train ``method`` at a constant rate to the plateau, cool down from the best weights, and load the best of all."""
    watch = Watch(trial, checked, budget, name)
    scenes = Chosen(trial.train, used)
    _fit(trial, method, scenes, watch, budget.steps, {**options, "schedule": "constant"}, name)
    taken = int(watch.curve[-1]["step"])
    method.trained.load_state_dict(watch.weights)
    cooling = round(budget.cooldown * taken)
    if cooling:
        watch.stops, watch.offset = False, taken
        cosine = {**options, "schedule": "cosine", "warmup_steps": 0}
        _fit(trial, method, scenes, watch, cooling, cosine, f"{name}, cool-down")
        method.trained.load_state_dict(watch.weights)
    return watch


def _fit(
    trial: Trial, method: Segmentation, scenes: Chosen, watch: Watch, steps: int, options: dict[str, Any], name: str
) -> None:
    train = TrainOptions(steps=steps, log_every=min(watch.budget.evaluate_every, steps), **options)

    def progress(what: str, done: int, total: int) -> None:
        trial.progress(f"{name}: {what}", done, total)

    seed = trial.seed + watch.offset  # the cool-down goes on with other draws
    with suppress(_PlateauError):
        fit(
            method,
            scenes,
            train,
            None,
            seed=seed,
            progress=progress,
            callbacks=[watch],
            cpu=trial.device.type == "cpu",
        )


def _method(
    trial: Trial, student: Student, points: PointAugmentation | None, lovasz_weight: float, head_factor: float
) -> Segmentation:
    """The student with a new head; the head's weights depend on the seed alone and are the same for every row."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(trial.seed)
        classes = len(trial.class_names)
        method = Segmentation(student, classes, points, lovasz_weight=lovasz_weight, head_factor=head_factor)
    return method.to(trial.device)


def _score(trial: Trial, method: Segmentation, name: str) -> dict[str, Any]:
    confusion = confusion_of(trial)
    for scene in each(trial, trial.test, f"{name}: test scans"):
        predicted = method.predict(scene)
        confusion.update(predicted, labels_of(scene, "test", len(trial.class_names)))
    return scored(confusion)
