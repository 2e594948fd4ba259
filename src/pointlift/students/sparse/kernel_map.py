"""Kernel map: which input voxel meets which output voxel at which kernel offset."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


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
class KernelMap:
    """Pairs of one convolution, grouped by kernel offset.

    Offset k owns the pairs ``starts[k]:starts[k + 1]`` of ``inputs (P,)`` and ``outputs (P,)``. ``by_output`` and
    ``by_input`` list, for every output (input) voxel, the positions of its pairs. A submanifold map has no
    ``by_input``: its inputs are its outputs and offset K - 1 - k is the opposite of k, so its adjoint is itself with the
    offsets reversed.
    """

    inputs: Tensor
    outputs: Tensor
    starts: list[int]
    by_output: Segments
    by_input: Segments | None

    @property
    def symmetric(self) -> bool:
        """Whether this is the map of a submanifold convolution."""
        return self.by_input is None

    def transposed(self) -> KernelMap:
        """The same pairs with inputs and outputs exchanged, not for submanifold maps."""
        if self.by_input is None:
            raise ValueError("the map of a submanifold convolution is its own transpose, with the offsets reversed")
        return KernelMap(self.outputs, self.inputs, self.starts, self.by_input, self.by_output)

    @classmethod
    def from_table(cls, table: Tensor, input_count: int, symmetric: bool = False) -> KernelMap:
        """Build the map from a table of inputs.

        Args:
            table: (K, N) int64, the input of each offset and output, -1 for none.
            input_count: number of input voxels.
            symmetric: whether this is a submanifold map.
        """
        kernel, count = table.shape
        found = table >= 0
        where = found.view(-1).nonzero()[:, 0]  # pairs in (offset, output) order
        inputs, outputs = table.view(-1).index_select(0, where), where % max(count, 1)
        starts = [0, *found.sum(1).cumsum(0).tolist()]
        position = torch.empty_like(table.view(-1))
        position[where] = torch.arange(len(where), device=table.device)
        cell = found.t().contiguous().view(-1).nonzero()[:, 0]  # the same pairs in (output, offset) order
        rows = position.index_select(0, cell % kernel * count + cell // kernel)
        by_output = _segments(rows, found.sum(0))
        by_input = None
        if not symmetric:
            by_input = _segments(torch.argsort(inputs, stable=True), torch.bincount(inputs, minlength=input_count))
        return cls(inputs, outputs, starts, by_output, by_input)


def _segments(rows: Tensor, counts: Tensor) -> Segments:
    return Segments(rows, torch.cat([counts.new_zeros(1), counts.cumsum(0)]))
