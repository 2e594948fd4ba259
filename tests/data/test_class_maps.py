from pathlib import Path

import numpy as np
import pytest

from pointlift.data.class_maps import (
    NOTHING,
    UNKNOWN,
    class_list,
    identity,
    load_class_list,
    load_class_map,
    plain,
    shipped,
)
from pointlift.datasets.nuscenes.dataset import NuScenes
from pointlift.datasets.semantickitti.dataset import SemanticKITTI
from pointlift.errors import RecipeError

CITYSCAPES = (
    *("road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation"),
    *("terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"),
)
MAP = """
source: {classes: {0: road, 7: [sign, board]}, ignored: [9]}
target: {classes: [ground, board]}
map: {road: ground, board: null}
"""


def write(folder: Path, text: str, name: str = "own.yaml") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_the_shipped_lists_are_those_of_their_data_sets() -> None:
    assert load_class_list("cityscapes19").names == CITYSCAPES
    assert load_class_list("cityscapes19").ids == tuple(range(19))
    assert load_class_list("semantickitti").names == SemanticKITTI.class_names
    assert load_class_list("nuscenes").names == NuScenes.class_names


@pytest.mark.parametrize("data", [NuScenes, SemanticKITTI])
def test_the_prompts_of_a_data_set_are_names_of_its_classes(data: type) -> None:
    classes = load_class_list(data.name)
    for name, prompts in getattr(data, "prompts", {}).items():
        assert {classes.names[classes.index(prompt)] for prompt in prompts} == {name}


@pytest.mark.parametrize(
    ("name", "never"),
    [
        ("cityscapes-to-semantickitti", {"motorcyclist", "parking", "other-ground", "trunk"}),
        ("cityscapes-to-nuscenes", {"barrier", "construction_vehicle", "traffic_cone", "trailer", "other_flat"}),
    ],
)
def test_the_shipped_maps(name: str, never: set[str]) -> None:
    found = load_class_map(name)
    assert found.source.names == CITYSCAPES
    reached = {found.target.names[target] for target in found.targets if target is not None}
    assert set(found.target.names) - reached == never
    assert found.targets[CITYSCAPES.index("sky")] is None
    table = found.table()
    assert table[255] == table[CITYSCAPES.index("sky")] == NOTHING
    assert (table[19:255] == UNKNOWN).all()
    assert found.target.names[table[13]] == "car"
    assert found.matrix().shape == (19, len(found.target.names))
    assert found.matrix().sum() == sum(target is not None for target in found.targets)


def test_every_shipped_file_loads() -> None:
    for name in shipped():
        (load_class_map if "-to-" in name else load_class_list)(name)


def test_a_user_s_own_map(tmp_path: Path) -> None:
    found = load_class_map(write(tmp_path, MAP))
    assert found.targets == (0, None)
    table = found.table()
    assert [table[number] for number in (0, 7, 9, 255, 1)] == [0, NOTHING, NOTHING, UNKNOWN, UNKNOWN]
    assert np.array_equal(found.matrix(), [[1, 0], [0, 0]])


def test_lists_beside_the_map(tmp_path: Path) -> None:
    write(tmp_path, "classes: {3: A_b, 5: c}", "list.yaml")
    found = load_class_map(write(tmp_path, "source: list.yaml\ntarget: cityscapes19\nmap: {a-B: Road, c: car}"))
    assert (found.source.ids, found.targets) == ((3, 5), (0, 13))


def test_other_names_and_spellings() -> None:
    classes = load_class_list("nuscenes")
    for name in ("driveable_surface", "Driveable Surface", " driveable-surface", "road"):
        assert classes.names[classes.index(name)] == "driveable_surface"
    assert classes.index("sky") is None
    assert plain("Traffic-sign_ x") == "traffic sign x"


def test_a_network_s_classes_take_the_place_of_the_source() -> None:
    classes = class_list(("tree", "Traffic Sign", "sky"), "a network")
    found = load_class_map("cityscapes-to-semantickitti", classes)
    assert [None if t is None else found.target.names[t] for t in found.targets] == ["vegetation", "traffic-sign", None]
    assert identity(classes).targets == (0, 1, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            MAP.replace("{road: ground", "{rod: ground"),
            r"own.yaml: map: the source .*source has no class 'rod'; did you",
        ),
        (
            MAP.replace("road: ground", "road: grund"),
            r"own.yaml: map: 'road' goes to 'grund', which the target .* does not have; did",
        ),
        (MAP.replace(", board: null", ""), r"own.yaml: map: the class 'sign' of .* has no mapping; give one, or null"),
        (MAP.replace("board: null", "board: null, sign: null"), "the class 'sign' is mapped twice"),
        (MAP.replace("7:", "x:"), "own.yaml: source: the id 'x' is not a whole number"),
        (MAP.replace("ignored: [9]", "ignored: [7]"), "own.yaml: source: the id 7 is both that of .* and ignored"),
        (
            MAP.replace("[sign, board]", "[sign, Road]"),
            "own.yaml: source: 'Road' stands for two classes, 'road' and 'sign'",
        ),
        (MAP.replace("[sign, board]", "[]"), "own.yaml: source: the id 7 needs a name"),
        (MAP.replace("map:", "maps:"), "own.yaml is a class list; a class map has"),
        (MAP + "more: 1", "own.yaml: there is no key 'more'"),
        (MAP.replace("target: {classes: [ground, board]}", ""), "own.yaml: the key 'target' is missing"),
        (MAP.replace("target: {classes: [ground, board]}", "target: 3"), "own.yaml: target must be the name"),
        (MAP.replace("{road: ground, board: null}", "[road]"), "own.yaml: 'map' must give a class"),
        (
            MAP.replace("{classes: {0: road, 7: [sign, board]}, ignored: [9]}", "citiscapes19"),
            "did you mean 'cityscapes19'",
        ),
        ("a: [", "own.yaml is not valid YAML"),
        ("- a", "own.yaml should hold keys and values"),
    ],
)
def test_mistakes_in_a_map_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_class_map(write(tmp_path, text))


def test_a_list_without_a_mapping_is_named() -> None:
    with pytest.raises(RecipeError, match="the class 'lamp' of a network has no mapping"):
        load_class_map("cityscapes-to-nuscenes", class_list(("car", "lamp"), "a network"))


def test_what_is_not_there_or_of_the_other_kind(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no class map called 'cityscapes-to-kitti' .*did you mean 'cityscapes-to-"):
        load_class_map("cityscapes-to-kitti")
    with pytest.raises(RecipeError, match=r"the class list .*absent.yaml cannot be read: No such file"):
        load_class_list(str(tmp_path / "absent.yaml"))
    with pytest.raises(RecipeError, match="is a map between class lists"):
        load_class_list("cityscapes-to-nuscenes")
    with pytest.raises(RecipeError, match="is a class list; a class map has"):
        load_class_map("nuscenes")
    with pytest.raises(RecipeError, match="'classes' must give the name of each id"):
        load_class_list(write(tmp_path, "classes: {}"))
