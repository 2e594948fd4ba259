"""Structure measures against literal loops and against the closed forms of known distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from pointlift import structure


def features(rows: int = 30, dim: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, dim)) * 2.0 + 0.5


def unit(x: np.ndarray) -> np.ndarray:
    return np.stack([row / math.sqrt(sum(value * value for value in row)) for row in x])


def pairs(rows: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(rows) for j in range(rows) if i != j]


def von_mises_fisher(kappa: float, rows: int, seed: int = 0) -> np.ndarray:
    """Samples on S² about the z axis: the height has density ∝ exp(κ w), inverted in closed form."""
    random = np.random.default_rng(seed)
    uniform = random.random(rows)
    height = 1.0 + np.log(uniform + (1.0 - uniform) * math.exp(-2.0 * kappa)) / kappa
    angle = random.random(rows) * 2.0 * math.pi
    radius = np.sqrt(np.maximum(1.0 - height**2, 0.0))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)


@pytest.fixture(params=[(512, 4096), (7, 5), (1, 3), (29, 30)], ids=str)
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structure, "BLOCK_ROWS", request.param[0])
    monkeypatch.setattr(structure, "BLOCK_COLUMNS", request.param[1])
    monkeypatch.setattr(structure, "CHUNK_ROWS", request.param[1])


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("t", [0.5, 2.0, 300.0])
def test_uniformity_equals_a_double_loop(t: float) -> None:
    x = unit(features())
    # the mean is taken relative to the largest term, for t = 300 underflows otherwise
    exponents = [-t * float(((x[i] - x[j]) ** 2).sum()) for i, j in pairs(30)]
    top = max(exponents)
    expected = -top - math.log(sum(math.exp(e - top) for e in exponents) / len(exponents))
    assert structure.uniformity(features(), t) == pytest.approx(expected, rel=1e-5)


@pytest.mark.usefixtures("blocks")
def test_tolerance_equals_a_double_loop() -> None:
    x, labels = unit(features()), np.random.default_rng(1).integers(-1, 4, 30)
    labels[0], labels[labels == 3] = 3, 2  # class 3 has one point or none
    means = []
    for c in range(4):
        cosines = [float(x[i] @ x[j]) for i, j in pairs(30) if labels[i] == labels[j] == c]
        means += [sum(cosines) / len(cosines)] if cosines else []
    assert len(means) == 3
    assert structure.tolerance(features(), labels) == pytest.approx(sum(means) / 3, rel=1e-5)


@pytest.mark.usefixtures("blocks")
def test_gaps_equal_loops() -> None:
    k, q = unit(features(seed=0)), unit(features(seed=1))
    given = features(seed=0), features(seed=1)
    centroid_gap = math.sqrt(sum((sum(k[:, d]) / 30 - sum(q[:, d]) / 30) ** 2 for d in range(4)))
    assert structure.modality_gap(*given) == pytest.approx(centroid_gap, rel=1e-5)
    assert structure.paired_gap(*given) == pytest.approx(1 - sum(float(k[i] @ q[i]) for i in range(30)) / 30, rel=1e-5)
    differences = [abs(float(k[i] @ k[j]) - float(q[i] @ q[j])) for i, j in pairs(30)]
    assert structure.relational_gap(*given) == pytest.approx(sum(differences) / len(differences), rel=1e-5)


@pytest.mark.usefixtures("blocks")
def test_linear_cka_equals_its_kernel_form() -> None:
    k, q = unit(features(dim=4, seed=0)), unit(features(dim=6, seed=1))
    centring = np.eye(30) - 1.0 / 30
    K, Q = centring @ k @ k.T @ centring, centring @ q @ q.T @ centring
    expected = np.trace(K @ Q) / math.sqrt(np.trace(K @ K) * np.trace(Q @ Q))
    assert structure.linear_cka(features(dim=4, seed=0), features(dim=6, seed=1)) == pytest.approx(expected, rel=1e-5)


def test_uniformity_of_known_distributions() -> None:
    collapsed = np.tile([[1.0, 2.0, -3.0]], (600, 1))
    assert structure.uniformity(collapsed) == pytest.approx(0.0, abs=1e-6)
    # uniform on S²: the cosine c is uniform on [-1, 1], so E exp(−2(2 − 2c)) = e⁻⁴ sinh(4) / 4
    expected = 4.0 - math.log(math.sinh(4.0) / 4.0)
    assert expected == pytest.approx(2.080, abs=5e-4)
    assert structure.uniformity(np.random.default_rng(0).normal(size=(6000, 3))) == pytest.approx(expected, abs=0.01)
    opposite = np.array([[1.0, 0.0], [-1.0, 0.0]])
    assert structure.uniformity(opposite) == pytest.approx(8.0)
    assert structure.uniformity(opposite, t=1000.0) == pytest.approx(4000.0)


def test_the_papers_toy_source_is_a_von_mises_fisher_cluster() -> None:
    x = von_mises_fisher(5.35, 8000)
    assert structure.uniformity(x) == pytest.approx(0.89, abs=0.02)
    assert structure.tolerance(x, np.zeros(8000, int)) == pytest.approx(0.66, abs=0.015)
    # the mean resultant length of the distribution is coth κ − 1/κ, and tolerance its square
    resultant = 1.0 / math.tanh(5.35) - 1.0 / 5.35
    assert structure.tolerance(x, np.zeros(8000, int)) == pytest.approx(resultant**2, abs=0.01)


def test_identical_features_have_no_gap() -> None:
    x = features()
    assert structure.modality_gap(x, x * 7.0) == pytest.approx(0.0, abs=1e-6)
    assert structure.paired_gap(x, x * 7.0) == pytest.approx(0.0, abs=1e-6)
    assert structure.relational_gap(x, x * 7.0) == pytest.approx(0.0, abs=1e-6)
    assert structure.linear_cka(x, x * 7.0) == pytest.approx(1.0)


def test_rotation_shows_in_the_gaps_but_not_in_the_relations() -> None:
    x = features(dim=3)
    rotated = x @ Rotation.from_euler("xyz", [0.5, 1.0, 2.0]).as_matrix()
    assert structure.linear_cka(x, rotated) == pytest.approx(1.0)
    assert structure.relational_gap(x, rotated) == pytest.approx(0.0, abs=1e-6)
    assert structure.uniformity(x) == pytest.approx(structure.uniformity(rotated), rel=1e-5)
    assert structure.paired_gap(x, rotated) > 0.1
    assert structure.modality_gap(x, rotated) > 0.1


def test_cka_of_a_collapsed_student_is_zero() -> None:
    assert structure.linear_cka(np.tile([[1.0, 2.0, 3.0, 4.0]], (30, 1)), features()) == 0.0


@pytest.mark.usefixtures("blocks")
def test_measure_collects_the_single_measures() -> None:
    k, q, labels = features(seed=0), features(seed=1), np.random.default_rng(1).integers(-1, 3, 30)
    uniform = structure.uniformity(k), structure.uniformity(q)
    tolerant = structure.tolerance(k, labels), structure.tolerance(q, labels)
    expected = {
        "student_uniformity": uniform[0],
        "teacher_uniformity": uniform[1],
        "uniformity_gap": abs(uniform[0] - uniform[1]),
        "student_tolerance": tolerant[0],
        "teacher_tolerance": tolerant[1],
        "tolerance_gap": abs(tolerant[0] - tolerant[1]),
        "modality_gap": structure.modality_gap(k, q),
        "paired_gap": structure.paired_gap(k, q),
        "linear_cka": structure.linear_cka(k, q),
        "relational_gap": structure.relational_gap(k, q),
    }
    measured = structure.measure(k, q, labels)
    assert measured == pytest.approx(expected, rel=1e-6)
    assert all(type(value) is float for value in measured.values())
    without = structure.measure(k, q)
    assert without == {key: value for key, value in measured.items() if "tolerance" not in key}


def test_torch_numpy_and_half_precision_agree() -> None:
    x, labels = features().astype(np.float16), np.arange(30) % 3
    fixed = x.copy()
    fixed.setflags(write=False)
    expected = structure.uniformity(x), structure.tolerance(x, labels)
    for given in (torch.tensor(x), torch.tensor(x).float().requires_grad_(), fixed, x.astype(np.float64)):
        assert structure.uniformity(given) == pytest.approx(expected[0], rel=1e-6)
        assert structure.tolerance(given, torch.tensor(labels).int()) == pytest.approx(expected[1], rel=1e-6)
    assert fixed.dtype == np.float16


def test_wrong_input() -> None:
    x, labels = features(), np.zeros(30, int)
    with pytest.raises(ValueError, match="at least 2"):
        structure.uniformity(x[:1])
    with pytest.raises(ValueError, match="t must be positive"):
        structure.uniformity(x, t=0.0)
    with pytest.raises(ValueError, match=r"features must be \(N, D\)"):
        structure.uniformity(x[0])
    with pytest.raises(ValueError, match="floating-point"):
        structure.uniformity(np.ones((4, 3), int))
    with pytest.raises(ValueError, match="not finite: 1 of 30"):
        structure.uniformity(np.where(np.arange(120).reshape(30, 4) == 5, np.nan, x))
    with pytest.raises(ValueError, match="teacher has rows of zeros.*: 1 of 30"):
        structure.paired_gap(x, x * (np.arange(30) > 0)[:, None])
    with pytest.raises(ValueError, match=r"labels must be \(30,\)"):
        structure.tolerance(x, labels[:5])
    with pytest.raises(ValueError, match="labels must be"):
        structure.tolerance(x, labels.astype(float))
    with pytest.raises(ValueError, match="at least two points"):
        structure.tolerance(x, np.arange(30))
    with pytest.raises(ValueError, match="at least two points"):
        structure.tolerance(x, labels - 1)
    for function in (structure.paired_gap, structure.measure):
        with pytest.raises(ValueError, match=r"\(30, 4\) and \(29, 4\)"):
            function(x, x[1:])
    for function in (structure.relational_gap, structure.linear_cka):
        with pytest.raises(ValueError, match="differ in rows"):
            function(x, x[1:])
    with pytest.raises(ValueError, match="different dimensions"):
        structure.modality_gap(x, x[:, 1:])
