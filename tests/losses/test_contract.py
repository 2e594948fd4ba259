"""What every registered loss keeps, in one process and in several; a loss that is added is tested by being there."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

import tests.losses as here
from pointlift import losses
from pointlift.errors import RecipeError
from pointlift.options import option_values
from pointlift.registry import LOSSES

NAMES = LOSSES.names()
SPLITS = [[7, 12, 4], [0, 12, 5], [12, 0, 0], [0, 0, 0]]
"""Rows of up to three processes."""


def references() -> dict[str, Any]:
    """Each loss's literal form ``(student, teacher) -> float`` in NumPy: every test module here may name some."""
    modules = [import_module(f"{here.__name__}.{found.name}") for found in pkgutil.iter_modules(here.__path__)]
    return {name: form for module in modules for name, form in vars(module).get("REFERENCES", {}).items()}


def features(rows: int, dim: int = 4, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """A student's and a teacher's, of which the latter could be class probabilities, as some losses need them."""
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(rows, dim, generator=generator, dtype=torch.float64) * 3 + 0.5
    return student.to(dtype), torch.rand(rows, dim, generator=generator, dtype=torch.float64).to(dtype)


def layer() -> torch.nn.Linear:
    torch.manual_seed(1)
    return torch.nn.Linear(4, 4, dtype=torch.float64)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_its_literal_form(name: str) -> None:
    assert name in references(), f"no test module in tests/losses has a literal form of '{name}' in its REFERENCES"
    student, teacher = features(11)
    expected = references()[name](student.numpy(), teacher.numpy())
    assert float(losses.build(name)(student, teacher)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_its_gradient_is_that_of_finite_differences(name: str) -> None:
    student, teacher = features(6)
    loss = losses.build(name)
    assert torch.autograd.gradcheck(lambda k: loss(k, teacher), student.requires_grad_())


@pytest.mark.parametrize("name", NAMES)
def test_the_teacher_gets_no_gradient(name: str) -> None:
    student, teacher = (part.requires_grad_() for part in features(6))
    losses.build(name)(student, teacher).backward()
    assert student.grad.any()
    assert teacher.grad is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_mixed_precision_computes_in_float32(name: str, dtype: torch.dtype) -> None:
    loss = losses.build(name)
    student, teacher = features(20, dtype=dtype)
    student.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(student, teacher)
    value.backward()
    assert value.dtype == torch.float32
    assert student.grad.dtype == dtype
    assert torch.equal(value, loss(student.float(), teacher.float()))


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_give_a_differentiable_zero(name: str) -> None:
    student, teacher = features(0)
    value = losses.build(name)(student.requires_grad_(), teacher)
    value.backward()
    assert float(value.detach()) == 0
    assert student.grad.shape == (0, 4)


@pytest.mark.parametrize("name", NAMES)
def test_its_scope_is_what_it_says(name: str) -> None:
    """Of rows: parts, weighted by their numbers of rows, make the whole. Of the batch: there are no parts."""
    part = LOSSES.get(name)
    if part.declared["scope"] == "batch":
        assert "rows" not in inspect.signature(part.factory).parameters
        return
    student, teacher = features(11)
    whole = part(student.requires_grad_(), teacher)
    pieces = [slice(0, 4), slice(4, 4), slice(4, 5), slice(5, None)]
    total = sum(part(student, teacher, rows=one) * len(range(11)[one]) / 11 for one in pieces)
    torch.testing.assert_close(total, whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        *(torch.autograd.grad(value, student)[0] for value in (total, whole)), atol=1e-12, rtol=0
    )


@pytest.mark.parametrize("name", NAMES)
def test_its_options_are_those_of_its_signature(name: str) -> None:
    options = option_values(LOSSES.options(name)())
    student, teacher = features(5)
    assert torch.equal(losses.build(name, **options)(student, teacher), LOSSES.get(name)(student, teacher, **options))
    assert losses.build(name).options == options
    with pytest.raises(RecipeError, match="there is no key 'heat'"):
        losses.build(name, heat=1)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_shapes_name_both(name: str) -> None:
    with pytest.raises(ValueError, match=r"\(6, 4\) and \(6, 3\)"):
        losses.build(name)(torch.zeros(6, 4), torch.zeros(6, 3))


# --- processes ----------------------------------------------------------------------------------------------------


def _measured(rank: int, processes: int) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """Value, value without gradient and averaged gradient of every loss, of this process's rows."""
    found = {}
    for name in NAMES:
        loss = losses.build(name)
        for split in SPLITS:
            split = split[:processes]
            inputs, teacher = features(sum(split))
            own = slice(sum(split[:rank]), sum(split[: rank + 1]))
            model: torch.nn.Module = layer()
            if processes > 1:
                model = torch.nn.parallel.DistributedDataParallel(model)
            value = loss(model(inputs[own]), teacher[own])
            value.backward()
            with torch.no_grad():
                silent = loss(model(inputs[own]), teacher[own])
            weight = next(model.parameters())
            found[f"{name} {split}"] = value.detach(), silent, weight.grad
    return found


def _worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    for processes in (3, 2):  # of three, two go on
        if rank < processes:
            at = f"file://{folder}/rendezvous-{processes}"
            dist.init_process_group("gloo", init_method=at, rank=rank, world_size=processes)
            torch.save(_measured(rank, processes), f"{folder}/{processes}-{rank}.pt")
            dist.barrier()  # nobody leaves while another still waits for it
            dist.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not dist.is_available() or not dist.is_gloo_available():
        pytest.skip("this torch has no gloo")
    folder = tmp_path_factory.mktemp("gloo")
    mp.spawn(_worker, args=(str(folder),), nprocs=3)
    return folder


@pytest.mark.parametrize("split", SPLITS, ids=str)
@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_several_processes_give_what_one_gives(name: str, processes: int, split: list[int], folder: Path) -> None:
    split = split[:processes]
    inputs, teacher = features(sum(split))
    model = layer()
    expected = losses.build(name)(model(inputs), teacher)
    expected.backward()
    for rank in range(processes):
        found = torch.load(folder / f"{processes}-{rank}.pt", weights_only=True)[f"{name} {split}"]
        value, silent, gradient = found
        torch.testing.assert_close(value, expected.detach(), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(silent, value)
        torch.testing.assert_close(gradient, model.weight.grad, rtol=1e-12, atol=1e-12)
    assert np.isfinite(float(expected.detach()))
    assert bool(model.weight.grad.any()) == (sum(split) > 0)
