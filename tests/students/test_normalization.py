from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from pointlift.students.normalization import BatchNorm

ROWS = [(5, 4), (9, 0), (1, 1)]  # rows of each of two processes


def data(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(rows)
    x = torch.randn(rows, 3, generator=generator, dtype=torch.float64) * 2 + 100
    return x, torch.randn(rows, 3, generator=generator, dtype=torch.float64)


def step(norm: nn.Module, x: torch.Tensor, upstream: torch.Tensor) -> dict[str, torch.Tensor]:
    x = x.clone().requires_grad_()
    out = norm(x)
    (out * upstream).sum().backward()
    gradients = {name: parameter.grad.clone() for name, parameter in norm.named_parameters()}
    norm.zero_grad()
    buffers = {name: buffer.clone() for name, buffer in norm.named_buffers()}
    return {"out": out.detach(), "x": x.grad, **gradients, **buffers}


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    results = []
    for counts in ROWS:
        x, upstream = data(sum(counts))
        norm = BatchNorm(3, momentum=0.05).double()
        mine = slice(0, counts[0]) if rank == 0 else slice(counts[0], sum(counts))
        results.append(step(norm, x[mine], upstream[mine]))
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(worker, (str(tmp_path),), nprocs=2)
    both = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for counts, first, second in zip(ROWS, *both, strict=True):
        expected = step(nn.BatchNorm1d(3, momentum=0.05).double(), *data(sum(counts)))
        for key in ("out", "x"):
            torch.testing.assert_close(torch.cat([first[key], second[key]]), expected[key])
        for key in ("weight", "bias"):  # the global loss is the sum of the processes' losses
            torch.testing.assert_close(first[key] + second[key], expected[key])
        for key in ("running_mean", "running_var", "num_batches_tracked"):
            torch.testing.assert_close(first[key], expected[key])
            torch.testing.assert_close(second[key], expected[key])


@pytest.mark.parametrize("training", [True, False])
def test_one_process_is_torch(training: bool) -> None:
    ours = step(BatchNorm(3).double().train(training), *data(8))
    theirs = step(nn.BatchNorm1d(3).double().train(training), *data(8))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_no_rows_change_nothing() -> None:
    norm = BatchNorm(3).double()
    result = step(norm, *data(0))
    assert result["out"].shape == (0, 3)
    assert result["num_batches_tracked"] == 0
    assert torch.equal(result["running_mean"], torch.zeros(3, dtype=torch.float64))


def test_one_row_normalises_to_the_bias() -> None:
    norm = BatchNorm(3).double()
    nn.init.constant_(norm.bias, 0.5)
    result = step(norm, *data(1))
    assert torch.equal(result["out"], torch.full((1, 3), 0.5, dtype=torch.float64))
    assert torch.isfinite(result["running_var"]).all()
    assert norm.eval()(data(1)[0]).shape == (1, 3)


def test_one_row_keeps_its_dtype() -> None:
    assert BatchNorm(3)(torch.ones(1, 3, dtype=torch.bfloat16)).dtype == torch.bfloat16
