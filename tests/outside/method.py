"""A method of somebody's own: point-pixel distillation from the nearest points only."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from pointlift.data.scene import Scene
from pointlift.methods.point_pixel import PointPixel, Sample
from pointlift.registry import METHODS


@METHODS.register("nearest_points")
class NearestPoints(PointPixel):
    """Point-pixel distillation of the points within a radius."""

    def __init__(self, *parts: object, radius: Annotated[float, Field(gt=0)] = 8.0, pairs_per_scene: int = 64) -> None:
        super().__init__(*parts, pairs_per_scene=pairs_per_scene)
        self.radius = radius

    def sample(self, scene: Scene, rng: np.random.Generator) -> Sample:
        """One scene's share of a step."""
        return super().sample(scene.cut(np.linalg.norm(scene.points, axis=1) < self.radius), rng)
