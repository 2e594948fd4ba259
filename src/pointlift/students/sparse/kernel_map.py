"""Kernel map: which input voxel meets which output voxel at which kernel offset."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import torch
from torch import Tensor

CPU_BLOCK = 8192  # at 64 channels the products of a block take about 15 MB


@dataclass
class Segments:
    """Rows of a matrix to be summed per group: group g sums ``rows[offsets[g]:offsets[g + 1]]``.

    ``rows (P,)`` and ``offsets (G + 1,)`` int64.
    """

    rows: Tensor
    offsets: Tensor

    def sum(self, values: Tensor) -> Tensor:
        """(G, C) sums of the rows of ``values (P, C)``, each in a fixed order, accumulated in at least float32."""
        if len(values) == 0:  # embedding_bag wants at least one row
            return values.new_zeros(len(self.offsets) - 1, values.shape[1])
        # The forward-only bag is the fastest exact segment sum on the CPU (vectorised, one pass, no atomics), and it
        # sums in order on the GPU as well, so runs are identical.
        return torch.embedding_bag(values, self.rows, self.offsets, False, 0, False, None, True)[0]


@dataclass
class Block:
    """A range of output voxels whose pairs are adjacent, so that their products fit a small buffer.

    Offset k owns the pairs ``starts[k]:starts[k + 1]``; ``by_output`` lists, for every output voxel of the block, its
    pairs, counted from ``starts[0]``.
    """

    starts: list[int]
    by_output: Segments

    @property
    def pairs(self) -> int:
        """Number of pairs."""
        return self.starts[-1] - self.starts[0]

    def offsets(self) -> list[tuple[int, int, int]]:
        """(k, start, stop) of the kernel offsets that have pairs."""
        spans = enumerate(itertools.pairwise(self.starts))
        return [(k, start, stop) for k, (start, stop) in spans if stop > start]


@dataclass
class KernelMap:
    """Pairs of one convolution, grouped by block of outputs, then by kernel offset.

    ``inputs (P,)`` and ``outputs (P,)`` are the voxels of each pair, ``blocks`` its grouping. ``adjoint`` is the same
    map with inputs and outputs exchanged. The map of a submanifold convolution has none: its inputs are its outputs and
    offset K - 1 - k is the opposite of k, so it is its own adjoint with the offsets reversed.
    """

    inputs: Tensor
    outputs: Tensor
    blocks: list[Block]
    adjoint: KernelMap | None = None

    @property
    def symmetric(self) -> bool:
        """Whether this is the map of a submanifold convolution."""
        return self.adjoint is None

    def transposed(self) -> KernelMap:
        """The same pairs with inputs and outputs exchanged, not for submanifold maps."""
        if self.adjoint is None:
            raise ValueError("the map of a submanifold convolution is its own transpose, with the offsets reversed")
        return replace(self.adjoint, adjoint=self)

    @classmethod
    def from_table(cls, table: Tensor, input_count: int) -> KernelMap:
        """Map between different voxels.

        Args:
            table: (K, N) int64, the input of each offset and output, -1 for none.
            input_count: number of input voxels.
        """
        inputs, outputs, block = _pairs(table, 0, 0)
        counts = torch.bincount(inputs, minlength=input_count)
        back = Block(block.starts, _segments(torch.argsort(inputs, stable=True), counts))
        # the adjoint does not point back: a cycle would keep each step's maps until the garbage collector comes by
        return cls(inputs, outputs, [block], adjoint=cls(outputs, inputs, [back]))

    @classmethod
    def submanifold(cls, table: Tensor, block_size: int | None = None) -> KernelMap:
        """Map from voxels to themselves.

        Args:
            table: (K, N) int64 as in `from_table`; ``table[K // 2]`` is the voxel itself.
            block_size: output voxels per block; by default all on a GPU, and on a CPU as many as suit its cache.
        """
        count = table.shape[1]
        size = block_size or (CPU_BLOCK if table.device.type == "cpu" else max(count, 1))
        parts, done = [], 0
        for first in range(0, max(count, 1), size):
            parts.append(_pairs(table[:, first : first + size], first, done))
            done = parts[-1][2].starts[-1]
        inputs, outputs, blocks = zip(*parts, strict=True)
        return cls(torch.cat(inputs), torch.cat(outputs), list(blocks))


def _pairs(table: Tensor, first: int, done: int) -> tuple[Tensor, Tensor, Block]:
    """Inputs, outputs and block of the columns of a table that starts at output ``first``, after ``done`` pairs."""
    kernel, count = table.shape
    found = table >= 0
    flat = table.reshape(-1)
    where = found.view(-1).nonzero()[:, 0]  # pairs in (offset, output) order
    inputs, outputs = flat.index_select(0, where), where % max(count, 1) + first
    starts = [done + start for start in [0, *found.sum(1).cumsum(0).tolist()]]
    position = torch.empty_like(flat)
    position[where] = torch.arange(len(where), device=table.device)
    cell = found.t().contiguous().view(-1).nonzero()[:, 0]  # the same pairs in (output, offset) order
    rows = position.index_select(0, cell % kernel * count + cell // kernel)
    return inputs, outputs, Block(starts, _segments(rows, found.sum(0)))


def _segments(rows: Tensor, counts: Tensor) -> Segments:
    return Segments(rows, torch.cat([counts.new_zeros(1), counts.cumsum(0)]))
