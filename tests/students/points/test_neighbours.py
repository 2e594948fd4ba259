from __future__ import annotations

import itertools

import pytest
import torch
from scipy.spatial import cKDTree

from pointlift.errors import DataError
from pointlift.students.points import nearest_centres, nearest_points, neighbours
from tests.students.points import reference

SIZES = [(50,), (50, 50, 50), (40, 17, 90, 17, 33, 200, 16), (16, 17)]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("grid", [None, 0.5, 3.0])
@pytest.mark.parametrize("pairs", [1, 300, 1 << 18])
def test_equals_a_loop(sizes: tuple[int, ...], grid: float | None, pairs: int, monkeypatch) -> None:
    monkeypatch.setattr(neighbours, "CPU_PAIRS", pairs)
    points, offsets = reference.clouds(*sizes, grid=grid)
    queries = reference.clouds(5 * len(sizes), seed=1, grid=grid)[0].unflatten(0, (len(sizes), 5))
    squared, rows = nearest_points(points, offsets, queries, 16)
    for cloud, (start, stop) in enumerate(itertools.pairwise(offsets.tolist())):
        own = points[start:stop].numpy()
        for index, query in enumerate(queries[cloud].numpy()):
            expected = reference.nearest_points(own, query, 16)
            assert rows[cloud, index].tolist() == [start + i for i in expected]
            assert squared[cloud, index].tolist() == reference.squared_distances(own, query)[expected].tolist()


def test_equals_a_tree_at_the_paper_s_size() -> None:
    points, offsets = reference.clouds(4096, 4096)
    queries = points.unflatten(0, (2, 4096))[:, :64]
    squared, rows = nearest_points(points, offsets, queries, 32)
    for cloud in range(2):
        own = points[cloud * 4096 : (cloud + 1) * 4096].double().numpy()
        distances, expected = cKDTree(own).query(queries[cloud].double().numpy(), k=32)
        assert (rows[cloud] - cloud * 4096).tolist() == expected.tolist()
        torch.testing.assert_close(squared[cloud].double().sqrt(), torch.from_numpy(distances), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("grid", [None, 1.0])
@pytest.mark.parametrize("pairs", [1, 100, 1 << 18])
def test_nearest_centres_equal_a_loop(grid: float | None, pairs: int, monkeypatch) -> None:
    monkeypatch.setattr(neighbours, "CPU_PAIRS", pairs)
    points, _ = reference.clouds(60, grid=grid)
    centres = reference.clouds(27, seed=2, grid=grid)[0].unflatten(0, (3, 9))
    owner = torch.arange(60) % 3  # in no order
    squared, columns = nearest_centres(points, owner, centres, 3)
    for index in range(60):
        own = centres[owner[index]].numpy()
        expected = reference.nearest_points(own, points[index].numpy(), 3)
        assert columns[index].tolist() == expected
        assert squared[index].tolist() == reference.squared_distances(own, points[index].numpy())[expected].tolist()


def test_no_points_have_no_centres() -> None:
    squared, columns = nearest_centres(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), torch.zeros(2, 4, 3), 3)
    assert squared.shape == columns.shape == (0, 3)


def test_bad_input() -> None:
    points, offsets = reference.clouds(20, 7)
    with pytest.raises(DataError, match="cloud 1 of the batch has 7 points, fewer than the 8 neighbours asked for"):
        nearest_points(points, offsets, torch.zeros(2, 1, 3), 8)
    with pytest.raises(DataError, match=r"2 clouds need queries \(2, M, 3\), not \(1, 1, 3\)"):
        nearest_points(points, offsets, torch.zeros(1, 1, 3), 2)
