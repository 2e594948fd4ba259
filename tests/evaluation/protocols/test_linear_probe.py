import json
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from pointlift.data.scene import Scene
from pointlift.errors import DataError, RecipeError
from pointlift.evaluation.protocols import linear_probe as module
from pointlift.evaluation.protocols.linear_probe import linear_probe
from pointlift.registry import PROTOCOLS
from pointlift.tasks.confusion import Confusion
from tests.evaluation.world import Oracle, ToyStudent, World, trial

QUICK = {"minimum_steps": 200, "classifier_epochs": 1, "batch_size": 256}
ROWS = [
    "student",
    "student, decoder",
    "random network",
    "random network, decoder",
    "raw features",
    "local geometry",
    "majority class",
]


class Altered(World):
    """A world whose labels go through a function."""

    def __init__(self, count, change, **options):
        super().__init__(count, **options)
        self._change = change

    def __getitem__(self, index: int) -> Scene:
        scene = super().__getitem__(index)
        scene.labels = self._change(scene.labels)
        return scene


def recorded(monkeypatch) -> list[np.ndarray]:
    found = []
    update = Confusion.update

    def remember(self, predictions, labels):
        found.append(np.asarray(predictions))
        update(self, predictions, labels)

    monkeypatch.setattr(Confusion, "update", remember)
    return found


def test_rows_points_and_protocol(tmp_path: Path) -> None:
    result = PROTOCOLS.build("linear-probe", trial(tmp_path), **QUICK)
    assert [row.name for row in result] == ROWS
    assert [row.role for row in result] == ["student"] * 2 + ["baseline"] * 5
    world = World(2, seed=1)
    labelled = sum(int((scene.labels >= 0).sum()) for scene in world)
    assert {row.metrics["points"] for row in result} == {labelled}
    training = sum(int((scene.labels >= 0).sum()) for scene in World(4))
    student = result["student"]
    assert (student["training_points"], student["feature_dim"], student["steps"]) == (training, 3, 200)
    assert result["student, decoder"]["feature_dim"] == 8
    protocol = json.loads(json.dumps(result.to_dict(), allow_nan=False))["words"]
    assert protocol["classes without a training point"] == ["rare"]
    assert protocol["minimum_steps"] == 200
    assert "intensity" in protocol["features"]["raw features"]
    assert str(training) in protocol["training points"]


def test_a_student_without_output_layer_has_one_row(tmp_path: Path) -> None:
    class Encoder(ToyStudent):
        out_channels = 0

        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Identity()  # type: ignore[assignment]

    asked = trial(tmp_path, student=Encoder(), fresh_student=lambda seed: Encoder())
    result = PROTOCOLS.build("linear-probe", asked, **QUICK)
    assert [row.name for row in result] == [row for row in ROWS if not row.endswith(", decoder")]
    assert result["student"]["feature_dim"] == result["random network"]["feature_dim"] == 8
    assert "no output layer" in result.words["features"]["student"]
    assert "student, decoder" not in result.words["features"]


def test_separable_features_give_every_point(tmp_path: Path) -> None:
    result = linear_probe(trial(tmp_path, student=Oracle()), **QUICK)
    assert result["student"]["miou"] == 1.0
    assert result["student"]["accuracy"] == 1.0
    assert result["student"]["miou_all"] == 0.75  # one of four classes is nowhere
    assert result["majority class"]["accuracy"] < 0.6


def test_test_labels_change_no_prediction(tmp_path: Path, monkeypatch) -> None:
    found = recorded(monkeypatch)
    linear_probe(trial(tmp_path), **QUICK)
    first = list(found)
    found.clear()
    shuffled = Altered(2, lambda labels: np.random.default_rng(0).permutation(labels), seed=1)
    linear_probe(trial(tmp_path, test=shuffled), **QUICK)
    assert len(found) == len(first) == 2 * len(ROWS)
    assert all(np.array_equal(one, two) for one, two in zip(first, found, strict=True))


def test_the_seed_decides_everything(tmp_path: Path) -> None:
    one, two, other = (linear_probe(trial(tmp_path, seed=s), points_per_scene=50, **QUICK) for s in (0, 0, 1))
    assert one == two
    assert one["raw features"]["training_loss"] != other["raw features"]["training_loss"]


def test_points_per_scene_and_max_points(tmp_path: Path) -> None:
    few = linear_probe(trial(tmp_path), points_per_scene=10, **QUICK)["student"]
    assert few["training_points"] == 40
    capped = linear_probe(trial(tmp_path), max_points=100, points_per_scene=90, **QUICK)["student"]
    assert capped["training_points"] == 100


def test_fraction_uses_whole_scans_and_at_least_the_first(tmp_path: Path, monkeypatch) -> None:
    seen = []
    collect = module.collect

    def remember(trial, source, chosen, per_scene, what):
        seen.append(list(chosen))
        return collect(trial, source, chosen, per_scene, what)

    monkeypatch.setattr(module, "collect", remember)
    for fraction, expected in ((0.5, [0, 2]), (0.01, [0])):
        result = linear_probe(trial(tmp_path), fraction=fraction, **QUICK)
        assert seen.pop() == expected
        assert result.words["labelled training scans"].startswith(f"{len(expected)} of 4 training scans")
    with pytest.raises(RecipeError, match="fraction"):
        PROTOCOLS.build("linear-probe", trial(tmp_path), fraction=0.0)


def test_a_class_that_only_the_test_scans_have_counts_as_zero(tmp_path: Path) -> None:
    test = World(2, seed=1, rare=150)
    result = linear_probe(trial(tmp_path, student=Oracle(), test=test), **QUICK)
    rare = result.student.classes["rare"]
    assert rare["points"] > 100
    assert (rare["iou"], rare["predicted"]) == (0.0, 0)
    assert "rare" in result["student"]["evaluated_classes"]
    assert result.words["classes without a training point"] == ["rare"]


@pytest.mark.parametrize("split", ["train", "test"])
def test_missing_labels_are_said_before_the_work(tmp_path: Path, split: str) -> None:
    with pytest.raises(DataError, match="needs labels of points, which the data set 'world' has not here"):
        linear_probe(trial(tmp_path, **{split: World(2, labels=False)}))


def test_scans_without_a_single_label(tmp_path: Path) -> None:
    def nothing(labels: np.ndarray) -> np.ndarray:
        return np.full_like(labels, -1)

    with pytest.raises(DataError, match="no point of the training scans"):
        linear_probe(trial(tmp_path, train=Altered(2, nothing)), **QUICK)
    with pytest.raises(DataError, match="no point of the test split has a label"):
        linear_probe(trial(tmp_path, test=Altered(2, nothing)), **QUICK)


def test_hidden_layer_on_hand_made_features(tmp_path: Path) -> None:
    result = linear_probe(trial(tmp_path), raw_mlp=8, **QUICK)
    assert {"raw features, MLP", "local geometry, MLP"} <= {row.name for row in result}
    assert "8 ReLU" in result.words["rows with MLP"]


def test_the_student_is_left_as_it_was(tmp_path: Path) -> None:
    given = trial(tmp_path)
    before = {key: value.clone() for key, value in given.student.state_dict().items()}
    given.student.train()
    linear_probe(given, **QUICK)
    assert given.student.training
    assert all(before[key].equal(value) for key, value in given.student.state_dict().items())
