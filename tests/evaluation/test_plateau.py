import math
from pathlib import Path

import pytest
import torch

from pointlift.errors import DataError
from pointlift.evaluation.plateau import Budget, PlateauError, Watch
from pointlift.tasks.metric import Column, Direction
from tests.evaluation.world import trial


def watched(
    mious: list[float],
    monkeypatch,
    tmp_path: Path,
    minimum_steps: int = 0,
    better: Direction = "higher",
    **changes,
) -> Watch:
    """A Watch that is shown these scores, one after the other, until it stops."""

    class Score:
        def __init__(self, value: float) -> None:
            self.value = value

        def update(self, *_):
            pass

        decides = "miou"

        def score(self) -> float:
            return self.value

        def deciding(self) -> Column:
            return Column("miou", "mIoU", "share", better)

    scores = iter(mious)
    given = trial(tmp_path)
    method = given.task.training(given.student)
    monkeypatch.setattr(Watch, "key", "held_out_miou")
    monkeypatch.setattr(given.task, "metric", lambda: Score(next(scores)))
    budget = Budget(
        steps=100, minimum_steps=minimum_steps, evaluate_every=1, patience=2, min_improvement=0.01, cooldown=0.0
    )
    watch = Watch(given, [0], budget, "pretrained", **changes)
    try:
        for step in range(1, len(mious) + 1):
            with torch.no_grad():
                method.trained["head"].bias.fill_(step)
            watch(step, method, {"loss": 1.0})
    except PlateauError:
        pass
    return watch


def test_the_plateau_is_patience_evaluations_without_enough_improvement(monkeypatch, tmp_path: Path) -> None:
    watch = watched([0.1, 0.3, 0.301, 0.302, 0.9], monkeypatch, tmp_path)
    assert watch.plateaued
    assert len(watch.curve) == 4  # the last score is never seen
    assert (watch.best, watch.best_step) == (0.302, 4)
    assert torch.equal(watch.weights["head.bias"], torch.full((4,), 4.0))


def test_there_is_no_plateau_before_the_minimum(monkeypatch, tmp_path: Path) -> None:
    watch = watched([0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], monkeypatch, tmp_path, minimum_steps=5)
    assert watch.plateaued
    assert len(watch.curve) == 5
    assert watch.best_step == 1


def test_small_steps_that_add_up_are_improvement(monkeypatch, tmp_path: Path) -> None:
    watch = watched([0.1, 0.106, 0.112, 0.118, 0.124], monkeypatch, tmp_path)
    assert not watch.plateaued


def test_the_cool_down_does_not_stop_and_keeps_the_best(monkeypatch, tmp_path: Path) -> None:
    watch = watched([0.5, 0.2, 0.2, 0.2, 0.1], monkeypatch, tmp_path, stops=False, offset=10)
    assert not watch.plateaued
    assert [point["step"] for point in watch.curve] == [11, 12, 13, 14, 15]
    assert watch.best_step == 11


def test_an_unlabelled_held_out_scan_is_said(monkeypatch, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing can decide when to stop"):
        watched([math.nan], monkeypatch, tmp_path)


def test_where_lower_is_better_the_lowest_is_best(monkeypatch, tmp_path: Path) -> None:
    watch = watched([0.9, 0.5, 0.7, 0.6, 0.1], monkeypatch, tmp_path, better="lower")
    assert watch.plateaued
    assert (watch.best_step, watch.report()["held_out_miou"]) == (2, 0.5)
