"""Voxel coordinates of a batch of clouds, on all strides, and the kernel maps that layers share.

Voxels are kept in Morton order: the bits of x, y and z interleave into one sorted int64 key, so that the voxel of the
next stride is ``key >> 3``, children of one parent are neighbours in memory, and neighbouring voxels are mostly close.
That order makes the neighbours of a stride follow from those of the next coarser one by table look-ups alone
(`VoxelGrid.neighbours`); only the coarsest, tiny stride is searched.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from pointlift.errors import DataError
from pointlift.students.sparse.kernel_map import KernelMap

BITS = 18  # per axis; 3 * 18 + 9 bits of batch index fill the 63 bits of a non-negative int64
BATCH_BITS = 9
HALF = 1 << (BITS - 1)
COARSE_ENOUGH = 64  # voxels below which the neighbours are searched instead of derived
MAX_LEVEL = BITS - 1


def _spread(values: Tensor) -> Tensor:
    """Insert two zero bits after each of the lowest 18 bits."""
    values = (values | values << 32) & 0x001F00000000FFFF
    values = (values | values << 16) & 0x001F0000FF0000FF
    values = (values | values << 8) & 0x100F00F00F00F00F
    values = (values | values << 4) & 0x10C30C30C30C30C3
    return (values | values << 2) & 0x1249249249249249


def _compact(values: Tensor) -> Tensor:
    """Inverse of `_spread`: every third bit."""
    values = values & 0x1249249249249249
    values = (values | values >> 2) & 0x10C30C30C30C30C3
    values = (values | values >> 4) & 0x100F00F00F00F00F
    values = (values | values >> 8) & 0x001F0000FF0000FF
    values = (values | values >> 16) & 0x001F00000000FFFF
    return (values | values >> 32) & ((1 << BITS) - 1)


def pack(coordinates: Tensor) -> Tensor:
    """Morton keys of integer voxel coordinates.

    Args:
        coordinates: (N, 4) int64 rows of (batch, x, y, z).

    Returns:
        (N,) int64, ordered by batch first.

    Raises:
        DataError: if x, y or z leave [-131072, 131071], or the batch index [0, 511].
    """
    if len(coordinates):
        low, high = torch.stack([coordinates.amin(0), coordinates.amax(0)]).tolist()
        if min(low[1:]) < -HALF or max(high[1:]) >= HALF:
            raise DataError(
                f"voxel coordinates reach from {min(low[1:])} to {max(high[1:])}, but only [{-HALF}, {HALF - 1}] fits; "
                "check the units of the points (metres) or choose a larger voxel_size"
            )
        if low[0] < 0 or high[0] >= 1 << BATCH_BITS:
            raise DataError(f"a batch of {high[0] + 1} clouds is too large; at most {1 << BATCH_BITS} clouds fit")
    batch, x, y, z = coordinates.unbind(1)
    return batch << (3 * BITS) | _spread(x + HALF) << 2 | _spread(y + HALF) << 1 | _spread(z + HALF)


@dataclass
class _Level:
    """Voxels of one stride: sorted ``keys (N,)``; ``parent (N,)`` and ``children (N', 8)`` link to the next stride."""

    keys: Tensor
    parent: Tensor | None = None
    children: Tensor | None = None


class VoxelGrid:
    """The occupied voxels of a batch on strides 1, 2, 4, … and the kernel maps between them.

    Level l has stride 2^l. The voxel of level l + 1 that holds a voxel c is floor(c / 2), as in MinkowskiEngine. All
    maps are built once, on first use, and shared by the layers that ask for the same one.

    Args:
        keys: (N,) int64 sorted, unique keys of level 0, from `pack`.
    """

    def __init__(self, keys: Tensor) -> None:
        self._levels = [_Level(keys)]
        self._neighbours: dict[tuple[int, int], Tensor] = {}
        self._maps: dict[tuple[str, int, int], KernelMap] = {}

    @property
    def device(self) -> torch.device:
        """Where the coordinates live."""
        return self._levels[0].keys.device

    def count(self, level: int = 0) -> int:
        """Number of voxels of a level."""
        return len(self._level(level).keys)

    def coordinates(self, level: int = 0) -> Tensor:
        """(N, 4) int64 rows of (batch, x, y, z) in voxels of that level, i.e. floor(c / 2^level)."""
        keys = self._level(level).keys
        shift = 3 * (BITS - level)
        local = keys & ((1 << shift) - 1)
        axes = [_compact(local >> bit) - (HALF >> level) for bit in (2, 1, 0)]
        return torch.stack([keys >> shift, *axes], dim=1)

    def _level(self, level: int) -> _Level:
        if level > MAX_LEVEL:
            raise ValueError(f"level {level} is too coarse; at most {MAX_LEVEL}")
        while len(self._levels) <= level:
            fine = self._levels[-1]
            keys, parent = torch.unique_consecutive(fine.keys >> 3, return_inverse=True)
            children = torch.full((len(keys) * 8,), -1, dtype=torch.int64, device=self.device)
            children[parent * 8 + (fine.keys & 7)] = torch.arange(len(fine.keys), device=self.device)
            fine.parent, fine.children = parent, children.view(-1, 8)
            self._levels.append(_Level(keys))
        return self._levels[level]

    def neighbours(self, level: int, kernel: int) -> Tensor:
        """Index of the voxel at every kernel offset of every voxel.

        A neighbour of a voxel is a child of its parent or of one of the parent's 26 neighbours, as far as kernel 5
        reaches. So the table of a level follows from the 3³ table of the next level by look-up.

        Returns:
            (kernel³, N) int64, -1 where no voxel is; offsets in lexicographic order of (x, y, z).
        """
        table = self._neighbours.get((level, kernel))
        if table is None:
            if self.count(level) <= COARSE_ENOUGH or level == MAX_LEVEL:
                table = self._search(level, kernel)
            else:
                table = self._derive(level, kernel)
            self._neighbours[level, kernel] = table
        return table

    def _search(self, level: int, kernel: int) -> Tensor:
        keys, coordinates = self._level(level).keys, self.coordinates(level)
        half, size = HALF >> level, 1 << (BITS - level)
        rows = []
        for offset in kernel_offsets(kernel):
            moved = coordinates[:, 1:] + torch.tensor(offset, device=self.device) + half
            inside = ((moved >= 0) & (moved < size)).all(1)
            x, y, z = moved.clamp(0, size - 1).unbind(1)
            wanted = coordinates[:, 0] << (3 * (BITS - level)) | _spread(x) << 2 | _spread(y) << 1 | _spread(z)
            found = torch.searchsorted(keys, wanted).clamp_(max=max(len(keys) - 1, 0))
            rows.append(torch.where(inside & (keys[found] == wanted), found, -1))
        return torch.stack(rows)

    def _derive(self, level: int, kernel: int) -> Tensor:
        coarse = self.neighbours(level + 1, 3)  # (27, N')
        fine = self._level(level)
        assert fine.parent is not None
        assert fine.children is not None
        # Column N' stands for "no voxel": its eight children are missing as well.
        missing, count = coarse.shape[1], len(fine.keys)
        children = torch.cat([fine.children.view(-1), fine.children.new_full((8,), -1)])
        # first child of the parent's neighbour, (27, N), flattened for one-dimensional look-ups
        base = (torch.where(coarse < 0, missing, coarse) * 8).index_select(1, fine.parent).view(-1)
        octant, columns = fine.keys & 7, torch.arange(count, device=self.device)
        direction, child = _octant_tables(kernel, self.device)  # (K, 8) each
        # Opposite offsets hold the same pairs, so half of them is looked up. Column N takes what is not there.
        table = torch.full((kernel**3, count + 1), -1, device=self.device)
        table[kernel**3 // 2, :count] = columns
        for k in range(kernel**3 // 2):
            place = (direction[k] * count).index_select(0, octant) + columns
            found = children.index_select(0, base.index_select(0, place) + child[k].index_select(0, octant))
            table[k, :count] = found
            table[-1 - k].scatter_(0, torch.where(found < 0, count, found), columns)
        return table[:, :count].contiguous()

    def submanifold_map(self, level: int, kernel: int) -> KernelMap:
        """Map of a convolution that keeps the voxels: out(c) = Σ_d W_d in(c + d), d in {-kernel//2, …, kernel//2}³."""
        if kernel not in (1, 3, 5):
            raise ValueError(f"a submanifold convolution needs kernel 1, 3 or 5, not {kernel}")
        key = ("submanifold", level, kernel)
        if key not in self._maps:
            self._maps[key] = KernelMap.submanifold(self.neighbours(level, kernel))
        return self._maps[key]

    def strided_map(self, level: int, kernel: int) -> KernelMap:
        """Map from a level to the next coarser one: out(c) = Σ_d W_d in(2c + d).

        d runs over {0, 1}³ for kernel 2 and over {-1, 0, 1}³ for kernel 3. Outputs are floor(c / 2) of the inputs for
        both, as in MinkowskiEngine. Its ``transposed()`` is the map of the transposed convolution back.
        """
        if kernel not in (2, 3):
            raise ValueError(f"a strided convolution needs kernel 2 or 3, not {kernel}")
        key = ("strided", level, kernel)
        if key not in self._maps:
            self._level(level + 1)
            table = self._level(level).children
            assert table is not None
            table = table.t() if kernel == 2 else self._wide_children(level)
            self._maps[key] = KernelMap.from_table(table.contiguous(), self.count(level))
        return self._maps[key]

    def _wide_children(self, level: int) -> Tensor:
        """(27, N') children of kernel 3 and stride 2: offset -1 is child 1 of the neighbour before."""
        coarse, children = self.neighbours(level + 1, 3), self._level(level).children
        assert children is not None
        rows = []
        for offset in kernel_offsets(3):
            step = [-1 if d < 0 else 0 for d in offset]
            octant = sum((d & 1) << bit for d, bit in zip(offset, (2, 1, 0), strict=True))
            near = coarse[(step[0] + 1) * 9 + (step[1] + 1) * 3 + step[2] + 1]
            child = children[:, octant].index_select(0, near.clamp(min=0))
            rows.append(torch.where(near < 0, -1, child))
        return torch.stack(rows)


def kernel_offsets(kernel: int) -> list[tuple[int, int, int]]:
    """Offsets of a cubic kernel in lexicographic order: centred if odd, {0, 1}³ for kernel 2."""
    steps = range(kernel) if kernel % 2 == 0 else range(-(kernel // 2), kernel // 2 + 1)
    return list(itertools.product(steps, steps, steps))


def _octant_tables(kernel: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Where offset k leads from octant o: direction (K, 8) of the parent's neighbour, and its child (K, 8)."""
    octants = torch.tensor(list(itertools.product((0, 1), repeat=3)))[:, None]  # (8, 1, 3)
    moved = octants + torch.tensor(kernel_offsets(kernel))  # (8, K, 3)
    direction = ((moved >> 1) + 1) @ torch.tensor([9, 3, 1])
    child = (moved & 1) @ torch.tensor([4, 2, 1])
    return direction.t().contiguous().to(device), child.t().contiguous().to(device)
