"""Colours of features and classes, the same in every picture of a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pointlift.report.pictures.overlay import class_palette

WRONG = np.array([225, 45, 60, 255], np.uint8)
RIGHT = np.array([140, 145, 150, 95], np.uint8)
UNKNOWN = np.array([140, 145, 150, 120], np.uint8)
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
_DARKEST, _BRIGHTEST = 0.12, 0.58


@dataclass(frozen=True, eq=False)
class FeatureColors:
    """Three principal directions of the teacher's unit features as red, green and blue.

    Attributes:
        mean: (D,) of the unit features.
        directions: (D, 3).
        low, high: (3,) values that become 0 and 1.
    """

    mean: Tensor
    directions: Tensor
    low: Tensor
    high: Tensor

    def __call__(self, features: Tensor) -> np.ndarray:
        """RGB (N, 3) uint8 of features (N, D), which are normalised first; what lies outside the range is clipped.

        Features of zeros, by which a teacher says nothing, are grey.
        """
        values = (F.normalize(features.float(), dim=1) - self.mean) @ self.directions
        scaled = ((values - self.low) / (self.high - self.low).clamp(min=1e-9)).clamp(0, 1)
        colors = (readable(scaled.double().numpy()) * 255 + 0.5).astype(np.uint8)
        colors[~features.any(dim=1).numpy()] = UNKNOWN[:3]
        return colors


def feature_colors(teacher: Tensor) -> FeatureColors:
    """The principal directions of the teacher's features (N, D), scaled to their 2nd and 98th percentiles."""
    spoken = teacher.any(dim=1)
    unit = F.normalize((teacher[spoken] if spoken.any() else teacher).float(), dim=1)
    mean = unit.mean(dim=0)
    centred = (unit - mean).double()
    directions = torch.linalg.eigh(centred.T @ centred)[1][:, -3:].flip(1)  # ascending
    sign = directions.gather(0, directions.abs().argmax(dim=0, keepdim=True)).sign()
    directions = (directions * sign).float()
    if directions.shape[1] < 3:
        directions = F.pad(directions, (0, 3 - directions.shape[1]))
    values = (unit - mean) @ directions
    ranks = torch.tensor([0.02, 0.98])
    low, high = torch.quantile(values[:: max(1, len(values) // 100_000)], ranks, dim=0)
    return FeatureColors(mean, directions, low, high)


def class_colors(names: Sequence[str], own: Sequence[tuple[int, int, int]] | None) -> np.ndarray:
    """RGBA (C + 1, 4) uint8 of the classes, the last for what has no class, so that label -1 finds it."""
    table = readable(class_palette(names, own)[:-1])
    opaque = np.concatenate([table, np.ones((len(table), 1))], axis=1)
    return np.concatenate([(opaque * 255 + 0.5).astype(np.uint8), UNKNOWN[None]])


def css(color: np.ndarray) -> str:
    """A colour (3 or 4,) uint8 as CSS writes it, without its opacity."""
    return f"rgb({color[0]} {color[1]} {color[2]})"


def readable(colors: np.ndarray) -> np.ndarray:
    """Colours (N, 3) in [0, 1] that can be seen on white and on black: the darkest lifted, the brightest lowered."""
    luminance = (colors**2.2) @ _LUMINANCE
    lowered = colors * (_BRIGHTEST / np.maximum(luminance, _BRIGHTEST))[:, None] ** (1 / 2.2)
    share = np.maximum(0, _DARKEST - luminance)[:, None] / _DARKEST * 0.38  # of white
    return lowered * (1 - share) + share
