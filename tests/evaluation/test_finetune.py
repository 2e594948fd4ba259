import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from pointlift.errors import DataError, RecipeError
from pointlift.evaluation import finetune as module
from pointlift.evaluation.finetune import Budget, Watch, finetune, split_by_sequence
from pointlift.registry import PROTOCOLS

from .world import World, trial

QUICK = {"steps": 24, "evaluate_every": 4, "patience": 3, "minimum_steps": 4, "warmup_steps": 2, "learning_rate": 0.02}


@pytest.fixture(scope="module")
def result(tmp_path_factory) -> dict:
    torch.set_num_threads(1)
    given = trial(tmp_path_factory.mktemp("run"), train=World(6))
    before = {key: value.clone() for key, value in given.student.state_dict().items()}
    found = PROTOCOLS.build("finetune", given, **QUICK)
    assert all(before[key].equal(value) for key, value in given.student.state_dict().items())
    return found


def test_rows_curves_and_protocol(result: dict) -> None:
    assert list(result["results"]) == ["pretrained", "from scratch", "majority class"]
    for name in ("pretrained", "from scratch"):
        row = result["results"][name]
        steps = [point["step"] for point in row["curve"]]
        assert steps == sorted(steps)
        assert row["steps"] == steps[-1] <= 24 + 6
        best = max(row["curve"], key=lambda point: point["held_out_miou"])
        assert (row["best_step"], row["held_out_miou"]) == (best["step"], best["held_out_miou"])
        assert isinstance(row["plateaued"], bool)
        assert row["accuracy"] > result["results"]["majority class"]["accuracy"]
    protocol = json.loads(json.dumps(result, allow_nan=False))["protocol"]
    assert "last training sequence(s): 02" in protocol["held-out training scans"]
    assert protocol["training scans used"] == World(4).ids
    assert protocol["learning rates"] == {
        "pretrained backbone": 0.02,
        "backbone from scratch": 0.02,
        "head": 0.01,
    }


def test_the_same_seed_gives_the_same_result(tmp_path: Path) -> None:
    quick = {**QUICK, "steps": 4, "evaluate_every": 2}
    one, two = (finetune(trial(tmp_path), **quick)["results"] for _ in range(2))
    assert one == two


def test_fraction_is_of_the_scans_that_are_not_held_out(tmp_path: Path) -> None:
    quick = {**QUICK, "steps": 2, "evaluate_every": 2, "cooldown": 0.0}
    protocol = finetune(trial(tmp_path, train=World(6)), fraction=0.01, **quick)["protocol"]
    assert protocol["training scans used"] == ["00/000000"]
    assert protocol["labelled training scans"].startswith("1 of 4 training scans")


def test_held_out_are_whole_last_sequences() -> None:
    ids = ["00/0", "00/1", "01/0", "01/1", "02/0", "02/1", "02/2", "03/0"]
    kept, held, rule = split_by_sequence(ids, 0.1)
    assert (kept, held) == ([0, 1, 2, 3, 4, 5, 6], [7])
    assert "03" in rule
    assert split_by_sequence(ids, 0.3)[1] == [4, 5, 6, 7]
    assert split_by_sequence(ids, 0.99)[0] == [0, 1]  # the first sequence stays


def test_held_out_of_one_sequence_are_its_last_scans() -> None:
    kept, held, rule = split_by_sequence([f"scan{i}" for i in range(10)], 0.15)
    assert (kept, held) == (list(range(8)), [8, 9])
    assert "one sequence" in rule
    assert split_by_sequence(["a", "b"], 0.99)[0] == [0]
    with pytest.raises(DataError, match="at least two training scans"):
        split_by_sequence(["a"], 0.5)


def watched(mious: list[float], monkeypatch, tmp_path: Path, minimum_steps: int = 0, **changes) -> Watch:
    """A Watch that is shown these scores, one after the other, until it stops."""

    class Score:
        def __init__(self, value: float) -> None:
            self.value = value

        def update(self, *_):
            pass

        def result(self, min_points: int) -> dict[str, float]:
            assert min_points == 1
            return {"miou": self.value}

    scores = iter(mious)
    monkeypatch.setattr(module, "confusion_of", lambda trial: Score(next(scores)))
    given = trial(tmp_path)
    method = module._method(given, given.student, None, 1.0, 1.0)
    budget = Budget(
        steps=100, minimum_steps=minimum_steps, evaluate_every=1, patience=2, min_improvement=0.01, cooldown=0.0
    )
    watch = Watch(given, [0], budget, "pretrained", **changes)
    try:
        for step in range(1, len(mious) + 1):
            with torch.no_grad():
                method.trained["head"].bias.fill_(step)
            watch(step, method, {"loss": 1.0})
    except module._PlateauError:
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


def test_training_ends_at_the_plateau_and_cools_down_from_the_best(tmp_path: Path, monkeypatch) -> None:
    calls = []
    fit = module.fit

    def remember(method, scenes, options, folder, **rest):
        calls.append((options.schedule, options.steps, rest["seed"], folder))
        return fit(method, scenes, options, folder, **rest)

    monkeypatch.setattr(module, "fit", remember)
    quick = {**QUICK, "steps": 40, "min_improvement": 1.0, "cooldown": 0.5}
    row = finetune(trial(tmp_path), **quick)["results"]["pretrained"]
    assert row["plateaued"]
    assert calls[0] == ("constant", 40, 0, None)
    assert calls[1] == ("cosine", 8, 16, None)  # four evaluations: the first, and three without improvement
    assert row["steps"] == 24
    assert not list(tmp_path.iterdir())


def test_both_rows_start_with_the_same_head(tmp_path: Path) -> None:
    given = trial(tmp_path)
    heads = [module._method(given, given.fresh_student(seed), None, 1.0, 1.0).trained["head"] for seed in (1, 2)]
    assert torch.equal(heads[0].weight, heads[1].weight)


def test_impossible_options_and_missing_labels(tmp_path: Path) -> None:
    for wrong in ({"evaluate_every": 50}, {"patience": 0}, {"held_out": 0.0}, {"cooldown": -1.0}):
        with pytest.raises(RecipeError, match="finetune needs"):
            finetune(trial(tmp_path), **{**QUICK, **wrong})
    with pytest.raises(DataError, match=r"training scan .* has no labels"):
        finetune(trial(tmp_path, train=World(4, labels=False)), **QUICK)
    with pytest.raises(DataError, match=r"test scan .* has no labels"):
        finetune(trial(tmp_path, test=World(1, labels=False)), **QUICK)


def test_predictions_of_test_scans_do_not_steer_training(tmp_path: Path) -> None:
    class Permuted(World):
        def __getitem__(self, index: int):
            scene = super().__getitem__(index)
            scene.labels = np.random.default_rng(0).permutation(scene.labels)
            return scene

    quick = {**QUICK, "steps": 4, "evaluate_every": 2}
    one = finetune(trial(tmp_path), **quick)["results"]["pretrained"]
    two = finetune(trial(tmp_path, test=Permuted(2, seed=1)), **quick)["results"]["pretrained"]
    assert one["curve"] == two["curve"]
    predicted = [[entry["predicted"] for entry in row["classes"].values()] for row in (one, two)]
    assert np.abs(np.subtract(*predicted)).sum() < 0.25 * sum(predicted[0])  # other points are labelled, no more
