from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pointlift.commands.check import check
from pointlift.datasets.street import SPLITS, Street, _town_seed
from pointlift.errors import DataError, RecipeError
from pointlift.registry import DATASETS
from pointlift.worlds.street import frames
from pointlift.worlds.street.classes import CLASSES
from pointlift.worlds.street.town import FRAMES, STYLES

SMALL = {"cameras": ("front", "left"), "image_size": (32, 64), "workers": 0}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that tests add to and do not damage."""
    return tmp_path_factory.mktemp("streets")


def opened(root: Path, **options) -> Street:
    return Street(root=root, **{"sequences": 2, "frames": 2, **SMALL, **options})


# ---- what there is


def test_ids_are_towns_and_moments_and_splits_have_their_sizes(root):
    assert opened(root).ids == ["suburb-0000/0000", "suburb-0000/0008", "centre-0001/0000", "centre-0001/0008"]
    assert opened(root, town="coast", frames=1).ids == ["coast-0000/0000", "coast-0001/0000"]
    sizes = {split: len(Street(root=root, split=split)) for split in SPLITS}
    assert sizes == {"train": 320, "val": 24, "test": 24, "teacher": 240}
    assert len(Street(root=root, frames=FRAMES, sequences=1)) == FRAMES
    assert len(set(Street(root=root).ids)) == 320


def test_no_town_of_a_split_or_seed_is_that_of_another():
    seeds = [
        _town_seed(seed, split, style, number)
        for seed in (0, 1, 99_999)
        for split in SPLITS
        for style in STYLES
        for number in (0, 1, 59, 9_999)
    ]
    assert len(set(seeds)) == len(seeds)
    assert max(seeds) < 2**63


def test_prompts_and_colours_belong_to_the_classes():
    assert Street.class_names == tuple(name for name, _ in CLASSES)
    assert len(Street.class_colors) == len(CLASSES)
    assert tuple(Street.prompts) == Street.class_names
    names = [name for prompts in Street.prompts.values() for name in prompts]
    assert len(set(names)) == len(names)


def test_the_registry_builds_it_and_checks_its_options(root):
    data = DATASETS.build("street", root=str(root), split="val", image_size=[32, 64], cameras=["rear"], beams=64)
    assert (data.cameras, data.image_size, data.beams, len(data)) == (("rear",), (32, 64), 64, 24)
    assert DATASETS.build("street").root == Path.home() / ".cache" / "pointlift" / "street"
    for wrong in (
        {"split": "all"},
        {"town": "village"},
        {"beams": 16},
        {"frames": FRAMES + 1},
        {"sequences": 0},
        {"cameras": ["up"]},
        {"image_size": [8, 8]},
        {"seed": -1},
        {"workers": -1},
        {"steps": 3},
    ):
        with pytest.raises(RecipeError):
            DATASETS.build("street", root=str(root), **wrong)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"split": "trian"}, "split must be one of train, val, test, teacher, not 'trian'; did you mean 'train'"),
        ({"town": "suburbs"}, "did you mean 'suburb'"),
        ({"beams": 16}, "beams must be one of 32, 64, not '16'"),
        ({"cameras": ()}, "cameras must name at least one"),
        ({"cameras": ("front", "front")}, "each once"),
        ({"cameras": ("top",)}, "cameras must be one of front, left, right, rear"),
        ({"frames": 99}, f"frames must be from 1 to {FRAMES}, not 99"),
        ({"sequences": 0}, "sequences must be from 1 to"),
        ({"image_size": (4, 64)}, "image_size must be from 16"),
        ({"seed": -1}, "seed must be from 0"),
    ],
)
def test_bad_options_are_one_sentence(root, wrong, message):
    with pytest.raises(DataError, match=message):
        opened(root, **wrong)


# ---- what is in it


def test_a_scene_is_made_when_asked_for(root):
    data = opened(root)
    scene = data[1].validate()
    assert scene.id == "suburb-0000/0008"
    assert len(scene) > 15_000
    assert scene.dropped > 0
    assert len(np.unique(scene.labels)) >= 5
    assert scene.labels.min() >= 0
    assert [view.name for view in scene.views] == ["front", "left"]
    assert scene.views[0].depth.exists()
    assert data[-1].id == data.ids[-1]
    with pytest.raises(IndexError):
        data[4]


def test_label_images_and_views_need_no_points(root):
    data = opened(root)
    labels = data.label_image(0, "left")
    assert labels.shape == (32, 64)
    assert labels.dtype == np.int64
    assert labels.min() >= -1
    assert labels.max() < len(CLASSES)
    np.testing.assert_array_equal(labels, frames.label_image(data.views(0)[1]))
    with pytest.raises(DataError, match="view must be one of front, left, not 'rear'"):
        data.label_image(0, "rear")


def test_poses_bring_the_scans_of_a_sequence_together(root):
    """Buildings do not move: those of one scan lie near those of the next once both are in the town's frame."""
    data = opened(root, sequences=1, frames=8)
    clouds = []
    for index in (0, 1):
        scene, pose = data[index], data.pose(index)
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
        static = scene.points[scene.labels == data.class_names.index("building")].astype(np.float64)
        clouds.append(static @ pose[:3, :3].T + pose[:3, 3])
    assert np.linalg.norm(data.pose(1)[:3, 3] - data.pose(0)[:3, 3]) > 2
    nearest = [np.linalg.norm(clouds[0] - point, axis=1).min() for point in clouds[1][::25]]
    assert np.median(nearest) < 0.5


def test_the_same_frame_is_shared_by_options_that_do_not_change_it(root):
    paths = {data.views(0)[0].path for data in (opened(root), opened(root, frames=4), opened(root, town="suburb"))}
    assert len(paths) == 1
    assert opened(root, seed=1).views(0)[0].path not in paths


def test_it_passes_check(root, tmp_path):
    report = check(opened(root), limit=2, out=tmp_path / "pictures", pictures=1)
    assert report["warnings"] == []
    assert report["scenes_with_pose"] == 2
    assert 0.2 < report["seen_by_cameras"]["any"] < 0.9
    assert len(report["pictures"]) == 5
