"""Sampling and neighbours one cloud at a time, in plain NumPy loops."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def squared_distances(points: np.ndarray, position: np.ndarray) -> np.ndarray:
    """(N,) in the dtype of the points, each operation rounded."""
    d = points - position
    return (d[:, 0] * d[:, 0] + d[:, 1] * d[:, 1]) + d[:, 2] * d[:, 2]


def farthest_points(points: np.ndarray, count: int, first: int = 0) -> list[int]:
    """Greedy: the point whose smallest distance to those taken is largest, the lowest index among equals."""
    taken = [first]
    while len(taken) < count:
        nearest = np.min([squared_distances(points, points[t]) for t in taken], axis=0)
        candidates = [i for i in range(len(points)) if i not in taken]
        taken.append(max(candidates, key=lambda i: (nearest[i], -i)))
    return taken


def nearest_points(points: np.ndarray, query: np.ndarray, count: int) -> list[int]:
    """The nearest first, the lowest index among equals."""
    distances = squared_distances(points, query)
    return sorted(range(len(points)), key=lambda i: (distances[i], i))[:count]


def clouds(*sizes: int, seed: int = 0, grid: float | None = None) -> tuple[Tensor, Tensor]:
    """Random concatenated points and their offsets; on a grid of that spacing, full of ties and of equal points."""
    points = torch.randn(sum(sizes), 3, generator=torch.Generator().manual_seed(seed))
    if grid is not None:
        points = (points / grid).round() * grid
    return points, torch.tensor([0, *sizes]).cumsum(0)
