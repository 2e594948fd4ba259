import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from pointlift.errors import DataError
from pointlift.evaluation.probe import ProbeOptions, train_probe


def blobs(count: int, spread: float, seed: int, dim: int = 6, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    means = np.random.default_rng(7).normal(size=(classes, dim)) * 2
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, size=count)
    features = (means[labels] + spread * rng.normal(size=(count, dim))) * np.geomspace(0.01, 100, dim) + 5
    return torch.from_numpy(features).float(), torch.from_numpy(labels)


def test_agrees_with_logistic_regression() -> None:
    features, labels = blobs(3000, 2.0, seed=0)
    unseen, truth = blobs(3000, 2.0, seed=1)
    mean, scale = features.mean(0), features.std(0)
    reference = LogisticRegression(C=1e6, max_iter=2000).fit((features - mean) / scale, labels)
    expected = reference.predict((unseen - mean) / scale)
    probe = train_probe(features, labels, 4, ProbeOptions(batch_size=512))
    predicted = probe.predict(unseen).numpy()
    assert abs((predicted == truth.numpy()).mean() - (expected == truth.numpy()).mean()) < 0.005
    assert (predicted == expected).mean() > 0.98


def test_separable_classes_are_learnt_completely() -> None:
    features, labels = blobs(500, 0.05, seed=0)
    unseen, truth = blobs(500, 0.05, seed=1)
    probe = train_probe(features, labels, 4, ProbeOptions(minimum_steps=300))
    assert torch.equal(probe.predict(unseen), truth)
    assert torch.equal(probe.predict(unseen, chunk=7), truth)


@pytest.mark.parametrize("hidden", [None, 8])
def test_the_same_seed_gives_the_same_probe(hidden: int | None) -> None:
    features, labels = blobs(400, 2.0, seed=0)
    options = ProbeOptions(minimum_steps=50, epochs=1, batch_size=64)
    first, again, other = (
        train_probe(features, labels, 4, options, seed=seed, hidden=hidden).network.state_dict() for seed in (3, 3, 4)
    )
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_the_global_generator_is_left_alone() -> None:
    features, labels = blobs(50, 2.0, seed=0)
    before = torch.get_rng_state()
    train_probe(features, labels, 4, ProbeOptions(minimum_steps=2, epochs=1), hidden=8)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_hidden_layer_learns_what_no_line_separates() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(2000, 2, generator=generator) * 2 - 1
    labels = (features[:, 0] * features[:, 1] > 0).long()
    options = ProbeOptions(minimum_steps=600)
    linear = train_probe(features, labels, 2, options).predict(features)
    deep = train_probe(features, labels, 2, options, hidden=32).predict(features)
    assert (linear == labels).float().mean() < 0.7
    assert (deep == labels).float().mean() > 0.95


def test_classes_without_training_points_are_never_predicted() -> None:
    features, labels = blobs(300, 2.0, seed=0, classes=3)
    labels = labels + 1
    probe = train_probe(features, labels, 6, ProbeOptions(minimum_steps=50))
    assert set(probe.predict(torch.randn(2000, 6) * 1000).tolist()) <= {1, 2, 3}


def test_class_weights_move_the_border_towards_the_frequent_class() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = (torch.arange(4000) % 20 == 0).long()
    features = torch.randn(4000, 1, generator=generator) + 1.5 * labels[:, None]
    recall = {}
    for weights in ("none", "sqrt", "balanced"):
        predicted = train_probe(features, labels, 2, ProbeOptions(class_weights=weights)).predict(features)
        recall[weights] = float((predicted[labels == 1] == 1).float().mean())
    assert recall["none"] < recall["sqrt"] < recall["balanced"]
    assert recall["balanced"] == pytest.approx(0.77, abs=0.05)  # the border lies at 0.75


def test_constant_features_and_one_point_do_no_harm() -> None:
    features = torch.cat([torch.full((50, 1), 3.0), torch.linspace(-1, 1, 50)[:, None]], dim=1)
    labels = (features[:, 1] > 0).long()
    assert torch.equal(train_probe(features, labels, 2, ProbeOptions(minimum_steps=300)).predict(features), labels)
    assert (
        train_probe(features[:1], labels[:1], 2, ProbeOptions(minimum_steps=5)).predict(features).tolist() == [0] * 50
    )


def test_impossible_inputs_are_named() -> None:
    with pytest.raises(DataError, match="no labelled point"):
        train_probe(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), 2, ProbeOptions())
    with pytest.raises(DataError, match="not all finite"):
        train_probe(torch.full((4, 3), torch.nan), torch.zeros(4, dtype=torch.int64), 2, ProbeOptions())


def test_steps_follow_epochs_but_not_below_the_minimum() -> None:
    features, labels = blobs(100, 2.0, seed=0)
    assert train_probe(features, labels, 4, ProbeOptions(epochs=3, minimum_steps=1, batch_size=30)).steps == 12
    assert train_probe(features, labels, 4, ProbeOptions(epochs=3, minimum_steps=20, batch_size=30)).steps == 20
