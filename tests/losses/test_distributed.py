"""Two processes give the loss and the averaged gradients of one process with the whole batch."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from pointlift import losses
from pointlift.losses.distributed import permuted_rows

LOSSES = {
    "contrastive": partial(losses.contrastive, temperature=0.2),
    "posterior": lambda student, teacher, **rows: losses.posterior(student, teacher.abs(), balance=0.5, **rows),
    "relational": partial(losses.relational, cross_weight=2.0),
    "similarity": losses.similarity,
}
SPLITS = [[7, 12], [0, 12], [12, 0], [0, 0]]
LABELS = torch.arange(19) % 4


def batch(rows: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    options = {"generator": generator, "dtype": torch.float64}
    return torch.randn(rows, 6, **options), torch.randn(rows, 4, **options)


def layer() -> torch.nn.Linear:
    torch.manual_seed(1)
    return torch.nn.Linear(6, 4, dtype=torch.float64)


def _worker(rank: int, processes: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=processes)
    results = {}
    for name, loss in LOSSES.items():
        for split in SPLITS:
            inputs, teacher = batch(sum(split))
            part = slice(sum(split[:rank]), sum(split[: rank + 1]))
            model = torch.nn.parallel.DistributedDataParallel(layer())
            value = losses.global_loss(loss, model(inputs[part]), teacher[part])
            value.backward()
            with torch.no_grad():
                silent = losses.global_loss(loss, model(inputs[part]), teacher[part])
            results[f"{name} {split}"] = value.detach(), silent, model.module.weight.grad
    inputs, _ = batch(19)
    part = slice(0, 7) if rank == 0 else slice(7, 19)
    model = torch.nn.parallel.DistributedDataParallel(layer())
    logits, labels = losses.gather_rows(model(inputs[part])), losses.gather_rows(LABELS[part, None])[:, 0]
    value = losses.segmentation_loss(logits, labels)
    value.backward()
    results["segmentation"] = value.detach(), value.detach(), model.module.weight.grad
    # a process may have all rows, and the other none
    rows = torch.arange(10.0).reshape(5, 2)[: 5 if rank == 0 else 0]
    results["permuted"] = (permuted_rows(rows, 3),)
    # a process whose features need no gradient does not leave the other one waiting
    features = torch.ones(3, 4, requires_grad=rank == 0)
    losses.global_loss(losses.relational, features, torch.randn(3, 4)).backward()
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, tuple[Tensor, Tensor, Tensor]]]:
    if not dist.is_available() or not dist.is_gloo_available():
        pytest.skip("this torch has no gloo")
    folder = tmp_path_factory.mktemp("gloo")
    mp.spawn(_worker, args=(2, str(folder)), nprocs=2)
    return [torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("split", SPLITS, ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_two_processes_equal_one(name: str, split: list[int], results: list) -> None:
    inputs, teacher = batch(sum(split))
    model = layer()
    expected = losses.global_loss(LOSSES[name], model(inputs), teacher)
    expected.backward()
    for process in results:
        value, silent, gradient = process[f"{name} {split}"]
        torch.testing.assert_close(value, expected.detach(), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(silent, value)
        torch.testing.assert_close(gradient, model.weight.grad, rtol=1e-12, atol=1e-12)
        assert (model.weight.grad.abs().max() > 0.01) == (sum(split) > 0)


def test_a_loss_of_gathered_rows_is_that_of_the_global_batch(results: list) -> None:
    """Lovász-Softmax is no mean over rows, so every process computes it for all of them."""
    inputs, _ = batch(19)
    model = layer()
    expected = losses.segmentation_loss(model(inputs), LABELS)
    expected.backward()
    for process in results:
        torch.testing.assert_close(process["segmentation"][0], expected.detach(), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(process["segmentation"][2], model.weight.grad, rtol=1e-12, atol=1e-12)


def test_one_process_is_the_plain_loss() -> None:
    inputs, teacher = batch(5)
    student = layer()(inputs)
    assert torch.equal(losses.global_loss(losses.relational, student, teacher), losses.relational(student, teacher))


def test_rows_are_permuted_alike_where_one_process_has_none(results: list[dict[str, tuple[Tensor, ...]]]) -> None:
    expected = permuted_rows(torch.arange(10.0).reshape(5, 2), 3)
    torch.testing.assert_close(results[0]["permuted"][0], expected)
    assert results[1]["permuted"][0].shape == (0, 2)
