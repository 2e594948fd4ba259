from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from pointlift.commands.check import check
from pointlift.data.camera import back_project
from pointlift.datasets.shapes import SPLITS, Shapes, _object_seed
from pointlift.errors import DataError, RecipeError
from pointlift.registry import DATASETS
from pointlift.worlds.engine.shown import points_shown
from pointlift.worlds.shapes import catalogue, frames
from pointlift.worlds.shapes.catalogue import CATEGORIES, PARTS, PARTS_OF

SMALL = {"objects": 1, "points": 400, "views": 2, "image_size": (48, 64), "workers": 0}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that tests add to and do not damage."""
    return tmp_path_factory.mktemp("shapes")


def opened(root: Path, **options) -> Shapes:
    return Shapes(root=root, **{**SMALL, **options})


def distance_to_triangles(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Of each point (P, 3) to the nearest of triangles (F, 3, 3): to its plane if above it, else to its edges."""
    nearest = np.full(len(points), np.inf)
    for a, b, c in corners:
        normal = np.cross(b - a, c - a)
        area = np.linalg.norm(normal)
        if area == 0:
            continue
        normal /= area
        inside = np.ones(len(points), dtype=bool)
        for p, q in ((a, b), (b, c), (c, a)):
            inside &= np.einsum("ni,i->n", np.cross(q - p, points - p), normal) >= 0
            share = np.clip((points - p) @ (q - p) / max((q - p) @ (q - p), 1e-30), 0, 1)
            nearest = np.minimum(nearest, np.linalg.norm(points - p - share[:, None] * (q - p), axis=1))
        nearest = np.where(inside, np.minimum(nearest, np.abs((points - a) @ normal)), nearest)
    return nearest


# ---- what there is


def test_categories_parts_and_sizes(root):
    assert len(CATEGORIES) == 16
    assert len(PARTS) == 50
    assert [label for labels in PARTS_OF.values() for label in labels] == list(range(50))
    assert Shapes.class_names[PARTS_OF["mug"][1]] == "mug handle"
    assert len(set(Shapes.class_names)) == len(Shapes.class_colors) == 50
    assert {split: len(Shapes(root=root, split=split)) for split in SPLITS} == {"train": 640, "val": 160, "test": 320}
    data = opened(root, objects=2, categories=("mug", "bed"))
    assert data.ids == ["bed/0000", "bed/0001", "mug/0000", "mug/0001"]
    assert [data.object_names[scene.object_class] for scene in data] == ["bed", "bed", "mug", "mug"]
    assert len(pickle.dumps(Shapes(root=root))) < 1_000_000


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_is_built_of_its_parts_and_varies(category):
    seen, sizes = set(), []
    for seed in range(25):
        form, materials = catalogue.build(category, np.random.default_rng(seed))
        corners = form.vertices[np.unique(form.faces)]
        assert np.isfinite(form.vertices).all()
        assert np.sqrt((corners**2).sum(1).max()) == pytest.approx(1)
        np.testing.assert_allclose(corners.min(0) + corners.max(0), 0, atol=1e-9)
        assert set(form.part_of) <= set(PARTS_OF[category])
        assert form.material_of.max() < len(materials.words)
        seen |= set(form.part_of)
        sizes.append(np.ptp(corners, axis=0))
    assert seen == set(PARTS_OF[category])
    assert np.std(sizes, axis=0).max() > 0.03


def test_no_object_of_a_split_or_seed_is_that_of_another():
    seeds = [
        _object_seed(seed, split, category, number)
        for seed in (0, 1, 99_999)
        for split in SPLITS
        for category in CATEGORIES
        for number in (0, 1, 9_999)
    ]
    assert len(set(seeds)) == len(seeds)


# ---- what is in it


def test_a_cloud_with_parts_and_normals(root):
    data = opened(root, views=0, normals=True)
    for index, scene in enumerate(data):
        assert scene.id == data.ids[index]
        assert (scene.object_class, scene.up_axis, scene.views) == (index, "z", [])
        assert scene.normal_columns == (0, 1, 2)
        assert np.linalg.norm(scene.points, axis=1).max() <= 1 + 1e-5
        np.testing.assert_allclose(np.linalg.norm(scene.features, axis=1), 1, atol=1e-4)
        assert set(scene.labels) <= set(data.parts_of[CATEGORIES[index]])
        assert len(set(scene.labels)) >= 1
    first = data[0]
    np.testing.assert_array_equal(first.points, data[0].points)
    assert opened(root, views=0)[0].features.shape == (400, 0)
    np.testing.assert_array_equal(first.points, opened(root, categories=("aeroplane",))[0].points)  # with views or not
    assert len(opened(root, views=0, points=77)[3]) == 77


def test_what_the_views_show_is_the_object(root):
    """Pixels brought back by depth and calibration lie on the surface, within what 8 bits after the point allow."""
    data = opened(root, categories=("chair", "mug"))
    for index in range(len(data)):
        views = data.views(index)  # this makes the object
        mesh, _ = frames.read_mesh(data._specs[index])
        for view in views:
            depth = frames.depth_image(view)
            assert 0.05 < (depth > 0).mean() < 0.9
            points = back_project(depth, view.intrinsics)[depth > 0][::7]
            points = np.column_stack([points, np.ones(len(points))]) @ np.linalg.inv(view.camera_from_points).T
            assert distance_to_triangles(points[:, :3], mesh.vertices[mesh.faces]).max() < 0.5 / 256 * 1.3 + 1e-6


def test_points_project_onto_pixels_of_their_part(root):
    data = opened(root, image_size=(96, 96), categories=("table", "mug", "chair"))
    for scene in data:
        pairs = points_shown(scene, frames.depth_image, tolerance=0.02, min_depth=0.5)
        assert 0.2 < len(np.unique(pairs.point_index)) / len(scene) <= 1
        agree = []
        for number, view in enumerate(scene.views):
            ours = pairs.take(pairs.view_index == number)
            column, row = np.floor(ours.pixels.T + 0.5).astype(int)
            agree.append(frames.label_image(view)[row, column] == scene.labels[ours.point_index])
        assert np.concatenate(agree).mean() > 0.9  # the rest lies within the tolerance of another part
        assert len(scene.pairs().point_index) > 0.8 * 2 * len(scene)  # the default least depth loses nothing


def test_a_frame_is_what_one_view_shows(root):
    whole, data = (opened(root, categories=("chair", "mug"), kind=kind) for kind in ("objects", "frames"))
    assert data.ids == ["chair/0000/view0", "chair/0000/view1", "mug/0000/view0", "mug/0000/view1"]
    assert [data.object_names[scene.object_class] for scene in data] == ["chair", "chair", "mug", "mug"]
    assert data.feature_names == ("red", "green", "blue")
    scene, view = data[-1], whole.views(1)[1]
    assert (scene.id, scene.object_class, scene.up_axis) == ("mug/0000/view1", data.object_names.index("mug"), "-y")
    assert [one.path for one in scene.views] == [one.path for one in data.views(3)] == [view.path]
    rows, columns = np.nonzero(frames.depth_image(view))
    pixels, depth = scene.views[0].project(scene.points)
    np.testing.assert_allclose(pixels, np.column_stack([columns, rows]), atol=1e-3)
    np.testing.assert_allclose(depth, frames.depth_image(view)[rows, columns], atol=1e-6)
    np.testing.assert_allclose(scene.features, view.image[rows, columns] / 255, atol=1e-6)
    np.testing.assert_array_equal(scene.labels, data.label_image(3, "view1")[rows, columns])
    with pytest.raises(DataError, match="view must be one of view1, not 'view0'"):
        data.label_image(3, "view0")


@pytest.mark.parametrize("kind", ["objects", "frames"])
def test_without_background_images_are_white_beside_the_object(root, kind):
    options = {"categories": ("sofa",), "kind": kind}
    before, after = (opened(root, **options, background=shown)[0].views[0] for shown in (True, False))
    beside = frames.depth_image(before) == 0
    assert (before.image[beside] < 255).any()
    assert (after.image[beside] == 255).all()
    np.testing.assert_array_equal(after.image[~beside], before.image[~beside])
    np.testing.assert_array_equal(after.camera_from_points, before.camera_from_points)


def test_label_images_show_parts(root):
    data = opened(root, categories=("chair",))
    labels = data.label_image(0, "view1")
    assert labels.shape == (48, 64)
    assert set(np.unique(labels)) <= {-1, *PARTS_OF["chair"]}
    np.testing.assert_array_equal(labels >= 0, frames.depth_image(data.views(0)[1]) > 0)
    with pytest.raises(DataError, match="view must be one of view0, view1, not 'front'"):
        data.label_image(0, "front")


def test_a_random_yaw_turns_points_and_cameras_alike(root):
    straight, turned = (opened(root, categories=("sofa",), yaw=yaw)[0] for yaw in ("aligned", "random"))
    assert not np.allclose(straight.points, turned.points, atol=0.01)
    np.testing.assert_allclose(straight.points[:, 2], turned.points[:, 2], atol=1e-6)
    for one, other in zip(straight.views, turned.views, strict=True):
        assert one.path == other.path
        np.testing.assert_allclose(one.project(straight.points)[0], other.project(turned.points)[0], atol=1e-3)


def test_a_random_yaw_turns_normals_with_the_points(root):
    options = {"categories": ("sofa",), "views": 0, "normals": True}
    straight, turned = (opened(root, yaw=yaw, **options)[0] for yaw in ("aligned", "random"))
    turn = np.linalg.lstsq(straight.points.astype(float), turned.points.astype(float), rcond=None)[0]
    np.testing.assert_allclose(turned.features, straight.features @ turn, atol=1e-4)
    assert not np.allclose(turned.features, straight.features, atol=0.01)


# ---- the cache


def test_the_same_bytes_wherever_and_however_they_are_made(tmp_path):
    options = {"objects": 3, "categories": ("stool", "vase"), "image_size": (24, 24)}
    one, other = opened(tmp_path / "a", **options), opened(tmp_path / "b", **{**options, "workers": 2})
    calls: list[tuple] = []
    assert one.prepare(lambda *call: calls.append(call))["made"] == 6
    assert calls[-1] == ("objects", 6, 6)
    result = other.prepare()
    assert result["frames_per_second"] == pytest.approx(12 / result["seconds"])
    files = sorted(path.relative_to(one.root) for path in one.root.rglob("*") if path.is_file())
    assert len(files) == 6 * (2 + 3 * 2)
    for path in files:
        assert (one.root / path).read_bytes() == (other.root / path).read_bytes()
    assert opened(tmp_path / "a", **options, seed=1).views(0)[0].path not in {view.path for view in one.views(0)}


def test_it_passes_check(root, tmp_path):
    report = check(opened(root), limit=3, out=tmp_path / "pictures", pictures=1)
    assert report["scenes_read"] == 3
    assert report["warnings"] == []


# ---- bad input


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"split": "trian"}, "split must be one of train, val, test, not 'trian'; did you mean 'train'"),
        ({"categories": ("chairs",)}, "did you mean 'chair'"),
        ({"categories": ()}, "categories must name at least one"),
        ({"objects": 0}, "objects must be from 1 to"),
        ({"points": 0}, "points must be from 1 to"),
        ({"views": 65}, "views must be from 0 to 64"),
        ({"image_size": (8, 64)}, "image_size must be from 16"),
        ({"seed": -1}, "seed must be from 0"),
        ({"yaw": "some"}, "yaw must be one of aligned, random"),
        ({"kind": "frame"}, "kind must be one of objects, frames, not 'frame'; did you mean 'frames'"),
        ({"kind": "frames", "views": 0}, "needs normals=false and views of 1 or more"),
        ({"kind": "frames", "normals": True}, "needs normals=false and views of 1 or more"),
    ],
)
def test_bad_options_are_one_sentence(root, wrong, message):
    with pytest.raises(DataError, match=message):
        opened(root, **wrong)


def test_the_registry_builds_it_and_checks_its_options(root):
    data = DATASETS.build("shapes", root=str(root), split="val", image_size=[32, 32], categories=["mug"])
    assert (data.image_size, len(data)) == ((32, 32), 10)
    assert DATASETS.build("shapes").root == Path.home() / ".cache" / "pointlift" / "shapes"
    for wrong in ({"split": "all"}, {"points": 0}, {"steps": 3}, {"views": -1}):
        with pytest.raises(RecipeError):
            DATASETS.build("shapes", root=str(root), **wrong)
