"""The contract between a method (what one training step is) and the loop that repeats it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from torch import nn

from pointlift.contract import asked_of_class, derives, has, takes
from pointlift.data.dataset import Dataset
from pointlift.data.scene import Scene
from pointlift.errors import PluginError
from pointlift.progress import Progress

if TYPE_CHECKING:
    from pointlift.registry import Part

Trained = Literal["points", "tokens"]


class Method(nn.Module):
    """One training step: which samples, which loss.

    One that recipes name is built with ``(student, pixel_features, loss, points, image, *, options)``: what is trained,
    the teacher behind its cache, the loss of pairs, and how points and images are augmented (None: not at all).
    ``trained`` holds all that is optimised and saved; anything else (a frozen teacher) stays out of checkpoints.
    ``learning_rate_factors`` maps prefixes of the names in ``trained`` to factors on the learning rate.
    """

    trained: nn.Module
    learning_rate_factors: dict[str, float]

    def __init__(self) -> None:
        super().__init__()
        self.learning_rate_factors = {}

    @classmethod
    def trains(cls, **options: Any) -> Trained | None:
        """What a method with these options trains beside the encoder.

        ``points``: the student's output at each point, in the space of the teacher's features; only then may the two be
        compared, otherwise the student is built without output layer. ``tokens``: token sets of images. None: neither.
        """
        return "points"

    @classmethod
    def sees(cls, **options: Any) -> tuple[float, float | None]:
        """When a method with these options takes a point for seen by a view.

        Metres in front of the camera from which on, and the tolerance of the occlusion test of `Scene.pairs`; None for
        no test.
        """
        return 1.0, None

    @classmethod
    def attends(cls, **options: Any) -> bool:
        """Whether a method with these options learns concepts that look at patches, which can be pictured."""
        return False

    def parameter_counts(self) -> dict[str, int]:
        """Numbers of parameters part by part, of a method that trains more than the student."""
        return {}

    def prepare(self, scenes: Dataset, progress: Progress | None = None) -> None:
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


def check_method(part: Part) -> None:
    """A `ValueError` unless what is registered is a method that can be built, and asked what its class is asked."""
    what, kind = f"the method '{part.name}'", part.factory
    derives(what, kind, Method, "sample", "collate", "forward")
    assert isinstance(kind, type)
    takes(what, kind, "student", "pixel_features", "loss", "points", "image")
    asked_of_class(what, kind, trains=(), sees=(), attends=())


def checked_method(method: Method, name: str) -> Method:
    """A method that was built, if it says what it trains; a `PluginError` otherwise."""
    has(f"the method '{name}'", method, trained=nn.Module, learning_rate_factors=dict)
    return method


def trained_by(part: Part, options: dict[str, Any]) -> Trained | None:
    """What a method with these options trains, see `Method.trains`; a `PluginError` if it says anything else."""
    kind: Any = part.factory
    found = kind.trains(**options)
    if found not in (*get_args(Trained), None):
        raise PluginError(
            f"the method '{part.name}' says that it trains {found!r}; it must be 'points', 'tokens' or None"
        )
    return found
