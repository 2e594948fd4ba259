"""Sampling, neighbours and patches on a CUDA device: the CPU's to the last row."""

from __future__ import annotations

import pytest
import torch

from pointlift.data.batch import Batch
from pointlift.students.point_transformer import PointTransformer
from pointlift.students.points import farthest_points, nearest_centres, nearest_points, random_patches, sampling
from tests.students.points import reference

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
SIZES = pytest.mark.parametrize("sizes", [(64, 64), (40, 17, 90, 17, 33, 200, 16), (4096,) * 8, (20_000, 300)], ids=str)
GRID = pytest.mark.parametrize("grid", [None, 0.5, 3.0])


@SIZES
@GRID
@pytest.mark.parametrize("kernel", [False, True])
@pytest.mark.parametrize("seed", [None, 0])
def test_sampling_equals_the_cpu(sizes, grid, kernel: bool, seed: int | None, monkeypatch) -> None:
    if kernel and not sampling._has_kernel():
        pytest.skip("Triton cannot compile here")
    monkeypatch.setattr(sampling, "_has_kernel", lambda: kernel)
    points, offsets = reference.clouds(*sizes, grid=grid)

    def sampled(device: str) -> torch.Tensor:
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        return farthest_points(points.to(device), offsets.to(device), 16, generator=generator).cpu()

    assert torch.equal(sampled("cuda"), sampled("cpu"))


@SIZES
@GRID
def test_neighbours_equal_the_cpu(sizes, grid) -> None:
    points, offsets = reference.clouds(*sizes, grid=grid)
    queries = reference.clouds(5 * len(sizes), seed=1, grid=grid)[0].unflatten(0, (len(sizes), 5))
    found = nearest_points(points.cuda(), offsets.cuda(), queries.cuda(), 16)
    for one, expected in zip(found, nearest_points(points, offsets, queries, 16), strict=True):
        assert torch.equal(one.cpu(), expected)
    owner = torch.arange(len(points)) % len(sizes)
    found = nearest_centres(points.cuda(), owner.cuda(), queries.cuda(), 3)
    for one, expected in zip(found, nearest_centres(points, owner, queries, 3), strict=True):
        assert torch.equal(one.cpu(), expected)


def test_sampling_waits_for_the_gpu_once_only() -> None:
    points, offsets = (part.cuda() for part in reference.clouds(500, 500))
    farthest_points(points, offsets, 16)
    clouds = sampling.Buckets.of(offsets)
    torch.cuda.set_sync_debug_mode("error")
    try:
        farthest_points(points, clouds, 16)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def outputs(device: str, dtype: torch.dtype | None = None) -> list[torch.Tensor]:
    torch.manual_seed(0)
    student = PointTransformer(0, 5, size="small", groups=16, group_size=8, drop_path=0.0, class_token=True).to(device)
    points, offsets = reference.clouds(300, 200)
    batch = Batch(points, points[:, :0], offsets).to(device)
    visible, _ = random_patches(2, 16, 0.5, generator=torch.Generator().manual_seed(0))
    with torch.autocast(device, dtype=dtype, enabled=dtype is not None):
        encoding, features = student.encode(batch, visible), student(batch)
    (features.float().square().mean() + encoding.class_token.float().square().mean()).backward()
    gradients = [p.grad for p in student.parameters() if p.grad is not None]
    return [part.detach().float().cpu() for part in (features, encoding.tokens, encoding.class_token, *gradients)]


def test_a_training_step_equals_the_cpu() -> None:
    for found, expected in zip(outputs("cuda"), outputs("cpu"), strict=True):
        assert (found - expected).norm() <= 1e-2 * expected.norm() + 1e-5


def test_a_training_step_repeats_to_the_bit() -> None:
    assert all(torch.equal(a, b) for a, b in zip(outputs("cuda"), outputs("cuda"), strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_is_near_float32(dtype: torch.dtype) -> None:
    found, expected = outputs("cuda", dtype), outputs("cuda")
    assert all(part.isfinite().all() for part in found)
    for one, other in zip(found[:3], expected[:3], strict=True):
        assert (one - other).norm() < 0.05 * other.norm()
