from __future__ import annotations

import numpy as np
import pytest

from pointlift.data import Scene
from pointlift.data.dataset import Dataset, Scenes, Subset, as_dataset


def make_scene(number: int) -> Scene:
    return Scene(np.full((2, 3), number, np.float32), np.zeros((2, 0), np.float32), id=f"s{number}")


class Short(Dataset):
    """No more than whoever writes a data set must say."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Scene:  # type: ignore[override]
        if index >= 3:
            raise IndexError(index)
        return make_scene(index)


def test_what_nothing_is_said_of_has_a_default() -> None:
    data = Short()
    assert data.ids == ["s0", "s1", "s2"] == [scene.id for scene in data]
    assert (data.views(1), list(data.image_paths(1)), data.pose(1), data.prepare()) == ([], [], None, None)
    assert (data.name, data.class_names, data.labels, data.settings) == ("scenes", (), frozenset(), {})
    # runs begun with earlier versions go on with the order that they had
    assert np.array_equal(data.epoch(np.random.default_rng(4)), np.random.default_rng(4).permutation(3))


def test_scenes_in_memory() -> None:
    data = Scenes([make_scene(0), make_scene(1)], name="two", class_names=("a",))
    assert (data.name, data.class_names, data.ids) == ("two", ("a",), ["s0", "s1"])
    with pytest.raises(TypeError, match="a data set has no attribute 'classes'; it has: name, class_names"):
        Scenes([], classes=("a",))
    listed = [make_scene(0)]
    assert as_dataset(listed).ids == ["s0"]
    assert as_dataset(data) is data


def test_a_subset_has_an_order_of_its_own_and_lets_the_whole_make_its_scenes() -> None:
    whole = Scenes([make_scene(number) for number in range(5)], name="five", min_depth=0.1)
    made: list[bool] = []
    whole.prepare = lambda progress=None: made.append(True)  # type: ignore[method-assign]
    some = Subset(whole, [4, 1, 4])
    assert [scene.id for scene in some] == some.ids == ["s4", "s1", "s4"]
    assert (some.name, some.min_depth) == ("five", 0.1)
    assert sorted(some.epoch(np.random.default_rng(0))) == [0, 1, 2]
    some.prepare()
    assert made == [True]
    nested = Subset(some, [1])
    assert nested.ids == ["s1"]
