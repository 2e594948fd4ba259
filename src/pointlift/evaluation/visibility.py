"""Which points the cameras see, and what the teacher says about them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pointlift.data.scene import Pairs, Scene
from pointlift.evaluation.base import PixelFeatures
from pointlift.finite import require_finite


class Visibility(NamedTuple):
    """When a point counts as seen.

    ``min_depth``: metres in front of the camera. ``occlusion``: tolerance of the test of `Scene.pairs`; None: no test.
    """

    min_depth: float = 1.0
    occlusion: float | None = None

    def pairs(self, scene: Scene) -> Pairs:
        """Every point that a view sees, with its pixel."""
        return scene.pairs(min_depth=self.min_depth, occlusion=self.occlusion)

    def in_words(self) -> str:
        """The rule in words, for a protocol block."""
        test = "no occlusion test" if self.occlusion is None else f"occlusion test with tolerance {self.occlusion:g}"
        return (
            f"a point is seen by a view at depth > {self.min_depth:g} m, 1 pixel or more inside the image, {test}; the "
            "teacher's feature of a point is the mean of its unit features over the views that see it and in which it "
            "says something of the point (its feature is not zero); where it says nothing in any, its class is a miss"
        )


def visible_features(scene: Scene, pairs: Pairs, pixel_features: PixelFeatures) -> tuple[np.ndarray, Tensor]:
    """Points (V,) int64 that a view sees, ascending, and the mean of their unit teacher features over views (V, D).

    Views in which the teacher says nothing, whose features are zeros, do not count; with no other view the mean is 0.
    """
    seen, row = np.unique(pairs.point_index, return_inverse=True)
    unit = F.normalize(require_finite(pixel_features(scene, pairs).float(), "the teacher's features", scene.id), dim=1)
    rows = torch.from_numpy(row.reshape(-1))
    sums = torch.zeros(len(seen), unit.shape[1]).index_add_(0, rows, unit)
    views = torch.bincount(rows[unit.any(dim=1)], minlength=len(seen))
    return seen, sums / views.clamp(min=1)[:, None]
