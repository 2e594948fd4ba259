"""Patches: the nearest points of farthest-point centres, relative to them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pointlift.data.batch import Batch
from pointlift.errors import DataError
from pointlift.students.points.buckets import Buckets
from pointlift.students.points.neighbours import nearest_points
from pointlift.students.points.sampling import farthest_points


@dataclass
class Patches:
    """G patches of K points for each of B clouds; patches of a cloud overlap and need not cover it.

    Args:
        centres: (B, G, 3), in the coordinates of the batch.
        relative: (B, G, K, 3), the points of each patch relative to its centre, nearest first.
        features: (B, G, K, F), their features.
        rows: (B, G, K) int64, which rows of the batch they are.
    """

    centres: Tensor
    relative: Tensor
    features: Tensor
    rows: Tensor

    def take(self, chosen: Tensor) -> Patches:
        """The patches ``chosen (B, V)`` of each cloud, in that order."""
        cloud = torch.arange(len(chosen), device=chosen.device)[:, None]
        parts = (self.centres, self.relative, self.features, self.rows)
        return Patches(*(part[cloud, chosen] for part in parts))


def make_patches(batch: Batch, groups: int, size: int, *, generator: torch.Generator | None = None) -> Patches:
    """``groups`` patches of ``size`` points of every cloud: C = FPS(X), P = kNN(X, C), P_i ← P_i − c_i.

    With a ``generator`` the first centre is a random point; without, the first point (`farthest_points`).

    Raises:
        DataError: if a cloud has fewer points than patches, or than a patch has points.
    """
    clouds = Buckets.of(batch.offsets)
    for name, count in zip(batch.scene_ids, clouds.sizes, strict=True):
        require_points(name, count, groups, size)
    with torch.no_grad():
        centres = batch.points[farthest_points(batch.points, clouds, groups, generator=generator)]
        _, rows = nearest_points(batch.points, clouds, centres, size)
        relative = batch.points[rows] - centres[:, :, None]
        return Patches(centres, relative, batch.features[rows], rows)


def require_points(name: str, count: int, groups: int, size: int) -> None:
    """A `DataError` if the cloud ``name`` of ``count`` points has too few for so many patches of so many points."""
    if count < max(groups, size):
        raise DataError(
            f"the cloud '{name}' has {count} points, but {groups} patches of {size} points need at least "
            f"{max(groups, size)}; give more points, or fewer or smaller patches (groups, group_size)"
        )


def random_patches(
    clouds: int, groups: int, hidden_share: float, *, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """A random choice of patches to see and to hide, the same number for every cloud.

    Args:
        clouds: B.
        groups: G, patches of each cloud.
        hidden_share: ⌊hidden_share · G⌋ are hidden; at least one must stay visible.
        generator: on the CPU; without, torch's own.

    Returns:
        (B, V) visible and (B, G − V) hidden patch numbers, int64, ascending, on the CPU.
    """
    if not 0 <= hidden_share < 1:
        raise ValueError(f"hidden_share must be at least 0 and below 1, not {hidden_share}")
    order = torch.rand(clouds, groups, generator=generator).argsort(1)
    seen = groups - int(hidden_share * groups)
    return order[:, :seen].sort(1).values, order[:, seen:].sort(1).values
