from __future__ import annotations

import itertools

import pytest
import torch

from pointlift.errors import DataError
from pointlift.students.sparse import VoxelGrid, kernel_offsets, pack
from pointlift.students.sparse.coordinates import HALF


def random_coordinates(count: int, extent: int, seed: int = 0, clouds: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    xyz = torch.randint(-extent, extent, (count, 3), generator=generator)
    batch = torch.randint(0, clouds, (count, 1), generator=generator)
    return torch.unique(torch.cat([batch, xyz], dim=1), dim=0)


def grid_of(coordinates: torch.Tensor) -> VoxelGrid:
    return VoxelGrid(torch.unique(pack(coordinates)))


def index_of(grid: VoxelGrid, level: int) -> dict[tuple[int, ...], int]:
    return {tuple(row): i for i, row in enumerate(grid.coordinates(level).tolist())}


def test_pack_is_one_to_one_and_sorted_by_batch() -> None:
    coordinates = random_coordinates(500, 40, clouds=3)
    grid = grid_of(coordinates)
    assert {tuple(row) for row in coordinates.tolist()} == set(index_of(grid, 0))
    assert (grid.coordinates()[:, 0].diff() >= 0).all()


def test_pack_reaches_the_ends_of_its_range_and_refuses_beyond() -> None:
    ends = torch.tensor([[0, -HALF, HALF - 1, 0], [511, HALF - 1, -HALF, -1]])
    assert grid_of(ends).coordinates().tolist() == ends.tolist()
    with pytest.raises(DataError, match="larger voxel_size"):
        pack(torch.tensor([[0, 0, HALF, 0]]))
    with pytest.raises(DataError, match="at most 512 clouds"):
        pack(torch.tensor([[512, 0, 0, 0]]))


@pytest.mark.parametrize("level", [0, 1, 2, 5])
@pytest.mark.parametrize("kernel", [3, 5])
def test_neighbours_equal_a_dictionary(level: int, kernel: int) -> None:
    grid = grid_of(random_coordinates(1500, 12))
    index = index_of(grid, level)
    table = grid.neighbours(level, kernel)
    for k, offset in enumerate(kernel_offsets(kernel)):
        expected = [
            index.get((row[0], *(c + d for c, d in zip(row[1:], offset, strict=True))), -1)
            for row in grid.coordinates(level).tolist()
        ]
        assert table[k].tolist() == expected


def test_neighbours_do_not_wrap_at_the_ends_of_the_range() -> None:
    ends = torch.tensor(list(itertools.product([0, 1], *[[-HALF, HALF - 1]] * 3)))
    table = grid_of(ends).neighbours(0, 3)
    table[13] = -1
    assert (table == -1).all()
    many = torch.cat([ends, random_coordinates(200, 10)])  # enough voxels for the derivation by parents
    grid = grid_of(many)
    index = index_of(grid, 0)
    corner = index[0, -HALF, -HALF, -HALF]
    assert (grid.neighbours(0, 3)[:, corner] >= 0).sum() == 1


def test_levels_are_floored_coordinates() -> None:
    coordinates = random_coordinates(400, 30)
    grid = grid_of(coordinates)
    for level in range(5):
        floored = {(row[0], *(c >> level for c in row[1:])) for row in coordinates.tolist()}
        assert set(index_of(grid, level)) == floored
        assert grid.count(level) == len(floored)


@pytest.mark.parametrize("kernel", [2, 3])
def test_strided_map_equals_a_dictionary(kernel: int) -> None:
    grid = grid_of(random_coordinates(600, 8))
    fine, coarse = index_of(grid, 0), index_of(grid, 1)
    expected = set()
    for k, offset in enumerate(kernel_offsets(kernel)):
        for row, out in coarse.items():
            key = (row[0], *(2 * c + d for c, d in zip(row[1:], offset, strict=True)))
            if key in fine:
                expected.add((k, fine[key], out))
    found = grid.strided_map(0, kernel)
    kernel_index = torch.repeat_interleave(torch.arange(kernel**3), torch.tensor(found.blocks[0].starts).diff())
    assert set(zip(kernel_index.tolist(), found.inputs.tolist(), found.outputs.tolist(), strict=True)) == expected


def test_maps_are_shared() -> None:
    grid = grid_of(random_coordinates(50, 5))
    assert grid.submanifold_map(0, 3) is grid.submanifold_map(0, 3)
    assert grid.strided_map(1, 2) is grid.strided_map(1, 2)


def test_empty_grid() -> None:
    grid = VoxelGrid(torch.zeros(0, dtype=torch.int64))
    assert grid.count(3) == 0
    assert len(grid.submanifold_map(0, 3).inputs) == 0
    assert len(grid.strided_map(0, 2).inputs) == 0


@pytest.mark.parametrize("build", [lambda g: g.submanifold_map(0, 2), lambda g: g.strided_map(0, 5)])
def test_kernels_that_do_not_exist(build) -> None:
    with pytest.raises(ValueError, match="kernel"):
        build(grid_of(random_coordinates(5, 3)))
