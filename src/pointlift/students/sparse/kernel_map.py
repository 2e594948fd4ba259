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
    ``by_input`` list, for every output (input) voxel, the positions of its pairs.
    """

    inputs: Tensor
    outputs: Tensor
    starts: list[int]
    by_output: Segments
    by_input: Segments

    @property
    def input_count(self) -> int:
        """Number of input voxels."""
        return len(self.by_input.offsets) - 1

    @property
    def output_count(self) -> int:
        """Number of output voxels."""
        return len(self.by_output.offsets) - 1

    def transposed(self) -> KernelMap:
        """The same pairs with inputs and outputs exchanged."""
        return KernelMap(self.outputs, self.inputs, self.starts, self.by_input, self.by_output)

    @classmethod
    def from_table(cls, table: Tensor, input_count: int, symmetric: bool = False) -> KernelMap:
        """Build the map from a table of inputs.

        Args:
            table: (K, N) int64, the input of each offset and output, -1 for none.
            input_count: number of input voxels.
            symmetric: whether inputs and outputs are the same voxels and offset K - 1 - k is the opposite of k; then
                the pairs of an input are known without a sort.
        """
        found = table >= 0
        position = found.view(-1).cumsum(0).view_as(table) - 1  # of each pair in (offset, output) order
        outputs = found.nonzero()[:, 1]
        inputs = table[found]
        starts = [0, *found.sum(1).cumsum(0).tolist()]
        by_output = _segments(position.t()[found.t()], found.sum(0))
        if symmetric:
            # Input i meets output table[K-1-k, i] at offset k.
            mirrored, exists = table.flip(0), found.flip(0)
            pairs = position.gather(1, mirrored.clamp(min=0))
            by_input = _segments(pairs.t()[exists.t()], exists.sum(0))
        else:
            by_input = _segments(torch.argsort(inputs, stable=True), torch.bincount(inputs, minlength=input_count))
        return cls(inputs, outputs, starts, by_output, by_input)


def _segments(rows: Tensor, counts: Tensor) -> Segments:
    return Segments(rows, torch.cat([counts.new_zeros(1), counts.cumsum(0)]))
