"""The contract of `Dataset`, kept by every registered data set in every case of its miniature."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from multiprocessing import get_context
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
from pydantic import ConfigDict, TypeAdapter

from pointlift.data.dataset import Dataset, LabelKind, Subset
from pointlift.data.opening import open_by_name
from pointlift.data.scene import Scene, View
from pointlift.errors import DataError, PointliftError, RecipeError
from pointlift.registry import DATASETS
from tests.datasets.miniatures import MINIATURES, Options

every = pytest.mark.parametrize("name", DATASETS.names())
Cases = Callable[[str], list[tuple[Options, Dataset]]]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Where the miniature of a data set is."""
    made: dict[str, Path] = {}
    return lambda name: made.setdefault(name, tmp_path_factory.getbasetemp() / f"miniature-{name}")


@pytest.fixture(scope="module")
def cases(folder_of: Callable[[str], Path]) -> Cases:
    """The options of every case of a data set, and it, opened with them."""
    opened: dict[str, list[tuple[Options, Dataset]]] = {}

    def of(name: str) -> list[tuple[Options, Dataset]]:
        if name not in opened:
            assert name in MINIATURES, f"'{name}' has no miniature; add a function to {__package__}.miniatures"
            opened[name] = [(options, open_by_name(name, **options)) for options in MINIATURES[name](folder_of(name))]
        return opened[name]

    return of


def assert_equal(one: Any, other: Any) -> None:
    """Equal to the last bit, whatever it is."""
    if isinstance(one, (Scene, View)):
        for each in fields(one):
            assert_equal(getattr(one, each.name), getattr(other, each.name))
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert_equal(left, right)
    elif isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    else:
        assert one == other


def present(data: Dataset) -> set[LabelKind]:
    """The kinds of labels that scenes really have."""
    scenes = list(data)
    points = any(scene.labels is not None for scene in scenes)
    kinds: dict[LabelKind, bool] = {
        "points": points,
        "parts": points and bool(data.parts_of),
        "objects": any(scene.object_class is not None for scene in scenes),
        "boxes": any(scene.boxes is not None and scene.box_labels is not None for scene in scenes),
    }
    return {kind for kind, there in kinds.items() if there}


def together(options: Any, settings: Any) -> Any:
    """Options with the settings in their place, also within lists of options."""
    if isinstance(options, dict) and isinstance(settings, dict):
        return {key: together(options.get(key), settings.get(key, options.get(key))) for key in {**options, **settings}}
    if isinstance(options, list) and isinstance(settings, list) and len(options) == len(settings):
        return [together(*both) for both in zip(options, settings, strict=True)]
    return settings


def moved(value: Any, old: Path, new: Path) -> Any:
    """Options of which every path below one folder is below another."""
    if isinstance(value, dict):
        return {key: moved(one, old, new) for key, one in value.items()}
    if isinstance(value, list):
        return [moved(one, old, new) for one in value]
    return new / value.relative_to(old) if isinstance(value, Path) else value


@every
def test_every_attribute_has_the_declared_type(name: str, cases: Cases) -> None:
    hints = get_type_hints(Dataset)
    for options, data in cases(name):
        for key, hint in hints.items():
            adapter = TypeAdapter(hint, config=ConfigDict(strict=True))
            adapter.validate_python(getattr(data, key))
        assert data.name == options.get("part", name)


@every
def test_what_is_known_of_scenes_agrees_with_them(name: str, cases: Cases) -> None:
    for _, data in cases(name):
        scenes = [data[index].validate() for index in range(len(data))]
        assert [scene.id for scene in scenes] == list(data.ids)
        assert len(set(data.ids)) == len(data) > 0
        for index, scene in enumerate(scenes):
            assert_equal(data.views(index), scene.views)
            assert list(data.image_paths(index)) == [view.path for view in scene.views]
            pose = data.pose(index)
            if pose is not None:
                assert (pose.shape, pose.dtype) == ((4, 4), np.float64)
                np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-5)
                assert_equal(pose[3], np.array([0.0, 0, 0, 1]))


@every
def test_names_and_labels_are_those_of_the_scenes(name: str, cases: Cases) -> None:
    for _, data in cases(name):
        assert data.labels == present(data)
        assert data.class_colors is None or len(data.class_colors) == len(data.class_names)
        assert set(data.prompts) <= set(data.class_names)
        assert set(data.parts_of) <= set(data.object_names)
        for scene in data:
            assert scene.features.shape[1] == len(data.feature_names)
            assert scene.labels is None or scene.labels.max() < len(data.class_names)
            assert scene.box_labels is None or scene.box_labels.max(initial=-1) < len(data.box_names)
            assert scene.object_class is None or 0 <= scene.object_class < len(data.object_names)
            if "parts" in data.labels and scene.object_class is not None and scene.labels is not None:
                assert set(scene.labels) <= {-1, *data.parts_of[data.object_names[scene.object_class]]}


@every
def test_an_epoch_is_always_equally_many_scenes(name: str, cases: Cases) -> None:
    for _, data in cases(name):
        orders = [np.asarray(data.epoch(np.random.default_rng(seed))) for seed in (0, 1, 1)]
        assert len(orders[0]) == len(orders[1]) > 0
        assert_equal(orders[1], orders[2])
        assert all(order.min() >= 0 and order.max() < len(data) for order in orders)


@every
def test_beyond_the_last_scene_is_an_index_error(name: str, cases: Cases) -> None:
    for _, data in cases(name):
        for ask in (data.__getitem__, data.views, data.image_paths):
            with pytest.raises(IndexError):
                ask(len(data))


@every
def test_making_all_at_once_changes_nothing(name: str, cases: Cases) -> None:
    for _, data in cases(name):
        before = list(data)
        data.prepare()
        data.prepare(lambda what, done, total: None)
        assert_equal(list(data), before)


@every
def test_settings_are_the_options_but_for_places(
    name: str, cases: Cases, folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    for options, data in cases(name):
        assert not {"root", "workers"} & set(data.settings)
        assert str(folder_of(name)) not in json.dumps(data.settings)
        if "part" not in options:
            again = open_by_name(name, **together(options, data.settings))
            assert again.settings == data.settings
            assert again.ids == data.ids
    elsewhere = tmp_path / "elsewhere"
    assert all(len(data[0]) for _, data in cases(name))  # made, where a data set makes its scenes
    shutil.copytree(folder_of(name), elsewhere)
    for options, data in cases(name):
        there = open_by_name(name, **moved(options, folder_of(name), elsewhere))
        assert (there.ids, there.settings) == (data.ids, data.settings)
        assert all(path is None or path.is_relative_to(elsewhere) for path in there.image_paths(0))


@every
def test_a_subset_keeps_all_else(name: str, cases: Cases) -> None:
    for _, data in cases(name):
        indices = [len(data) - 1, 0, len(data) - 1]
        some = Subset(data, np.array(indices))
        for key in Dataset.__annotations__:
            assert getattr(some, key) == getattr(data, key), key
        assert (len(some), some.ids) == (3, [data.ids[index] for index in indices])
        for place, index in enumerate(indices):
            assert_equal(some[place], data[index])
            assert_equal(some.views(place), data.views(index))
            assert list(some.image_paths(place)) == list(data.image_paths(index))
            assert_equal(some.pose(place), data.pose(index))
        with pytest.raises(IndexError):
            _ = some[3]


@every
def test_a_wrong_option_is_one_sentence(name: str, cases: Cases, tmp_path: Path) -> None:
    options, _ = cases(name)[0]
    key = next(iter(options))
    with pytest.raises(RecipeError, match=f"data set '{name}': there is no key '{key}_'; did you mean '{key}'"):
        open_by_name(name, **{**options, f"{key}_": 1})
    wrong = [{**options, "split": "nowhere"}, moved(options, Path("/"), tmp_path / "gone")]
    makes = "workers" in DATASETS.options(name).model_fields  # what is not there
    for given in wrong[:1] if makes else wrong:
        with pytest.raises(PointliftError) as caught:
            open_by_name(name, **given)
        assert isinstance(caught.value, (DataError, RecipeError))
        assert "\n" not in str(caught.value)


def scenes_of(datasets: list[Dataset]) -> list[Scene]:
    """The first scene of each; runs in a process of its own."""
    return [data[0] for data in datasets]


def test_every_data_set_goes_to_a_spawned_worker(cases: Cases) -> None:
    datasets = [data for name in DATASETS.names() for _, data in cases(name)]
    for data in datasets:
        copy = pickle.loads(pickle.dumps(data))
        assert_equal(list(copy), list(data))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        there = pool.submit(scenes_of, datasets).result()
    assert_equal(there, [data[0] for data in datasets])


def test_every_miniature_is_of_a_data_set() -> None:
    assert sorted(MINIATURES) == DATASETS.names()
