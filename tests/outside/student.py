"""A student of somebody's own: every point by itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pointlift.data.batch import Batch
from pointlift.registry import STUDENTS
from pointlift.students.base import Student
from pointlift.students.normalization import BatchNorm


@STUDENTS.register("pointwise")
class Pointwise(Student):
    """Two layers on each point's coordinates and features."""

    def __init__(self, in_channels: int, out_channels: int, *, channels: int = 16) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.decoder_channels = in_channels, out_channels, channels
        self.body = nn.Sequential(nn.Linear(3 + in_channels, channels), BatchNorm(channels), nn.ReLU())
        self.head = nn.Linear(channels, out_channels) if out_channels else nn.Identity()

    def decoder_features(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        """Features (ΣN, C) of every point before the head, or of ``rows`` only."""
        features = self.body(torch.cat([batch.points / 10, self.check(batch).features], dim=1))
        return features if rows is None else features[rows]
