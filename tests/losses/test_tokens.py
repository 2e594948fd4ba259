from __future__ import annotations

import numpy as np
import pytest
import torch

from pointlift.losses import mse, token_rows
from pointlift.registry import LOSSES


def literal(k: np.ndarray, q: np.ndarray) -> float:
    return sum((k[i, d] - q[i, d]) ** 2 for i in range(len(k)) for d in range(k.shape[1])) / k.size


REFERENCES = {"mse": literal}


def test_mse_is_the_mean_over_all_elements() -> None:
    rng = np.random.default_rng(0)
    k, q = rng.normal(size=(2, 6, 5))
    np.testing.assert_allclose(mse(torch.from_numpy(k), torch.from_numpy(q)), literal(k, q))


def test_tokens_are_rows() -> None:
    tokens = torch.randn(3, 4, 5)
    torch.testing.assert_close(token_rows(tokens)[6], tokens[1, 2])
    with pytest.raises(ValueError, match=r"token sets are \(B, T, D\), not \(3, 4\)"):
        token_rows(tokens[:, :, 0])


def test_parts_of_the_rows_make_the_whole() -> None:
    k, q = torch.randn(7, 3, dtype=torch.float64), torch.randn(7, 3, dtype=torch.float64)
    parts = mse(k, q, rows=slice(0, 3)) * 3 + mse(k, q, rows=slice(3, 7)) * 4
    torch.testing.assert_close(parts / 7, mse(k, q))


def test_no_rows_give_a_differentiable_zero() -> None:
    k = torch.zeros(0, 3, requires_grad=True)
    loss = mse(k, torch.zeros(0, 3))
    loss.backward()
    assert float(loss.detach()) == 0


def test_the_teacher_gets_no_gradient_and_half_precision_is_lifted() -> None:
    k, q = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
    mse(k, q).backward()
    torch.testing.assert_close(k.grad, 2 * (k - q).detach() / 12)
    assert q.grad is None
    assert mse(k.half(), q.half()).dtype == torch.float32


def test_it_is_a_loss_of_recipes() -> None:
    assert set(LOSSES.options("mse").model_fields) == {"name"}
    with pytest.raises(ValueError, match="of one shape"):
        mse(torch.zeros(3, 2), torch.zeros(2, 2))
