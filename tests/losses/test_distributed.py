"""What is gathered over processes: rows, permuted rows, and what belongs to rows beside the features."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from pointlift import losses
from pointlift.losses.distributed import permuted_rows
from tests.losses.test_base import weighted_distance, within_regions

LABELS = torch.arange(19) % 4
SPLITS = [[7, 12], [0, 19], [19, 0]]
EXTRAS = {"regions": torch.arange(19) % 3, "weights": torch.linspace(0.1, 2, 19, dtype=torch.float64)}
WITH_EXTRAS = {
    "rows": losses.Loss(weighted_distance, "rows", power=2),
    "batch": losses.Loss(within_regions, "batch", normalize=False, power=2),
}


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    options = {"generator": generator, "dtype": torch.float64}
    return torch.randn(19, 6, **options), torch.randn(19, 4, **options)


def layer() -> torch.nn.Linear:
    torch.manual_seed(1)
    return torch.nn.Linear(6, 4, dtype=torch.float64)


def _worker(rank: int, processes: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=processes)
    results: dict[str, tuple[Tensor, ...]] = {}
    inputs, teacher = batch()
    for split in SPLITS:
        own = slice(sum(split[:rank]), sum(split[: rank + 1]))
        for scope, loss in WITH_EXTRAS.items():
            model = torch.nn.parallel.DistributedDataParallel(layer())
            value = loss(model(inputs[own]), teacher[own], **{key: all_[own] for key, all_ in EXTRAS.items()})
            value.backward()
            results[f"{scope} {split}"] = value.detach(), model.module.weight.grad
    part = slice(0, 7) if rank == 0 else slice(7, 19)
    model = torch.nn.parallel.DistributedDataParallel(layer())
    logits, labels = losses.gather_rows(model(inputs[part])), losses.gather_rows(LABELS[part, None])[:, 0]
    value = losses.segmentation_loss(logits, labels)
    value.backward()
    results["segmentation"] = value.detach(), model.module.weight.grad
    # a process may have all rows, and the other none
    rows = torch.arange(10.0).reshape(5, 2)[: 5 if rank == 0 else 0]
    results["permuted"] = (permuted_rows(rows, 3),)
    # a process whose features need no gradient does not leave the other one waiting
    for name in ("relational", "cka"):
        features = torch.ones(3, 4, requires_grad=rank == 0)
        losses.build(name)(features, torch.randn(3, 4)).backward()
    torch.save(results, f"{folder}/{rank}.pt")
    dist.barrier()  # nobody leaves while another still waits for it
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, tuple[Tensor, ...]]]:
    if not dist.is_available() or not dist.is_gloo_available():
        pytest.skip("this torch has no gloo")
    folder = tmp_path_factory.mktemp("gloo")
    mp.spawn(_worker, args=(2, str(folder)), nprocs=2)
    return [torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("split", SPLITS, ids=str)
@pytest.mark.parametrize("scope", WITH_EXTRAS)
def test_what_belongs_to_rows_travels_with_them(scope: str, split: list[int], results: list) -> None:
    inputs, teacher = batch()
    model = layer()
    expected = WITH_EXTRAS[scope](model(inputs), teacher, **EXTRAS)
    expected.backward()
    for process in results:
        value, gradient = process[f"{scope} {split}"]
        torch.testing.assert_close(value, expected.detach(), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(gradient, model.weight.grad, rtol=1e-12, atol=1e-12)
    assert model.weight.grad.any()


def test_a_loss_of_gathered_rows_is_that_of_the_global_batch(results: list) -> None:
    """Lovász-Softmax is no mean over rows, so every process computes it for all of them."""
    inputs, _ = batch()
    model = layer()
    expected = losses.segmentation_loss(model(inputs), LABELS)
    expected.backward()
    for process in results:
        torch.testing.assert_close(process["segmentation"][0], expected.detach(), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(process["segmentation"][1], model.weight.grad, rtol=1e-12, atol=1e-12)


def test_rows_are_permuted_alike_where_one_process_has_none(results: list[dict[str, tuple[Tensor, ...]]]) -> None:
    expected = permuted_rows(torch.arange(10.0).reshape(5, 2), 3)
    torch.testing.assert_close(results[0]["permuted"][0], expected)
    assert results[1]["permuted"][0].shape == (0, 2)
