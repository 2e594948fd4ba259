"""Each paired loss against a literal double loop in NumPy float64, and the properties that the methods rest on."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from pointlift import losses
from pointlift.registry import LOSSES

NAMES = [name for name in LOSSES.names() if LOSSES.get(name).factory.__module__ == "pointlift.losses.paired"]


def features(rows: int, dim: int = 5, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    student = torch.randn(rows, dim, generator=generator, dtype=dtype) * 3.0 + 0.5
    return student.requires_grad_(), torch.randn(rows, dim, generator=generator, dtype=dtype)


def dot(a: np.ndarray, b: np.ndarray) -> float:
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def unit(matrix: np.ndarray) -> np.ndarray:
    return np.stack([row / math.sqrt(dot(row, row)) for row in matrix.astype(np.float64)])


def off_diagonal(element, rows: int) -> float:
    terms = [element(i, j) for i in range(rows) for j in range(rows) if i != j]
    return sum(terms) / len(terms) if terms else 0.0


def reference(name: str, k: np.ndarray, q: np.ndarray, normalize: bool = True, **options: float) -> float:
    if normalize:
        k, q = unit(k), unit(q)
    n, p = len(k), options.get("p", 1)
    if name == "contrastive":
        tau = options.get("temperature", 0.07)
        return (
            -sum(
                dot(k[i], q[i]) / tau - math.log(sum(math.exp(dot(k[i], q[j]) / tau) for j in range(n)))
                for i in range(n)
            )
            / n
        )
    if name == "similarity":
        return sum(1.0 - dot(k[i], q[i]) for i in range(n)) / n
    diagonal = sum(abs(dot(k[i], q[i]) - dot(q[i], q[i])) ** p for i in range(n)) / n
    cross = off_diagonal(lambda i, j: abs(dot(k[i], q[j]) - dot(q[i], q[j])) ** p, n)
    intra = off_diagonal(lambda i, j: abs(dot(k[i], k[j]) - dot(q[i], q[j])) ** p, n)
    default = {"cross_modal": (1, 1, 0), "intra_modal": (0, 0, 1), "relational": (1, 1, 1)}[name]
    weights = [
        options.get(key, value)
        for key, value in zip(("diagonal_weight", "cross_weight", "intra_weight"), default, strict=True)
    ]
    return weights[0] * diagonal + weights[1] * cross + weights[2] * intra


REFERENCES = {name: partial(reference, name) for name in NAMES}

CASES = [
    ("contrastive", {}),
    ("contrastive", {"temperature": 0.5}),
    ("similarity", {}),
    ("cross_modal", {}),
    ("cross_modal", {"diagonal_weight": 0.3, "cross_weight": 2.0}),
    ("cross_modal", {"p": 2}),
    ("intra_modal", {}),
    ("intra_modal", {"p": 2}),
    ("relational", {}),
    ("relational", {"diagonal_weight": 0.3, "cross_weight": 2.0, "intra_weight": 0.7}),
    ("relational", {"p": 2}),
]


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("rows", [1, 2, 9])
@pytest.mark.parametrize("name, options", CASES)
def test_equals_the_literal_double_loop(name: str, options: dict, rows: int, normalize: bool) -> None:
    student, teacher = features(rows)
    expected = reference(name, student.detach().numpy(), teacher.numpy(), normalize, **options)
    value = getattr(losses, name)(student, teacher, normalize=normalize, **options)
    assert value.dtype == torch.float64
    assert value.item() == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name, options", CASES)
def test_float32_is_accurate(name: str, options: dict) -> None:
    student, teacher = features(40, 16, dtype=torch.float32)
    expected = reference(name, student.detach().numpy(), teacher.numpy(), **options)
    assert getattr(losses, name)(student, teacher, **options).item() == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("name, options", CASES)
def test_gradient_equals_finite_differences(name: str, options: dict, normalize: bool) -> None:
    student, teacher = features(6, 4)
    loss = getattr(losses, name)
    assert torch.autograd.gradcheck(lambda k: loss(k, teacher, normalize=normalize, **options), student)
    assert torch.autograd.gradcheck(lambda k: loss(k, teacher, normalize, slice(1, 4), **options), student)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_follows_what_comes_after_the_loss(name: str) -> None:
    student, teacher = features(7)
    loss = getattr(losses, name)
    (once,) = torch.autograd.grad(loss(student, teacher), student)
    (thrice,) = torch.autograd.grad(3.0 * loss(student, teacher), student)
    torch.testing.assert_close(thrice, 3.0 * once)


@pytest.mark.parametrize("name", NAMES)
def test_rows_add_up_to_the_whole(name: str) -> None:
    student, teacher = features(11)
    loss = getattr(losses, name)
    whole = loss(student, teacher)
    (expected,) = torch.autograd.grad(whole, student)
    parts = [slice(0, 4), slice(4, 4), slice(4, 5), slice(5, None)]
    total = sum(loss(student, teacher, rows=part) * len(range(11)[part]) / 11 for part in parts)
    (gradient,) = torch.autograd.grad(total, student)
    torch.testing.assert_close(total, whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_give_a_differentiable_zero(name: str) -> None:
    for student, teacher, rows in [(*features(0), None), (*features(5), slice(5, 5)), (*features(5), slice(4, 2))]:
        value = getattr(losses, name)(student, teacher, rows=rows)
        value.backward()
        assert value.item() == 0.0
        assert student.grad is not None
        assert not student.grad.any()


@pytest.mark.parametrize("name", NAMES)
def test_one_row_has_no_off_diagonal(name: str) -> None:
    student, teacher = features(1)
    value = getattr(losses, name)(student, teacher)
    value.backward()
    assert student.grad.isfinite().all()
    if name in ("contrastive", "intra_modal"):
        assert value.item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", ["student", "teacher", "both"])
def test_zero_rows_give_finite_bounded_gradients(name: str, side: str) -> None:
    student, teacher = features(6)
    with torch.no_grad():
        if side != "teacher":
            student[2] = 0.0
        if side != "student":
            teacher[2] = 0.0
    getattr(losses, name)(student, teacher).backward()
    assert student.grad.isfinite().all()
    assert student.grad.abs().max() < 10.0
    if side != "teacher":
        assert not student.grad[2].any()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_finite_shows_in_the_loss(name: str, bad: float) -> None:
    student, teacher = features(6)
    with torch.no_grad():
        student[2, 1] = bad
    assert math.isnan(getattr(losses, name)(student, teacher).item())


@pytest.mark.parametrize("name", NAMES)
def test_wrong_shapes_name_both(name: str) -> None:
    student, _ = features(6, 5)
    with pytest.raises(ValueError, match=r"\(6, 5\) and \(6, 4\)"):
        getattr(losses, name)(student, torch.zeros(6, 4))
    with pytest.raises(ValueError, match=r"\(5,\) and \(5,\)"):
        getattr(losses, name)(student[0], torch.zeros(5))
    with pytest.raises(ValueError, match="without a step"):
        getattr(losses, name)(student, torch.zeros(6, 5), rows=slice(0, 6, 2))


def test_wrong_options() -> None:
    student, teacher = features(3)
    with pytest.raises(ValueError, match="temperature must be positive"):
        losses.contrastive(student, teacher, temperature=0.0)
    with pytest.raises(ValueError, match="p must be 1 or 2"):
        losses.relational(student, teacher, p=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_the_teacher_receives_no_gradient(name: str) -> None:
    student, teacher = features(6)
    teacher.requires_grad_()
    getattr(losses, name)(student, teacher).backward()
    assert teacher.grad is None


@pytest.mark.parametrize("name", NAMES)
def test_without_gradients(name: str) -> None:
    student, teacher = features(6)
    with torch.no_grad():
        value = getattr(losses, name)(student, teacher)
    assert not value.requires_grad
    assert value.item() == getattr(losses, name)(student, teacher).item()
    assert not getattr(losses, name)(student.detach(), teacher).requires_grad


@pytest.mark.parametrize("name", NAMES)
def test_float32_inside_mixed_precision(name: str) -> None:
    student, teacher = features(32, 16, dtype=torch.float32)
    loss = getattr(losses, name)
    expected = loss(student, teacher)
    (gradient,) = torch.autograd.grad(expected, student)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(student, teacher)
        (mixed,) = torch.autograd.grad(value, student)
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)
    assert torch.equal(mixed, gradient)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_inputs(name: str, dtype: torch.dtype) -> None:
    student, teacher = features(32, 16, dtype=torch.float32)
    half, coarse = student.detach().to(dtype).requires_grad_(), teacher.half()
    value = getattr(losses, name)(half, coarse)
    value.backward()
    assert value.dtype == torch.float32
    assert half.grad.dtype == dtype
    torch.testing.assert_close(value, getattr(losses, name)(half.float(), coarse.float()))


@pytest.mark.parametrize("name", NAMES)
def test_scale_does_not_matter_when_normalised(name: str) -> None:
    student, teacher = features(8)
    scales = torch.linspace(0.1, 9.0, 8, dtype=torch.float64)[:, None]
    loss = getattr(losses, name)
    torch.testing.assert_close(loss(student * scales, teacher / scales), loss(student, teacher))


@pytest.mark.parametrize("name", NAMES)
def test_order_does_not_matter(name: str) -> None:
    student, teacher = features(8)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    loss = getattr(losses, name)
    torch.testing.assert_close(loss(student[order], teacher[order]), loss(student, teacher))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "contrastive"])
def test_zero_where_student_and_teacher_agree(name: str) -> None:
    _, teacher = features(20, 8, dtype=torch.float32)
    student = teacher.clone().requires_grad_()
    value = getattr(losses, name)(student, teacher)
    value.backward()
    assert value.item() == pytest.approx(0.0, abs=1e-6)
    assert student.grad.abs().max() < 1e-6


def test_contrastive_minimum_is_not_where_they_agree() -> None:
    _, teacher = features(12, 3)
    student = teacher.clone().requires_grad_()
    agreed = losses.contrastive(student, teacher)
    (gradient,) = torch.autograd.grad(agreed, student)
    assert losses.contrastive(student - 0.1 * gradient, teacher) < agreed - 1e-6


def test_only_intra_modal_is_blind_to_rotation() -> None:
    student, teacher = features(10)
    rotation, _ = torch.linalg.qr(features(5, seed=3)[1])
    torch.testing.assert_close(losses.intra_modal(student @ rotation, teacher), losses.intra_modal(student, teacher))
    for name in ("contrastive", "similarity", "cross_modal", "relational"):
        loss = getattr(losses, name)
        assert not torch.isclose(loss(student @ rotation, teacher), loss(student, teacher))


@pytest.mark.parametrize(
    "weights, name", [((1, 0, 0), "similarity"), ((1, 1, 0), "cross_modal"), ((0, 0, 1), "intra_modal")]
)
def test_weights_select_the_parts(weights: tuple[int, int, int], name: str) -> None:
    student, teacher = features(10)
    part = losses.relational(
        student, teacher, diagonal_weight=weights[0], cross_weight=weights[1], intra_weight=weights[2]
    )
    expected = getattr(losses, name)(student, teacher)
    torch.testing.assert_close(part, expected)
    torch.testing.assert_close(torch.autograd.grad(part, student), torch.autograd.grad(expected, student))


def test_options_of_a_recipe_are_the_hyper_parameters() -> None:
    fields = {name: set(LOSSES.options(name).model_fields) - {"name"} for name in NAMES}
    weights = {"diagonal_weight", "cross_weight"}
    assert fields == {
        "contrastive": {"temperature"},
        "similarity": set(),
        "cross_modal": weights | {"p"},
        "intra_modal": {"p"},
        "relational": weights | {"intra_weight", "p"},
    }
