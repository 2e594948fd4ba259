import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pointlift.errors import DataError, RecipeError
from pointlift.evaluation import plateau
from pointlift.evaluation.protocols.finetune import Updates, finetune, new_method
from pointlift.evaluation.result import Result
from pointlift.registry import PROTOCOLS
from tests.evaluation.world import World, trial

QUICK = {"steps": 24, "evaluate_every": 4, "patience": 3, "minimum_steps": 4, "warmup_steps": 2, "learning_rate": 0.02}


@pytest.fixture(scope="module")
def result(tmp_path_factory) -> Result:
    torch.set_num_threads(1)
    given = trial(tmp_path_factory.mktemp("run"), train=World(6))
    before = {key: value.clone() for key, value in given.student.state_dict().items()}
    found = PROTOCOLS.build("finetune", given, **QUICK)
    assert all(before[key].equal(value) for key, value in given.student.state_dict().items())
    return found


def test_rows_curves_and_protocol(result: Result) -> None:
    found = [(row.name, row.role) for row in result]
    assert found == [("pretrained", "student"), ("from scratch", "baseline"), ("majority class", "baseline")]
    for name in ("pretrained", "from scratch"):
        row, curve = result[name], result.row(name).details["curve"]
        steps = [point["step"] for point in curve]
        assert steps == sorted(steps)
        assert row["steps"] == steps[-1] <= 24 + 6
        best = max(curve, key=lambda point: point["held_out_miou"])
        assert (row["best_step"], row["held_out_miou"]) == (best["step"], best["held_out_miou"])
        assert isinstance(row["plateaued"], bool)
        assert row["accuracy"] > result["majority class"]["accuracy"]
    protocol = json.loads(json.dumps(result.to_dict(), allow_nan=False))["words"]
    assert "last training sequence(s): 02" in protocol["held-out training scans"]
    assert protocol["training scans used"] == World(4).ids
    assert protocol["learning rates"] == {
        "pretrained backbone": 0.02,
        "backbone from scratch": 0.02,
        "head": 0.01,
    }


def test_the_same_seed_gives_the_same_result(tmp_path: Path) -> None:
    quick = {**QUICK, "steps": 4, "evaluate_every": 2}
    one, two = (finetune(trial(tmp_path), **quick) for _ in range(2))
    assert one == two


def test_fraction_is_of_the_scans_that_are_not_held_out(tmp_path: Path) -> None:
    quick = {**QUICK, "steps": 2, "evaluate_every": 2, "cooldown": 0.0}
    protocol = finetune(trial(tmp_path, train=World(6)), fraction=0.01, **quick).words
    assert protocol["training scans used"] == ["00/000000"]
    assert protocol["labelled training scans"].startswith("1 of 4 training scans")


def test_training_ends_at_the_plateau_and_cools_down_from_the_best(tmp_path: Path, monkeypatch) -> None:
    calls = []
    fit = plateau.fit

    def remember(method, scenes, options, folder, **rest):
        calls.append((options.schedule, options.steps, rest["seed"], folder))
        return fit(method, scenes, options, folder, **rest)

    monkeypatch.setattr(plateau, "fit", remember)
    quick = {**QUICK, "steps": 40, "min_improvement": 1.0, "cooldown": 0.5}
    row = finetune(trial(tmp_path), **quick)["pretrained"]
    assert row["plateaued"]
    assert calls[0] == ("constant", 40, 0, None)
    assert calls[1] == ("cosine", 8, 16, None)  # four evaluations: the first, and three without improvement
    assert row["steps"] == 24
    assert not list(tmp_path.iterdir())


def test_both_rows_start_with_the_same_head(tmp_path: Path) -> None:
    given = trial(tmp_path)
    updates = Updates(2, "adamw", 0.1, 0.2, 0.1, 0.0, 0, augment=False)
    heads = [new_method(given, given.fresh_student(seed), updates, 0.1).trained["head"] for seed in (1, 2)]
    assert torch.equal(heads[0].weight, heads[1].weight)


def test_impossible_options_and_missing_labels(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="evaluate_every is 50; it must be at most steps, 24"):
        finetune(trial(tmp_path), **{**QUICK, "evaluate_every": 50})
    for key, wrong in (("patience", 0), ("held_out", 0.0), ("cooldown", -1.0), ("scratch_learning_rate", 0.0)):
        with pytest.raises(RecipeError, match=f"'{key}' is {wrong}: input should be greater than"):
            PROTOCOLS.build("finetune", trial(tmp_path), **{**QUICK, key: wrong})
    with pytest.raises(DataError, match="needs labels of points, which the data set 'world' has not here"):
        finetune(trial(tmp_path, train=World(4, labels=False)), **QUICK)
    with pytest.raises(DataError, match="needs labels of points, which the data set 'world' has not here"):
        finetune(trial(tmp_path, test=World(1, labels=False)), **QUICK)


def test_predictions_of_test_scans_do_not_steer_training(tmp_path: Path) -> None:
    class Permuted(World):
        def __getitem__(self, index: int):
            scene = super().__getitem__(index)
            scene.labels = np.random.default_rng(0).permutation(scene.labels)
            return scene

    quick = {**QUICK, "steps": 4, "evaluate_every": 2}
    one = finetune(trial(tmp_path), **quick).row("pretrained")
    two = finetune(trial(tmp_path, test=Permuted(2, seed=1)), **quick).row("pretrained")
    assert one.details["curve"] == two.details["curve"]
    predicted = [[entry["predicted"] for entry in row.classes.values()] for row in (one, two)]
    assert np.abs(np.subtract(*predicted)).sum() < 0.25 * sum(predicted[0])  # other points are labelled, no more
