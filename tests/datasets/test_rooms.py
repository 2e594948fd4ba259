from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pointlift.commands.check import check
from pointlift.data import camera
from pointlift.datasets.rooms import SPLITS, Rooms, _room_seed
from pointlift.errors import DataError, RecipeError
from pointlift.registry import DATASETS
from pointlift.worlds.rooms import frames
from pointlift.worlds.rooms.path import MOMENTS
from pointlift.worlds.rooms.world import KINDS

SMALL = {"image_size": (48, 64), "points": 4_000, "workers": 0}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that tests add to and do not damage."""
    return tmp_path_factory.mktemp("rooms")


def opened(root: Path, **options) -> Rooms:
    return Rooms(root=root, **{"rooms": 2, "frames": 2, **SMALL, **options})


# ---- what there is


def test_ids_are_rooms_and_moments_and_splits_have_their_sizes(root):
    assert opened(root).ids == ["living-0000/0000", "living-0000/0008", "bedroom-0001/0000", "bedroom-0001/0008"]
    assert opened(root, kind="scenes", room="office").ids == ["office-0000", "office-0001"]
    assert {split: len(Rooms(root=root, split=split)) for split in SPLITS} == {"train": 480, "val": 48, "test": 48}
    assert len(Rooms(root=root, split="val", kind="scenes")) == 12
    assert len(Rooms(root=root, frames=MOMENTS, rooms=1)) == MOMENTS
    assert len(set(Rooms(root=root).ids)) == 480


def test_no_room_of_a_split_or_seed_is_that_of_another():
    seeds = [
        _room_seed(seed, split, kind, number)
        for seed in (0, 1, 99_999)
        for split in SPLITS
        for kind in KINDS
        for number in (0, 1, 59, 9_999)
    ]
    assert len(set(seeds)) == len(seeds)


def test_names_and_prompts(root):
    assert len(Rooms.class_names) == len(Rooms.class_colors) == 20
    assert Rooms.box_names == Rooms.class_names[2:]
    assert Rooms.feature_names == ("red", "green", "blue")
    assert tuple(Rooms.prompts) == Rooms.class_names
    names = [name for prompts in Rooms.prompts.values() for name in prompts]
    assert len(set(names)) == len(names)


def test_the_registry_builds_it_and_checks_its_options(root):
    data = DATASETS.build("rooms", root=str(root), split="val", image_size=[48, 64], kind="scenes", points=500)
    assert (data.kind, data.image_size, data.points, len(data)) == ("scenes", (48, 64), 500, 12)
    assert DATASETS.build("rooms").root == Path.home() / ".cache" / "pointlift" / "rooms"
    for wrong in (
        {"split": "all"},
        {"kind": "objects"},
        {"room": "attic"},
        {"frames": MOMENTS + 1},
        {"rooms": 0},
        {"points": 3},
        {"image_size": [8, 8]},
        {"seed": -1},
        {"workers": -1},
        {"steps": 3},
    ):
        with pytest.raises(RecipeError):
            DATASETS.build("rooms", root=str(root), **wrong)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"split": "trian"}, "split must be one of train, val, test, not 'trian'; did you mean 'train'"),
        ({"kind": "scene"}, "did you mean 'scenes'"),
        ({"room": "kitchens"}, "did you mean 'kitchen'"),
        ({"frames": 99}, f"frames must be from 1 to {MOMENTS}, not 99"),
        ({"rooms": 0}, "rooms must be from 1 to"),
        ({"points": 1}, "points must be from 100"),
        ({"image_size": (4, 64)}, "image_size must be from 16"),
        ({"seed": -1}, "seed must be from 0"),
    ],
)
def test_bad_options_are_one_sentence(root, wrong, message):
    with pytest.raises(DataError, match=message):
        opened(root, **wrong)


# ---- what is in it


def test_a_frame_is_made_when_asked_for(root):
    data = opened(root)
    scene = data[1].validate()
    assert scene.id == "living-0000/0008"
    assert 0.5 * 48 * 64 < len(scene) <= 48 * 64
    assert scene.up_axis == "-y"
    assert scene.boxes is None
    assert (scene.points[:, 2] > 0.3).all()
    assert len(np.unique(scene.labels)) >= 3
    np.testing.assert_array_equal(scene.views[0].camera_from_points, np.eye(4))
    assert len(scene.pairs(min_depth=0.1).point_index) > 0.9 * len(scene)
    assert data[-1].id == data.ids[-1]
    for wrong in (4, -5):
        with pytest.raises(IndexError):
            data[wrong]


def test_a_whole_room_has_boxes_and_its_frames_as_views(root):
    data = opened(root, kind="scenes")
    scene = data[0].validate()
    assert (scene.id, len(scene), scene.up_axis) == ("living-0000", 4_000, "z")
    assert [view.name for view in scene.views] == ["0000", "0008"]
    assert len(scene.boxes) == len(scene.box_labels) >= 5
    low, high = scene.points.min(axis=0) - 0.05, scene.points.max(axis=0) + 0.05
    assert ((scene.boxes[:, :3] > low) & (scene.boxes[:, :3] < high)).all()
    for box, label in zip(scene.boxes, scene.box_labels, strict=True):
        away = scene.points[scene.labels == label + 2] - box[:3]
        cos, sin = np.cos(box[6]), np.sin(box[6])
        x, y = cos * away[:, 0] + sin * away[:, 1], cos * away[:, 1] - sin * away[:, 0]
        inside = (np.abs(np.stack([x, y, away[:, 2]], axis=1)) < box[3:6] / 2 + 0.02).all(axis=1)
        assert inside.sum() >= frames.FEWEST
    assert len(np.unique(scene.instances)) > len(scene.boxes)
    with pytest.raises(IndexError):
        data[2]


def test_labels_of_visible_points_are_those_of_the_images(root):
    """At the images' own resolution: coarser pixels are wider than the legs of chairs."""
    data = opened(root, split="val", kind="scenes", image_size=(192, 256), points=10_000, rooms=4)
    agreement = [frames.label_agreement(data[index]) for index in range(4)]
    assert np.mean(agreement) > 0.99
    assert 0.05 < len(np.unique(frames.visible_points(data[1]).point_index)) / 10_000 < 0.9


def test_frames_and_clouds_of_a_room_lie_on_each_other(root):
    single, whole = opened(root), opened(root, kind="scenes")
    cloud = whole[0].points.astype(np.float64)
    moved = camera.transform(single.pose(0), single[0].points[::97])
    nearest = [np.linalg.norm(cloud - point, axis=1).min() for point in moved]
    assert np.median(nearest) < 0.1
    np.testing.assert_array_equal(whole.pose(0), np.eye(4))
    pose = single.pose(0)
    np.testing.assert_allclose(whole.views(0)[0].camera_from_points @ pose, np.eye(4), atol=1e-9)


def test_label_images_and_views_need_no_points(root):
    data, whole = opened(root), opened(root, kind="scenes")
    np.testing.assert_array_equal(data.label_image(0), frames.label_image(data.views(0)[0]))
    np.testing.assert_array_equal(data.label_image(0), whole.label_image(0, "0000"))
    with pytest.raises(DataError, match="view must be one of 0000, 0008, not 'color'"):
        whole.label_image(0, "color")


def test_the_same_frame_is_shared_by_options_that_do_not_change_it(root):
    sets = opened(root), opened(root, frames=4), opened(root, room="living"), opened(root, kind="scenes", points=200)
    assert len({data.views(0)[0].path for data in sets}) == 1
    assert opened(root, seed=1).views(0)[0].path != sets[0].views(0)[0].path


def test_prepare_makes_the_clouds_of_whole_rooms_too(tmp_path):
    data = opened(tmp_path, kind="scenes", room="bathroom", rooms=1, points=300)
    data.views(0)
    assert data.prepare()["made"] == 1


def test_it_passes_check(root, tmp_path):
    for kind in ("frames", "scenes"):
        report = check(opened(root, kind=kind), limit=2, out=tmp_path / kind, pictures=1)
        assert report["scenes_with_pose"] == 2
        assert report["pictures"]
        assert report["seen_by_cameras"]["any"] > 0.2
