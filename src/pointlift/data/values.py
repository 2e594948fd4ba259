"""Rules about the values of a scene, ranges and metres, which every scene of a data set and every scan passes.

What cannot be right is refused (`check_values`), and what may be right but looks wrong is said (`doubts`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pointlift.errors import DataError

if TYPE_CHECKING:
    from pointlift.data.scene import Scene

UNIT_FEATURES = ("intensity", "red", "green", "blue")
"""Features that lie in [0, 1]."""
FARTHEST = 1e5
"""Metres; float32 still resolves a centimetre there, and no sensor sees as far."""
WIDEST = 1e3
"""Metres of the typical distance of a point from the middle of its scan; no sensor's scan is as wide."""
_ROUNDING = 1e-4
_ENOUGH = 2000  # points of which nearly none has a neighbour within a metre or so are not a scan in metres
_ALONE = 0.9


def check_values(scene: Scene, feature_names: Sequence[str]) -> Scene:
    """The scene, or a `DataError` that names its file, the feature, and what would be right.

    Features of `UNIT_FEATURES` lie in [0, 1]. Points are metres in the sensor's frame; those of
    objects (``object_class``) may have any unit, and students scale them.
    """
    if scene.object_class is None and len(scene):
        _check_metres(scene)
    if scene.features.shape[1] == len(feature_names):  # where they do not agree, `Scene` and `check` say so
        for column, name in enumerate(feature_names):
            if name in UNIT_FEATURES:
                _check_unit(scene, name, scene.features[:, column])
    return scene


def doubts(scene: Scene, feature_names: Sequence[str]) -> list[str]:
    """Sentences about what is allowed but looks wrong."""
    said = []
    if scene.object_class is None and _scattered(scene.points):
        said.append(
            "nearly every point is more than a metre away from all others: are the points metres, and not millimetres "
            "or centimetres?"
        )
    if scene.features.shape[1] != len(feature_names):
        return said
    for name, values in zip(feature_names, scene.features.T, strict=True):
        if not len(values):
            continue
        low, high = values.min(), values.max()
        if name in UNIT_FEATURES and 0 < high <= 1.5 / 255 and len(values) >= _ENOUGH:
            said.append(f"the feature '{name}' is below {high:.2g} everywhere: was it divided by 255 twice?")
        elif low == high:
            said.append(f"the feature '{name}' has the same value everywhere")
    return said


def first_doubts(scenes: Sequence[Scene], feature_names: Sequence[str], count: int = 3) -> list[str]:
    """The `doubts` about some scenes, spread evenly, each with the number of scenes that it is about."""
    number = min(count, len(scenes))
    found: Counter[str] = Counter()
    for place in range(number):
        found.update(doubts(scenes[place * len(scenes) // number], feature_names))
    return [f"{said} ({scene_count} of the {number} scenes looked at)" for said, scene_count in found.items()]


def _check_metres(scene: Scene) -> None:
    where = scene.files.get("points", f"scene {scene.id}")
    farthest = float(np.abs(scene.points).max())
    if farthest > FARTHEST:
        raise DataError(
            f"{where}: a coordinate is {farthest:,.0f} m; points must be metres in the sensor's frame, so subtract the "
            "sensor's position from map coordinates, and divide millimetres by 1000"
        )
    middle = np.median(scene.points, axis=0)
    width = float(np.median(np.abs(scene.points - middle).max(axis=1)))
    if width > WIDEST:
        raise DataError(
            f"{where}: half of the points are more than {width:,.0f} m away from the middle of the scan; points must "
            "be metres in the sensor's frame, so divide millimetres by 1000"
        )


def _check_unit(scene: Scene, name: str, values: np.ndarray) -> None:
    wrong = np.flatnonzero((values < -_ROUNDING) | (values > 1 + _ROUNDING))
    if not len(wrong):
        return
    where = scene.files.get("features", f"scene {scene.id}")
    remedy = "divide it by 255 if it has 8 bits"
    if name == "intensity":
        remedy = "give what stands for 1, such as intensity_scale=255 if it has 8 bits"
    raise DataError(
        f"{where}: {name} must lie in [0, 1], but goes from {values.min():g} to {values.max():g} (first in row "
        f"{wrong[0]}); {remedy}"
    )


def _scattered(points: np.ndarray) -> bool:
    """Whether most points are alone in their cube of 1 m, of so many that those of a sensor would not be."""
    if len(points) < _ENOUGH:
        return False
    cubes = np.floor(points).astype(np.int64)
    _, counts = np.unique(cubes, axis=0, return_counts=True)
    return int((counts == 1).sum()) > _ALONE * len(points)
