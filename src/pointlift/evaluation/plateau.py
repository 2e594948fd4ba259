"""Training until held-out scans no longer improve, then a cool-down from the best weights."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from pointlift.data.dataset import Subset
from pointlift.errors import DataError
from pointlift.evaluation.base import Trial, each
from pointlift.tasks.supervised import Supervised
from pointlift.train import TrainOptions, fit
from pointlift.train.method import Method


@dataclass(frozen=True)
class Budget:
    """How long to train, and when to stop; `finetune` says what each one means."""

    steps: int
    minimum_steps: int
    evaluate_every: int
    patience: int
    min_improvement: float
    cooldown: float


class PlateauError(Exception):
    """Leaves the training loop when the held-out scans no longer improve."""


@dataclass
class Watch:
    """Scores the held-out scans from inside the loop and remembers the best weights.

    ``best`` and ``reference`` are values of which higher is better.
    """

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
        assert isinstance(method, Supervised)
        metric, task = self.trial.task.metric(), self.trial.task
        for scene in each(self.trial, self.trial.labelled, f"{self.name}: held-out scans", self.scans):
            metric.update(method.predict(scene), task.targets(scene, "training scan"))
        score = metric.score()
        if math.isnan(score):
            raise DataError("no point of the held-out training scans has a label, so nothing can decide when to stop")
        self.curve.append({"step": self.offset + step, self.key: score, "loss": metrics["loss"]})
        value = -score if metric.deciding().better == "lower" else score
        if value > self.best:
            self.best, self.best_step = value, self.offset + step
            self.weights = {key: value.detach().cpu().clone() for key, value in method.trained.state_dict().items()}
        self.stale = 0 if value > self.reference + self.budget.min_improvement else self.stale + 1
        if self.stale == 0:
            self.reference = value
        if self.stops and self.stale >= self.budget.patience and step >= self.budget.minimum_steps:
            self.plateaued = True
            raise PlateauError

    @property
    def key(self) -> str:
        """Under which the value on the held-out scans is kept, such as ``held_out_miou``."""
        return f"held_out_{self.trial.task.metric().decides}"

    def report(self) -> dict[str, Any]:
        """What goes into the result beside the metrics."""
        best = next(point[self.key] for point in self.curve if point["step"] == self.best_step)
        return {
            "plateaued": self.plateaued,
            "best_step": self.best_step,
            "steps": self.curve[-1]["step"],
            self.key: best,
        }


def train_to_plateau(method: Supervised, scans: list[int], watch: Watch, options: dict[str, Any]) -> None:
    """Train on these training scans to the plateau, cool down, and load the best weights of all.

    Constant learning rate until what decides on the held-out scans has not improved for ``patience`` evaluations, then
    a cosine to zero from the best weights. ``options`` are those of `TrainOptions` but for length and schedule.
    """
    budget = watch.budget
    _fit(method, scans, watch, budget.steps, {**options, "schedule": "constant"}, watch.name)
    taken = int(watch.curve[-1]["step"])
    method.trained.load_state_dict(watch.weights)
    cooling = round(budget.cooldown * taken)
    if cooling:
        watch.stops, watch.offset = False, taken
        cosine = {**options, "schedule": "cosine", "warmup_steps": 0}
        _fit(method, scans, watch, cooling, cosine, f"{watch.name}, cool-down")
        method.trained.load_state_dict(watch.weights)


def _fit(method: Supervised, scans: list[int], watch: Watch, steps: int, options: dict[str, Any], name: str) -> None:
    trial = watch.trial
    with suppress(PlateauError):
        fit(
            method,
            Subset(trial.labelled, scans),
            TrainOptions(steps=steps, log_every=min(watch.budget.evaluate_every, steps), **options),
            None,
            seed=trial.seed + watch.offset,  # the cool-down goes on with other draws
            progress=lambda what, done, total: trial.progress(f"{name}: {what}", done, total),
            callbacks=[watch],
            cpu=trial.device.type == "cpu",
        )
