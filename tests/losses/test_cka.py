"""The distance of centred kernel alignment against its definition by centred Gram matrices, in NumPy float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pointlift.losses import cka
from pointlift.structure import linear_cka

GENERATOR = np.random.default_rng(0)
STUDENT, TEACHER = GENERATOR.normal(size=(9, 4)) * 3 + 1, GENERATOR.normal(size=(9, 4))


def literal(k: np.ndarray, q: np.ndarray, normalize: bool = True) -> float:
    """1 − HSIC(K Kᵀ, Q Qᵀ) / √(HSIC(K Kᵀ, K Kᵀ) HSIC(Q Qᵀ, Q Qᵀ)) with HSIC(A, B) = tr(A H B H)."""
    if normalize:
        k, q = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (k, q))
    n = len(k)
    h = np.eye(n) - np.ones((n, n)) / n

    def hsic(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.trace(a @ h @ b @ h))

    a, b = k @ k.T, q @ q.T
    return 1 - hsic(a, b) / np.sqrt(hsic(a, a) * hsic(b, b))


REFERENCES = {"cka": literal}


@pytest.mark.parametrize("normalize", [True, False])
def test_it_is_its_definition(normalize: bool) -> None:
    found = cka(torch.tensor(STUDENT), torch.tensor(TEACHER), normalize)
    assert float(found) == pytest.approx(literal(STUDENT, TEACHER, normalize), rel=1e-12)


def test_it_is_what_the_measure_of_structure_falls_short_of_one() -> None:
    found = cka(torch.tensor(STUDENT), torch.tensor(TEACHER))
    assert float(found) == pytest.approx(1 - linear_cka(STUDENT, TEACHER), abs=1e-6)


@pytest.mark.parametrize("normalize", [True, False])
def test_the_gradient_is_that_of_finite_differences(normalize: bool) -> None:
    student = torch.tensor(STUDENT, requires_grad=True)
    assert torch.autograd.gradcheck(lambda k: cka(k, torch.tensor(TEACHER), normalize), student)


def test_turned_scaled_and_shifted_features_are_at_no_distance() -> None:
    turn, _ = np.linalg.qr(GENERATOR.normal(size=(4, 4)))
    moved = torch.tensor(5 * TEACHER @ turn + 2)
    assert float(cka(moved, torch.tensor(TEACHER), normalize=False)) == pytest.approx(0, abs=1e-12)
    assert float(cka(torch.tensor(7 * TEACHER @ turn), torch.tensor(TEACHER))) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("scale", [1e-15, 1e15])
def test_neither_small_nor_large_features_are_lost(scale: float) -> None:
    k = torch.tensor(STUDENT * scale, dtype=torch.float32)
    found = cka(k, torch.tensor(TEACHER, dtype=torch.float32), normalize=False)
    assert float(found) == pytest.approx(literal(STUDENT, TEACHER, False), rel=1e-5)


@pytest.mark.parametrize("side", ["student", "teacher"])
def test_collapsed_features_have_distance_one_and_no_gradient(side: str) -> None:
    student, teacher = torch.tensor(STUDENT), torch.tensor(TEACHER)
    (student if side == "student" else teacher)[:] = torch.tensor([1.0, 2, 3, 4])
    student.requires_grad_()
    loss = cka(student, teacher)
    loss.backward()
    assert float(loss.detach()) == 1
    assert not student.grad.any()


def test_one_row_and_no_rows() -> None:
    for rows, expected in ((1, 1.0), (0, 0.0)):
        student = torch.tensor(STUDENT[:rows], requires_grad=True)
        loss = cka(student, torch.tensor(TEACHER[:rows]))
        loss.backward()
        assert float(loss.detach()) == expected
        assert not student.grad.any()


def test_what_is_not_finite_shows_in_the_loss() -> None:
    student = torch.tensor(STUDENT)
    student[2, 1] = torch.nan
    assert cka(student, torch.tensor(TEACHER)).isnan()
