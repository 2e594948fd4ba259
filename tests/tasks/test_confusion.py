"""Confusion against scikit-learn, torchmetrics and a literal loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, jaccard_score
from torchmetrics.classification import MulticlassJaccardIndex

from pointlift.tasks.confusion import Confusion

CLASSES = 5


def example(points: int = 3000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(-1, CLASSES, points)
    predictions = np.where(random.random(points) < 0.6, np.maximum(labels, 0), random.integers(0, CLASSES, points))
    return predictions, labels


def measured(predictions: np.ndarray, labels: np.ndarray, min_points: int = 100, classes: int = CLASSES) -> dict:
    confusion = Confusion(classes)
    confusion.update(predictions, labels)
    return confusion.result(min_points)


def test_equals_scikit_learn_and_torchmetrics() -> None:
    predictions, labels = example()
    result = measured(predictions, labels)
    kept = labels != -1
    per_class = jaccard_score(labels[kept], predictions[kept], average=None)
    assert [entry["iou"] for entry in result["classes"].values()] == pytest.approx(per_class)
    assert result["miou"] == result["miou_all"] == pytest.approx(per_class.mean())
    assert result["accuracy"] == pytest.approx(accuracy_score(labels[kept], predictions[kept]))
    assert result["mean_accuracy"] == pytest.approx(balanced_accuracy_score(labels[kept], predictions[kept]))
    torch_metric = MulticlassJaccardIndex(CLASSES, ignore_index=-1)(torch.tensor(predictions), torch.tensor(labels))
    assert result["miou"] == pytest.approx(float(torch_metric), rel=1e-6)


def test_equals_a_literal_loop_over_points() -> None:
    predictions, labels = example(200, seed=1)
    result = measured(predictions, labels, min_points=1)
    for c in range(CLASSES):
        pairs = [(p, y) for p, y in zip(predictions, labels, strict=True) if y != -1]
        both = sum(p == c and y == c for p, y in pairs)
        either = sum(p == c or y == c for p, y in pairs)
        assert result["classes"][str(c)] == {
            "iou": pytest.approx(both / either),
            "accuracy": pytest.approx(both / sum(y == c for _, y in pairs)),
            "points": sum(y == c for _, y in pairs),
            "predicted": sum(p == c for p, _ in pairs),
        }


def test_batches_of_arrays_or_tensors_add_up() -> None:
    predictions, labels = example()
    confusion = Confusion(CLASSES)
    confusion.update(predictions[:1000], labels[:1000])
    confusion.update(torch.tensor(predictions[1000:]), torch.tensor(labels[1000:]).int())
    confusion.update(predictions[:0], labels[:0])
    assert confusion.result() == measured(predictions, labels)


def test_confusions_of_parts_add_up() -> None:
    predictions, labels = example()
    predictions[::7] = -1
    parts = [Confusion(CLASSES) for _ in range(3)]
    for place, part in enumerate(parts):
        part.update(predictions[place::3], labels[place::3])
    whole = parts[0] + parts[1] + parts[2]
    assert whole.result() == measured(predictions, labels)
    assert whole.counted == whole.result()["points"] == int((labels >= 0).sum())
    assert parts[0].counted < whole.counted
    with pytest.raises(ValueError, match="do not add up"):
        _ = Confusion(2, ("a", "b")) + Confusion(2, ("b", "a"))


def test_values_are_those_of_the_columns_as_json_knows_them() -> None:
    predictions, labels = example(300)
    confusion = Confusion(CLASSES)
    assert confusion.values()["miou"] is None
    assert math.isnan(confusion.score())
    confusion.update(predictions, labels)
    values, result = confusion.values(), confusion.result()
    assert values["miou"] is None  # no class has 100 points
    assert confusion.score() == confusion.result(min_points=1)["miou"]
    assert confusion.classes() == result["classes"]
    assert {column.key for column in confusion.columns} <= set(values)
    assert {column.key for column in confusion.class_columns} <= set(confusion.classes()["0"])
    assert (confusion.deciding().key, confusion.deciding().better) == ("miou", "higher")


def test_rare_and_absent_classes() -> None:
    # class 0: 100 points, all right; 1: 99 points, all taken for 3; 2: absent; 3: never true; 4: absent
    labels, predictions = np.repeat([0, 1], [100, 99]), np.repeat([0, 3], [100, 99])
    confusion = Confusion(5, ["road", "car", "bus", "tree", "pole"])
    confusion.update(predictions, labels)
    result = confusion.result()
    assert result["evaluated_classes"] == ["road"]
    assert result["miou"] == 1.0
    assert result["mean_accuracy"] == 1.0
    assert result["miou_all"] == pytest.approx(1 / 5)
    assert result["accuracy"] == pytest.approx(100 / 199)
    assert result["classes"]["tree"] == {"iou": 0.0, "accuracy": 0.0, "points": 0, "predicted": 99}
    assert confusion.result(min_points=99)["miou"] == 0.5
    # a class without true points stays out whatever the threshold
    assert confusion.result(min_points=0)["evaluated_classes"] == ["road", "car"]


def test_nothing_evaluated_is_not_a_number() -> None:
    result = measured(np.array([0, 7]), np.array([-1, -1]))
    assert result["points"] == 0
    assert all(math.isnan(result[key]) for key in ("miou", "accuracy", "mean_accuracy"))
    assert result["miou_all"] == 0.0


def test_wrong_input() -> None:
    confusion = Confusion(3)
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        confusion.update(np.zeros(2, int), np.zeros(3, int))
    with pytest.raises(ValueError, match=r"predictions must lie in -1\.\.2, not in 0\.\.3"):
        confusion.update(np.array([0, 3]), np.array([0, 1]))
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.2, not in -2\.\.0"):
        confusion.update(np.array([0, 1]), np.array([0, -2]))
    with pytest.raises(ValueError, match="predictions must be"):
        confusion.update(np.array([0.0, 1.0]), np.array([0, 1]))
    with pytest.raises(ValueError, match="distinct names"):
        Confusion(3, ["road", "car", "car"])
    assert not confusion.matrix.any()


def test_a_point_without_prediction_is_a_miss_and_no_false_alarm() -> None:
    labels = np.array([0, 0, 0, 1, 1, -1])
    confusion = Confusion(2, ("a", "b"))
    confusion.update(np.array([0, -1, 1, 1, -1, -1]), labels)
    assert confusion.missed.tolist() == [1, 1]
    found = confusion.result(1)
    assert found["points"] == 5
    assert found["accuracy"] == pytest.approx(2 / 5)
    assert found["classes"]["a"] == pytest.approx({"iou": 1 / 3, "accuracy": 1 / 3, "points": 3, "predicted": 1})
    assert found["classes"]["b"] == pytest.approx({"iou": 1 / 3, "accuracy": 1 / 2, "points": 2, "predicted": 2})
