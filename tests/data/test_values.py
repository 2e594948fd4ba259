"""Rules about values: every scene of every data set passes them, and so does every scan."""

from __future__ import annotations

import numpy as np
import pytest

from pointlift.data.dataset import Scenes, Subset
from pointlift.data.scene import Scene
from pointlift.data.values import check_values, doubts, first_doubts
from pointlift.errors import DataError


def scan(points: int = 3000, seed: int = 0) -> Scene:
    """A plane and a wall in metres, with intensity."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(-20, 20, (points, 3))
    places[: points // 2, 2] = 0
    places[points // 2 :, 1] = 9
    return Scene(places.astype(np.float32), rng.random((points, 1)).astype(np.float32), id="a/7")


def test_what_is_right_passes_unchanged() -> None:
    scene = scan()
    assert check_values(scene, ("intensity",)) is scene
    assert doubts(scene, ("intensity",)) == []
    assert check_values(scene, ("elongation", "more")) is scene


@pytest.mark.parametrize("name", ["intensity", "red", "green", "blue"])
@pytest.mark.parametrize(("low", "high"), [(0, 255), (-1, 1), (0, 65535)])
def test_what_leaves_its_range_is_refused(name: str, low: float, high: float) -> None:
    scene = scan()
    scene.features = scene.features * np.float32(high - low) + np.float32(low)
    with pytest.raises(DataError, match=rf"scene a/7: {name} must lie in \[0, 1\], but goes from"):
        check_values(scene, (name,))
    check_values(scene, ("elongation",))


@pytest.mark.parametrize(
    ("factor", "offset", "said"),
    [
        (1000, 0, "half of the points are more than .* m away from the middle .* so divide millimetres by 1000"),
        (1000, 5000, "divide millimetres by 1000"),
        (1, 691_000, "subtract the sensor's position from map coordinates"),
    ],
)
def test_points_that_cannot_be_metres_are_refused(factor: float, offset: float, said: str) -> None:
    scene = scan()
    scene.points = (scene.points * factor + offset).astype(np.float32)
    with pytest.raises(DataError, match=said):
        check_values(scene, ("intensity",))
    scene.object_class = 3  # objects may have any unit
    check_values(scene, ("intensity",))
    assert doubts(scene, ("intensity",)) == []


def test_single_far_returns_are_no_other_unit() -> None:
    scene = scan()
    scene.points[:50] *= 2000
    check_values(scene, ("intensity",))


def test_what_may_be_wrong_is_said() -> None:
    scene = scan()
    scene.points *= 100  # centimetres
    assert "are the points metres, and not millimetres or centimetres" in doubts(scene, ("intensity",))[0]
    scene = scan()
    scene.features /= 255
    assert "was it divided by 255 twice" in doubts(scene, ("intensity",))[0]
    scene.features[:] = 0.5
    assert doubts(scene, ("intensity",)) == ["the feature 'intensity' has the same value everywhere"]


def test_doubts_are_counted_over_scenes_spread_evenly() -> None:
    scenes = [scan(seed=seed) for seed in range(9)]
    for scene in scenes[3:]:
        scene.features[:] = 1
    assert first_doubts(scenes, ("intensity",)) == [
        "the feature 'intensity' has the same value everywhere (2 of the 3 scenes looked at)"
    ]
    assert first_doubts([], ("intensity",)) == []


def test_every_data_set_is_held_to_them_whoever_wrote_it() -> None:
    scene = scan()
    data = Scenes([scene], feature_names=("intensity",))
    assert data[0] is scene
    assert Subset(data, [0])[0] is scene
    scene.features = scene.features * 255
    for one in (data, Subset(data, [0])):
        with pytest.raises(DataError, match="intensity must lie in"):
            one[0]
        with pytest.raises(DataError, match="intensity must lie in"):
            list(one)
