"""The posterior loss against its equation, written in NumPy."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from pointlift.losses import posterior
from pointlift.losses.posteriors import LEAST_SHARE

GENERATOR = np.random.default_rng(0)
STUDENT = GENERATOR.normal(size=(12, 5))
TEACHER = GENERATOR.dirichlet(np.ones(5), size=12) * GENERATOR.uniform(0.2, 3, size=(12, 1))
TEACHER[:, 4] = 0  # a class that never occurs


def literal(student, teacher, temperature=0.1, balance=0.0, normalize=True, rows=None):
    shares = [row / row.sum() for row in teacher]
    prior = [max(np.mean([row[c] for row in shares]), LEAST_SHARE) for c in range(student.shape[1])]
    total, chosen = 0.0, range(len(student))[rows] if rows is not None else range(len(student))
    for i in chosen:
        k = student[i] / np.linalg.norm(student[i]) if normalize else student[i]
        z = k / temperature + balance * np.log(prior)
        for c in range(len(z)):
            total -= shares[i][c] * (z[c] - np.log(np.exp(z).sum())) / len(chosen)
    return total


REFERENCES = {"posterior": literal}


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("normalize", [True, False])
def test_it_is_its_equation(balance, normalize):
    found = posterior(torch.tensor(STUDENT), torch.tensor(TEACHER), normalize, temperature=0.2, balance=balance)
    assert float(found) == pytest.approx(literal(STUDENT, TEACHER, 0.2, balance, normalize), rel=1e-12)


def test_without_balance_it_is_torchs_cross_entropy():
    shares = torch.tensor(TEACHER / TEACHER.sum(axis=1, keepdims=True))
    wanted = functional.cross_entropy(functional.normalize(torch.tensor(STUDENT), dim=1) / 0.1, shares)
    assert float(posterior(torch.tensor(STUDENT), torch.tensor(TEACHER))) == pytest.approx(float(wanted), rel=1e-12)


def test_parts_of_the_rows_make_the_whole():
    student, teacher = torch.tensor(STUDENT), torch.tensor(TEACHER)
    parts = [posterior(student, teacher, rows=slice(a, b), balance=0.5) * (b - a) / 12 for a, b in ((0, 5), (5, 12))]
    assert float(sum(parts)) == pytest.approx(float(posterior(student, teacher, balance=0.5)), rel=1e-12)
    assert float(parts[0] * 12 / 5) == pytest.approx(literal(STUDENT, TEACHER, 0.1, 0.5, rows=slice(0, 5)), rel=1e-12)


def test_the_gradient_is_that_of_finite_differences():
    student = torch.tensor(STUDENT, requires_grad=True)
    assert torch.autograd.gradcheck(lambda k: posterior(k, torch.tensor(TEACHER), balance=0.7), student)


def test_balance_answers_for_rare_classes():
    """With targets drawn 99 : 1 and a constant student, the best cosine leans to the frequent class; balanced, not."""
    teacher = torch.zeros(200, 2, dtype=torch.float64)
    teacher[:198, 0] = teacher[198:, 1] = 1

    def best(balance: float) -> float:
        angles = torch.linspace(0, torch.pi / 2, 181, dtype=torch.float64)
        row = torch.stack([angles.cos(), angles.sin()], dim=1)
        values = [float(posterior(one.expand(200, 2), teacher, balance=balance)) for one in row]
        return float(angles[int(np.argmin(values))])

    assert best(0.0) < 0.6 < best(1.0) == pytest.approx(np.pi / 4, abs=0.02)


def test_no_rows_give_a_differentiable_zero():
    student = torch.tensor(STUDENT, requires_grad=True)
    loss = posterior(student, torch.tensor(TEACHER), rows=slice(3, 3))
    loss.backward()
    assert float(loss.detach()) == 0
    assert not student.grad.any()


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda s, t: (s, -t), "needs class probabilities"),
        (lambda s, t: (s[:3], t), "one shape"),
    ],
)
def test_bad_input_is_one_sentence(spoil, message):
    with pytest.raises(ValueError, match=message):
        posterior(*spoil(torch.tensor(STUDENT), torch.tensor(TEACHER)))


def test_a_temperature_of_zero_is_refused():
    with pytest.raises(ValueError, match="temperature must be positive"):
        posterior(torch.tensor(STUDENT), torch.tensor(TEACHER), temperature=0.0)
