"""Clouds of objects: onto the unit sphere, fewer points, scaling and shifting."""

from __future__ import annotations

import numpy as np

from pointlift.data.scene import Scene
from pointlift.errors import DataError


def to_unit_sphere(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Points moved by their mean and divided by their largest distance from it.

    Args:
        points: (N, 3), at least one.

    Returns:
        The points (N, 3) float32 in the unit sphere, their centre (3,) float64 and the radius, so that
        ``points = result * radius + centre``; a cloud of coinciding points has radius 1.
    """
    _require(points, 1, "normalising")
    values = points.astype(np.float64)
    centre = values.mean(axis=0)
    values = values - centre
    radius = float(np.sqrt((values**2).sum(axis=1).max()))
    radius = radius if radius > 0 else 1.0
    return (values / radius).astype(np.float32), centre, radius


def onto_unit_sphere(scene: Scene) -> Scene:
    """The scene with its points as `to_unit_sphere` moves them, and all else with them (`Scene.moved`)."""
    points, centre, radius = to_unit_sphere(scene.points)
    return scene.moved(np.eye(3) / radius, -centre / radius, points=points)


def random_rows(count: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """``n`` of ``count`` rows (n,) int64 in random order.

    Without repetition while there are enough; otherwise every row once and the missing ones drawn again.
    """
    if count < 1:
        raise DataError(f"{n} points were asked for of a cloud that has none")
    if count >= n:
        return rng.choice(count, n, replace=False)
    return rng.permutation(np.concatenate([np.arange(count), rng.choice(count, n - count)]))


def farthest_rows(points: np.ndarray, n: int, start: int = 0) -> np.ndarray:
    """Rows (n,) int64 of points each the farthest from those before it, the lowest row among equals.

    As `pointlift.students.points.farthest_points`: float32 distances, and no row twice.

    Args:
        points: (N, 3).
        n: how many, at most N.
        start: the first of them.

    Raises:
        DataError: fewer points than that.
    """
    _require(points, n, "farthest-point sampling")
    axes = np.ascontiguousarray(points.T, np.float32)
    nearest = np.full(len(points), np.inf, np.float32)  # squared distance to the nearest point taken; those taken: -1
    rows = np.empty(n, np.int64)
    current = start
    for index in range(n):
        rows[index] = current
        distance = axes - axes[:, current, None]
        distance *= distance
        np.minimum(nearest, (distance[0] + distance[1]) + distance[2], out=nearest)
        nearest[rows[: index + 1]] = -1.0
        current = int(nearest.argmax())
    return rows


def scale_and_translate(
    scene: Scene,
    rng: np.random.Generator,
    scale: tuple[float, float] = (2 / 3, 3 / 2),
    shift: float = 0.2,
) -> Scene:
    """The scene with each axis times its own factor from ``scale``, plus its own shift within ± ``shift``.

    All else follows as `Scene.moved` says: normals stay normals, and boxes are those around the stretched ones. The
    defaults are Point-MAE's (Pang et al. 2022), for clouds in the unit sphere.
    """
    factors = rng.uniform(*scale, size=3)
    offsets = rng.uniform(-shift, shift, size=3)
    moved = (scene.points * factors + offsets).astype(np.float32)
    return scene.moved(np.diag(factors), offsets, points=moved)


def _require(points: np.ndarray, count: int, what: str) -> None:
    if points.ndim != 2 or points.shape[1] != 3:
        raise DataError(f"{what} needs points (N, 3), not an array of shape {points.shape}")
    if len(points) < count:
        raise DataError(f"{what} needs at least {count} points, and the cloud has {len(points)}")
