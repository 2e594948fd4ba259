"""A teacher of somebody's own: the colours around each pixel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pointlift.registry import TEACHERS
from pointlift.teachers.base import Teacher, fingerprint_of


@TEACHERS.register("colors")
class Colors(Teacher):
    """Mean and deviation of red, green and blue in windows of 4 x 4 pixels."""

    def __init__(self, *, window: int = 4) -> None:
        super().__init__()
        self.dim, self.stride = 6, window
        self.fingerprint = fingerprint_of(self, "window", window=window)
        self.freeze()

    def _features(self, images: Tensor, views: Sequence[object] | None) -> Tensor:
        windows = images.unfold(2, self.stride, self.stride).unfold(3, self.stride, self.stride).flatten(4)
        return torch.cat([windows.mean(4), windows.std(4)], dim=1)
