"""The protocol of all 3D students: a batch of clouds in, one feature vector per point out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from pointlift.data.batch import Batch
from pointlift.errors import DataError

if TYPE_CHECKING:
    from pointlift.data.scene import Scene


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode without gradients; afterwards every submodule has the mode back that it had."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes.items():
            part.training = training


class Student(nn.Module):
    """A 3D network that gives every input point a feature.

    Subclasses set ``in_channels`` (features per input point), ``out_channels`` (D) and ``decoder_channels`` (C), and
    implement ``forward`` and ``decoder_features``.
    """

    in_channels: int
    out_channels: int
    decoder_channels: int

    def forward(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        """Features (ΣN, D) of every point of the batch, or (P, D) of the points ``rows (P,)`` only."""
        raise NotImplementedError

    def decoder_features(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        """Features (ΣN, C) of every point before the head, or (P, C) of the points ``rows (P,)`` only."""
        raise NotImplementedError

    def features(self, scene: Scene | np.ndarray) -> np.ndarray:
        """Features of one cloud in evaluation mode.

        Args:
            scene: a Scene, or an array (N, 3) of points in metres or (N, 3 + F) of points and their F features.

        Returns:
            (N, D) float32.

        Raises:
            DataError: if the number of features is not the one that the student was built for.
        """
        batch = self.check(_as_batch(scene)).to(next(self.parameters()).device)
        with evaluating(self):
            return self(batch).float().cpu().numpy()

    def check(self, batch: Batch) -> Batch:
        """The batch itself, if its number of features fits; a `DataError` otherwise."""
        width = batch.features.shape[1]
        if width != self.in_channels:
            raise DataError(
                f"the student was built for {self.in_channels} features per point, but the points have {width}; "
                f"give points as an array (N, {3 + self.in_channels})"
            )
        return batch


def _as_batch(scene: Scene | np.ndarray) -> Batch:
    if not isinstance(scene, np.ndarray):
        return Batch.from_scenes([scene])
    if scene.ndim != 2 or scene.shape[1] < 3:
        raise DataError(f"points must be an array (N, 3) or (N, 3 + F), not of shape {scene.shape}")
    values = torch.from_numpy(np.array(scene, dtype=np.float32))
    return Batch(values[:, :3].contiguous(), values[:, 3:].contiguous(), torch.tensor([0, len(values)]), ["points"])
