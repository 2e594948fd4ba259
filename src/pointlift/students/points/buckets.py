"""Clouds of different sizes as a few dense tables, so that all clouds of a table are worked on at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pointlift.errors import DataError


@dataclass(frozen=True)
class Bucket:
    """Clouds of similar size.

    ``clouds (b,)`` says which clouds these are, ``rows (b, W)`` lists their rows of the concatenated points, and
    ``padding (b, W)`` is True where a cloud has no such point and its last one stands in; None where all are full.
    """

    clouds: Tensor
    rows: Tensor
    padding: Tensor | None


@dataclass(frozen=True)
class Buckets:
    """The clouds of ``offsets (B + 1,)``; ``sizes`` are their B numbers of points.

    Reading the sizes is the only time that a GPU is waited for.
    """

    offsets: Tensor
    sizes: list[int]

    @classmethod
    def of(cls, offsets: Tensor) -> Buckets:
        """From the offsets of concatenated points."""
        return cls(offsets, offsets.diff().tolist())

    def require(self, count: int, what: str) -> None:
        """A `DataError` if a cloud has fewer than ``count`` points."""
        for cloud, size in enumerate(self.sizes):
            if size < count:
                raise DataError(f"cloud {cloud} of the batch has {size} points, fewer than the {count} {what}")

    @cached_property
    def all(self) -> list[Bucket]:
        """Clouds of one size together; otherwise those between two powers of two, at most half of a table padding."""
        clouds = torch.arange(len(self.sizes), device=self.offsets.device)
        if len(set(self.sizes)) <= 1:
            return [self._bucket(clouds, self.sizes[0])] if self.sizes else []
        members: dict[int, list[int]] = {}
        for cloud, size in enumerate(self.sizes):
            members.setdefault((size - 1).bit_length(), []).append(cloud)
        return [self._bucket(clouds[chosen], max(self.sizes[c] for c in chosen)) for chosen in members.values()]

    def _bucket(self, clouds: Tensor, width: int) -> Bucket:
        columns = torch.arange(width, device=clouds.device)
        start, stop = self.offsets[clouds, None], self.offsets[clouds + 1, None]
        rows = start + columns
        full = len(set(self.sizes)) <= 1
        return Bucket(clouds, rows if full else rows.clamp(max=stop - 1), None if full else rows >= stop)
