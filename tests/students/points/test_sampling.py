from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from pointlift.errors import DataError
from pointlift.students.points import farthest_points
from tests.students.points import reference

SIZES = [(50,), (50, 50, 50), (40, 17, 90, 17, 33, 200, 16), (16, 17), ()]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("grid", [None, 0.5, 3.0])
def test_equals_a_loop(sizes: tuple[int, ...], grid: float | None) -> None:
    points, offsets = reference.clouds(*sizes, grid=grid)
    found = farthest_points(points, offsets, 16)
    assert found.shape == (len(sizes), 16)
    assert found.dtype == torch.int64
    for row, (start, stop) in zip(found.tolist(), itertools.pairwise(offsets.tolist()), strict=True):
        expected = reference.farthest_points(points[start:stop].numpy(), 16)
        assert row == [start + index for index in expected]


def test_equals_a_loop_in_double_precision_at_the_paper_s_size() -> None:
    points, offsets = reference.clouds(4096, 4096)
    found = farthest_points(points, offsets, 64)
    nearest, expected = np.full(4096, np.inf), [0]
    double = points[4096:].double().numpy()
    for _ in range(63):
        nearest = np.minimum(nearest, ((double - double[expected[-1]]) ** 2).sum(1))
        expected.append(int(nearest.argmax()))
    assert (found[1] - 4096).tolist() == expected


@pytest.mark.parametrize("sizes", [(30, 30), (30, 60, 100)])
def test_random_first_points(sizes: tuple[int, ...]) -> None:
    points, offsets = reference.clouds(*sizes)
    draws = [farthest_points(points, offsets, 8, generator=torch.Generator().manual_seed(s)) for s in range(20)]
    again = farthest_points(points, offsets, 8, generator=torch.Generator().manual_seed(3))
    assert torch.equal(again, draws[3])
    assert len({tuple(draw[:, 0].tolist()) for draw in draws}) > 10
    for draw in draws:
        for row, (start, stop) in zip(draw.tolist(), itertools.pairwise(offsets.tolist()), strict=True):
            expected = reference.farthest_points(points[start:stop].numpy(), 8, row[0] - start)
            assert row == [start + index for index in expected]


def test_equal_points_are_taken_last_and_once() -> None:
    points = torch.tensor([[0.0, 0, 0]] * 3 + [[1.0, 0, 0]] * 2)
    assert farthest_points(points, torch.tensor([0, 5]), 5).tolist() == [[0, 3, 1, 2, 4]]
    assert farthest_points(torch.zeros(6, 3), torch.tensor([0, 6]), 6).tolist() == [[0, 1, 2, 3, 4, 5]]


def test_every_point_of_a_cloud_may_be_taken() -> None:
    points, offsets = reference.clouds(12, 12)
    assert farthest_points(points, offsets, 12).sort(1).values.tolist() == [list(range(12)), list(range(12, 24))]


def test_fewer_points_than_asked_for() -> None:
    points, offsets = reference.clouds(20, 7, 20)
    with pytest.raises(DataError, match="cloud 1 of the batch has 7 points, fewer than the 8 that farthest-point"):
        farthest_points(points, offsets, 8)
