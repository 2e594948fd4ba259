from __future__ import annotations

import numpy as np
import pytest
import torch

from pointlift.errors import DataError
from pointlift.students.sparse import voxelize


def cloud() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(300, 3, generator=generator), torch.randint(0, 2, (300,), generator=generator).sort().values


def test_voxels_are_floored_points() -> None:
    points, batch = cloud()
    voxels = voxelize(points, batch, 0.5)
    floored = np.floor(points.numpy().astype(np.float64) / 0.5).astype(np.int64)
    coordinates = voxels.grid.coordinates()[voxels.voxel_of_point]
    np.testing.assert_array_equal(coordinates[:, 1:].numpy(), floored)
    assert torch.equal(coordinates[:, 0], batch)


def test_pool_is_the_mean_or_the_first_point() -> None:
    points, batch = cloud()
    voxels = voxelize(points, batch, 0.5)
    values = torch.randn(300, 2, dtype=torch.float64)
    mean, first = voxels.pool(values), voxels.pool(values, "first")
    for v in range(voxels.grid.count()):
        members = values[voxels.voxel_of_point == v]
        torch.testing.assert_close(mean[v], members.mean(0))
        torch.testing.assert_close(first[v], members[0])


@pytest.mark.parametrize("rows", [None, torch.tensor([5, 5, 0, 299])])
def test_unpool_and_its_gradient(rows: torch.Tensor | None) -> None:
    points, batch = cloud()
    voxels = voxelize(points, batch, 0.5)
    values = torch.randn(voxels.grid.count(), 2, dtype=torch.float64, requires_grad=True)
    index = voxels.voxel_of_point if rows is None else voxels.voxel_of_point[rows]
    ours, reference = voxels.unpool(values, rows), values[index]
    assert torch.equal(ours, reference)
    upstream = torch.randn_like(ours)
    torch.testing.assert_close(
        torch.autograd.grad(ours, values, upstream), torch.autograd.grad(reference, values, upstream)
    )


def test_no_points() -> None:
    voxels = voxelize(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), 0.1)
    assert voxels.pool(torch.zeros(0, 4)).shape == (0, 4)
    assert voxels.unpool(torch.zeros(0, 4)).shape == (0, 4)


@pytest.mark.parametrize(
    ("value", "message"), [(float("nan"), "finite"), (1e6, "larger voxel_size"), (1e30, "too far")]
)
def test_bad_points(value: float, message: str) -> None:
    with pytest.raises(DataError, match=message):
        voxelize(torch.tensor([[0.0, value, 0.0]]), torch.zeros(1, dtype=torch.int64), 0.1)


def test_bad_voxel_size() -> None:
    with pytest.raises(ValueError, match="positive"):
        voxelize(torch.zeros(1, 3), torch.zeros(1, dtype=torch.int64), 0.0)
