from __future__ import annotations

import numpy as np
import pytest
import torch

from pointlift.losses import chamfer


def brute_force(a: np.ndarray, b: np.ndarray) -> float:
    there = [min(sum((x - y) ** 2 for x, y in zip(p, q, strict=True)) for q in b) for p in a]
    back = [min(sum((x - y) ** 2 for x, y in zip(p, q, strict=True)) for p in a) for q in b]
    return sum(there) / len(a) + sum(back) / len(b)


@pytest.mark.parametrize(("k", "l"), [(8, 8), (5, 9), (1, 4)])
def test_equals_brute_force(k: int, l: int) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(6, k, 3)), rng.normal(size=(6, l, 3))
    found = chamfer(torch.from_numpy(a), torch.from_numpy(b))
    np.testing.assert_allclose(found, [brute_force(x, y) for x, y in zip(a, b, strict=True)], rtol=1e-12)


def test_order_does_not_matter_and_equal_sets_are_at_zero() -> None:
    a = torch.randn(3, 7, 3)
    assert float(chamfer(a, a[:, torch.randperm(7)]).max()) == 0
    torch.testing.assert_close(chamfer(a, a + 1e-3), torch.full((3,), 6e-6), rtol=1e-2, atol=0)


def test_gradient_is_that_of_the_formula() -> None:
    a = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    b = torch.randn(2, 5, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: chamfer(x, b), (a,))


@pytest.mark.parametrize(
    "shapes", [((2, 3, 3), (3, 3, 3)), ((2, 3, 3), (2, 3, 2)), ((3, 3), (3, 3)), ((2, 0, 3), (2, 3, 3))]
)
def test_other_shapes_are_refused(shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match="chamfer takes"):
        chamfer(torch.zeros(shapes[0]), torch.zeros(shapes[1]))
