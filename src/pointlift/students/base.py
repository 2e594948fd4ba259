"""The contract of all 3D students: a batch of clouds in, one feature vector per point out."""

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


class Undecayed(nn.Parameter):
    """A learned token or table of tokens, which weight decay leaves alone as it does biases and normalisation."""


class Student(nn.Module):
    """A 3D network that gives every input point a feature.

    A subclass is built with ``(in_channels, out_channels, *, options)``, sets what has no default here, and implements
    `decoder_features`; it overrides `forward` where another order of the same computation is cheaper. In evaluation
    the features of a cloud are a function of that cloud alone, and the head is one of each row alone.

    Attributes:
        in_channels: features per input point.
        out_channels: D, the width of the output; 0 for a student without output layer, if it can be one.
        decoder_channels: C, the width of the features before the head.
        head: makes the output of the decoder's features, row by row in evaluation.
        fewest_points: how many points a cloud needs; 0: it may be empty.
        order_matters: whether, in evaluation too, another order of a cloud's points gives them other features.
        loads: names of its options that load weights into it; whoever has weights of its own leaves them out.
        loaded: what of a checkpoint was loaded into it, for the log; None if nothing was.
    """

    in_channels: int
    out_channels: int
    decoder_channels: int
    head: nn.Module
    fewest_points: int = 0
    order_matters: bool = False
    loads: tuple[str, ...] = ()
    loaded: str | None = None

    def forward(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        """Features (ΣN, D) of every point of the batch, not normalised, or (P, D) of the points ``rows (P,)`` only."""
        return self.head(self.decoder_features(batch, rows))

    def decoder_features(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        """Features (ΣN, C) of every point before the head, or (P, C) of the points ``rows (P,)`` only."""
        raise NotImplementedError  # pragma: no cover - every student defines it

    def features(self, scene: Scene | np.ndarray) -> np.ndarray:
        """Features of one cloud in evaluation mode.

        Args:
            scene: a Scene, or an array (N, 3) of points in metres or (N, 3 + F) of points and their F features.

        Returns:
            (N, D) float32.

        Raises:
            DataError: if the number of features is not the one that the student was built for, or the cloud has fewer
                than ``fewest_points``.
        """
        batch = self.check(_as_batch(scene))
        self.require_points(batch.scene_ids[0], len(batch.points))
        batch = batch.to(next(self.parameters()).device)
        with evaluating(self):
            return self(batch).float().cpu().numpy()

    def feature_blocks(self, scene: Scene | np.ndarray, size: int = 1 << 16) -> Iterator[np.ndarray]:
        """What `features` gives, ``size`` rows at a time: of a large cloud the output is most of the memory.

        Values may differ from those of `features` by rounding.
        """
        batch = self.check(_as_batch(scene))
        self.require_points(batch.scene_ids[0], len(batch.points))
        batch = batch.to(next(self.parameters()).device)
        with evaluating(self):
            decoded = self.decoder_features(batch)
        for rows in decoded.split(size):
            with evaluating(self):
                block = self.head(rows).float().cpu().numpy()
            yield block

    def check(self, batch: Batch) -> Batch:
        """The batch itself, if its number of features fits; a `DataError` otherwise."""
        width = batch.features.shape[1]
        if width != self.in_channels:
            raise DataError(
                f"the student was built for {self.in_channels} features per point, but the points have {width}; "
                f"give points as an array (N, {3 + self.in_channels})"
            )
        return batch

    def require_points(self, name: str, count: int) -> None:
        """A `DataError` if the cloud ``name`` of ``count`` points has too few."""
        if count < self.fewest_points:
            raise DataError(f"the cloud '{name}' has {count} points, and the student needs {self.fewest_points}")


def _as_batch(scene: Scene | np.ndarray) -> Batch:
    if not isinstance(scene, np.ndarray):
        return Batch.from_scenes([scene])
    if scene.ndim != 2 or scene.shape[1] < 3:
        raise DataError(f"points must be an array (N, 3) or (N, 3 + F), not of shape {scene.shape}")
    values = torch.from_numpy(np.array(scene, dtype=np.float32))
    return Batch(values[:, :3].contiguous(), values[:, 3:].contiguous(), torch.tensor([0, len(values)]), ["points"])
