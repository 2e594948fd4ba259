"""Methods that predict the token set of an image from the points of its scene: what may be asked of them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pointlift.data.scene import Scene
from pointlift.teachers.tokens import TokenSets
from pointlift.train.method import Method


class TokenMethod(Method):
    """A method that with some options trains token sets, see `Method.trains`; then they may be retrieved by it.

    Attributes:
        token_sets: the teacher's token sets, the targets.
    """

    @property
    def token_sets(self) -> TokenSets:
        """The teacher's token sets behind its cache."""
        raise NotImplementedError  # pragma: no cover - every such method defines it

    @property
    def token_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation (T, D) float32 of the token sets of the training images, on the CPU."""
        raise NotImplementedError  # pragma: no cover - every such method defines it

    def take_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Predict in units of these statistics."""
        raise NotImplementedError  # pragma: no cover - every such method defines it

    def predict(self, scenes: Sequence[Scene]) -> Tensor:
        """The token sets (B, T, D) that are expected of scenes, in the teacher's units, on the CPU."""
        raise NotImplementedError  # pragma: no cover - every such method defines it
