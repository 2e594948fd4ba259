"""The protocol between a method (what one training step is) and the loop that repeats it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from pointlift.data.scene import Scene

Progress = Callable[[str, int, int], None]


class Method(nn.Module):
    """One training step: which samples, which loss.

    ``trained`` holds all that is optimised and saved; anything else (a frozen teacher) stays out of checkpoints.
    ``learning_rate_factors`` maps prefixes of the names in ``trained`` to factors on the learning rate.
    """

    trained: nn.Module
    learning_rate_factors: dict[str, float]

    def __init__(self) -> None:
        super().__init__()
        self.learning_rate_factors = {}

    @classmethod
    def point_features(cls, **options: Any) -> bool:
        """Whether a method with these options trains the student's output at each point.

        Only then may it be compared with the teacher's features; otherwise the student is built without output layer.
        """
        return True

    def prepare(self, scenes: Sequence[Scene], progress: Progress | None = None) -> None:
        """Work that is done once before training, such as filling the feature cache."""

    def sample(self, scene: Scene, rng: np.random.Generator) -> Any:
        """What one scene contributes to a step; runs in data workers and draws random numbers only from ``rng``."""
        raise NotImplementedError  # pragma: no cover - every method defines it

    def collate(self, samples: list[Any], rng: np.random.Generator) -> Any:
        """Join samples into one batch that has ``to(device)`` and ``scene_ids``."""
        raise NotImplementedError  # pragma: no cover - every method defines it

    def forward(self, batch: Any) -> dict[str, torch.Tensor]:
        """A dictionary with the scalar ``loss`` of the global batch, and whatever else is worth logging."""
        raise NotImplementedError  # pragma: no cover - every method defines it
