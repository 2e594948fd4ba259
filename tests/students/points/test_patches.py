from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from pointlift.data.batch import Batch
from pointlift.errors import DataError
from pointlift.students.points import interpolate, make_patches, random_patches
from tests.students.points import reference


def batch_of(*sizes: int) -> Batch:
    points, offsets = reference.clouds(*sizes)
    return Batch(points, torch.randn(len(points), 2, generator=torch.Generator().manual_seed(9)), offsets)


@pytest.mark.parametrize("sizes", [(64, 64), (100, 40, 64, 41)])
def test_patches_equal_a_loop(sizes: tuple[int, ...]) -> None:
    batch = batch_of(*sizes)
    patches = make_patches(batch, 6, 9)
    for cloud, (start, stop) in enumerate(itertools.pairwise(batch.offsets.tolist())):
        points, features = batch.points[start:stop].numpy(), batch.features[start:stop].numpy()
        for group, first in enumerate(reference.farthest_points(points, 6)):
            members = reference.nearest_points(points, points[first], 9)
            assert patches.rows[cloud, group].tolist() == [start + m for m in members]
            np.testing.assert_array_equal(patches.centres[cloud, group], points[first])
            np.testing.assert_array_equal(patches.relative[cloud, group], points[members] - points[first])
            np.testing.assert_array_equal(patches.features[cloud, group], features[members])


def test_take() -> None:
    patches = make_patches(batch_of(64, 50), 6, 9)
    chosen = torch.tensor([[5, 0], [2, 3]])
    part = patches.take(chosen)
    for name in ("centres", "relative", "features", "rows"):
        whole = getattr(patches, name)
        assert torch.equal(getattr(part, name), torch.stack([whole[0, [5, 0]], whole[1, [2, 3]]])), name


@pytest.mark.parametrize(("groups", "size"), [(31, 4), (4, 31)])
def test_fewer_points_than_patches(groups: int, size: int) -> None:
    batch = batch_of(40, 30)
    batch.scene_ids = ["desk", "lamp"]
    with pytest.raises(DataError, match=rf"the cloud 'lamp' has 30 points, but {groups} patches of {size} .* least 31"):
        make_patches(batch, groups, size)


def test_random_patches() -> None:
    visible, hidden = random_patches(200, 64, 0.6, generator=torch.Generator().manual_seed(0))
    assert visible.shape == (200, 26)
    assert hidden.shape == (200, 38)
    assert torch.equal(torch.cat([visible, hidden], dim=1).sort(1).values, torch.arange(64).expand(200, -1))
    assert bool((visible.diff(dim=1) > 0).all())
    counts = torch.bincount(hidden.flatten(), minlength=64) / 200
    assert 0.4 < counts.min() < counts.max() < 0.8
    with pytest.raises(ValueError, match="hidden_share"):
        random_patches(1, 64, 1.0)


def test_interpolation_equals_a_loop() -> None:
    points, _ = reference.clouds(50)
    centres = reference.clouds(2 * 7, seed=1)[0].unflatten(0, (2, 7))
    values = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64, requires_grad=True)
    owner = torch.arange(50) % 2
    found = interpolate(values, centres, points, owner)
    for p, b, row in zip(points.double(), owner.tolist(), found, strict=True):
        squared = ((centres[b].double() - p) ** 2).sum(1)
        near = squared.argsort()[:3]
        weights = 1 / (squared[near] + 1e-8)
        torch.testing.assert_close(
            row, (weights[:, None] * values[b, near]).sum(0) / weights.sum(), rtol=1e-5, atol=1e-6
        )
    found.square().sum().backward()
    assert values.grad is not None
    assert torch.isfinite(values.grad).all()


def test_interpolation_at_a_centre_and_with_few_centres() -> None:
    centres, values = torch.tensor([[[0.0, 0, 0], [1, 0, 0]]]), torch.tensor([[[1.0], [3.0]]])
    points, owner = torch.tensor([[0.0, 0, 0], [0.5, 0, 0], [1, 0, 0]]), torch.zeros(3, dtype=torch.int64)
    assert interpolate(values, centres, points, owner).flatten().tolist() == pytest.approx([1, 2, 3])
    assert interpolate(values, centres, points, owner, count=1).flatten().tolist() == pytest.approx([1, 1, 3])
