"""Every transform of a scene against every field of it: a field that is added later must be given its row here."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pytest

from pointlift.data import Pairs, PointAugmentation, Scene, View, augment_points
from pointlift.data.boxes import box_axes, corners
from pointlift.data.clouds import onto_unit_sphere, scale_and_translate
from pointlift.data.crops import Crop, crop_scene
from pointlift.data.up import UP_AXES, UpAxis, heights, up_vector, upright_rotation
from pointlift.errors import DataError
from tests.conftest import turned

NAMES = ("intensity", "nz", "nx", "red", "ny")
STILL = {"rotate_z": 0, "flip_x": 0, "flip_y": 0, "drop_cuboid": 0, "min_pairs": 0}
NO_PAIRS = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2), np.float32))


def scene_of(up_axis: UpAxis, roll: float = 0.0) -> Scene:
    """Points, boxes and normals at random, before a camera that stands level, or leans to a side by ``roll``."""
    rng = np.random.default_rng(2)
    points = rng.uniform(-10, 10, (600, 3)).astype(np.float32)
    features = rng.normal(size=(600, 5)).astype(np.float32)
    features[3, [1, 2, 4]] = 0  # a vertex without triangles has no normal
    boxes = np.c_[points[:8], rng.uniform(0.5, 6, (8, 3)), rng.uniform(-4, 4, (8, 1))]
    lean = np.eye(4)
    lean[:2, :2] = [[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]]
    frame = np.eye(4)
    frame[:3, :3] = upright_rotation(up_axis)
    K = np.array([[40.0, 0.5, 49.0], [0, 42.0, 30.0], [0, 0, 1]])
    view = View("front", K, lean @ turned(25, (-9.0, 1.0, 0.5)) @ frame, np.zeros((60, 100, 3), np.uint8))
    return Scene(
        points,
        features,
        [view],
        labels=rng.integers(-1, 3, 600),
        id="random/0",
        instances=np.arange(600),
        boxes=boxes,
        box_labels=np.arange(8),
        object_class=3,
        up_axis=up_axis,
        normal_columns=(2, 4, 1),
        files={"points": Path("scan.bin")},
        dropped=5,
    ).validate()


def augmented(**options):
    def change(scene: Scene) -> Scene:
        return augment_points(scene, NO_PAIRS, PointAugmentation(**{**STILL, **options}), np.random.default_rng(6))[0]

    return change


def cropped(mirrored: bool):
    return lambda scene: crop_scene(scene, scene.views[0], Crop(20, 5, 90, 55, mirrored))


@dataclass
class Transform:
    """One transform, and what it does not keep."""

    change: object
    exact_boxes: bool = True  # or boxes that contain the moved ones
    cuts: bool = False  # whether a region of points goes, with the boxes in which none is left
    keeps_views: bool = True
    roll: float = 0.0


TRANSFORMS = {
    "nothing": Transform(augmented()),
    "upright": Transform(Scene.upright),
    "rotation": Transform(augmented(rotate_z=180)),
    "flip_x": Transform(augmented(flip_x=1)),
    "flip_y": Transform(augmented(flip_y=1)),
    "scale": Transform(augmented(scale=(1.3, 1.5))),
    "all_at_once": Transform(augmented(rotate_z=90, flip_x=1, scale=(0.5, 0.7))),
    "cuboid": Transform(augmented(drop_cuboid=1, cuboid_fraction=1.0, rotate_z=180), cuts=True),
    "select": Transform(lambda scene: scene.select(np.arange(600) % 3 == 0)),
    "select_rows": Transform(lambda scene: scene.select(np.array([5, 9, 9, 200, 3, 77]))),
    "cut": Transform(lambda scene: scene.cut(heights(scene.points, scene.up_axis) > 2), cuts=True),
    "with_features": Transform(lambda scene: scene.with_features([4, 2, 0, 1])),
    "onto_unit_sphere": Transform(onto_unit_sphere),
    "scale_and_translate": Transform(
        lambda scene: scale_and_translate(scene, np.random.default_rng(1)), exact_boxes=False
    ),
    "crop": Transform(cropped(False), cuts=True, keeps_views=False),
    "mirrored_crop": Transform(cropped(True), cuts=True, keeps_views=False),
    "mirrored_crop_of_a_leaning_camera": Transform(
        cropped(True), exact_boxes=False, cuts=True, keeps_views=False, roll=0.4
    ),
}


@dataclass
class Moved:
    """A scene before and after; which points are left; and the affine map that its points tell."""

    transform: Transform
    before: Scene
    after: Scene
    rows: np.ndarray
    linear: np.ndarray
    shift: np.ndarray


def moved(transform: Transform, up_axis: UpAxis) -> Moved:
    before = scene_of(up_axis, transform.roll)
    after = transform.change(before)
    rows = after.instances
    assert rows is not None
    given = np.c_[before.points[rows], np.ones(len(rows))].astype(np.float64)
    solution = np.linalg.lstsq(given, after.points.astype(np.float64), rcond=None)[0]
    np.testing.assert_allclose(given @ solution, after.points, atol=1e-4)  # the points moved by one affine map
    return Moved(transform, before, after, rows, solution[:3].T, solution[3])


def check_features(one: Moved) -> None:
    own = list(range(5)) if one.after.features.shape[1] == 5 else [4, 2, 0, 1]
    normal = [own.index(column) for column in (2, 4, 1)]
    others = [place for place in range(len(own)) if place not in normal]
    np.testing.assert_array_equal(
        one.after.features[:, others], one.before.features[one.rows][:, [own[place] for place in others]]
    )
    n, found = one.before.features[one.rows][:, [2, 4, 1]].astype(float), one.after.features[:, normal].astype(float)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), np.linalg.norm(n, axis=1), atol=1e-5)
    for other in np.eye(3):  # what is in the surface stays in it
        tangent = np.cross(n, other) @ one.linear.T
        np.testing.assert_allclose((tangent * found).sum(axis=1), 0, atol=1e-3)
    outside = ((n @ one.linear.T) * found).sum(axis=1)
    assert (outside[np.linalg.norm(n, axis=1) > 0] > 0).all()


def check_views(one: Moved) -> None:
    if not one.transform.keeps_views:
        assert one.after.views == []
        return
    for before, after in zip(one.before.views, one.after.views, strict=True):
        wanted, depth = before.project(one.before.points[one.rows])
        found, _ = after.project(one.after.points)
        seen = depth > 1
        np.testing.assert_allclose(found[seen], wanted[seen], atol=2e-2)


def left_boxes(one: Moved) -> list[int]:
    """Of the boxes before, those that must be there after, by the definition of inside."""
    assert one.before.boxes is not None
    wanted = []
    for number, box in enumerate(one.before.boxes):
        along = (one.before.points[one.rows] - box[:3]) @ box_axes(box[None], one.before.up_axis)[0].T
        if not one.transform.cuts or any((np.abs(row) <= box[3:6] / 2).all() for row in along):
            wanted.append(number)
    return wanted


def check_boxes(one: Moved) -> None:
    assert one.before.boxes is not None
    assert one.after.boxes is not None
    wanted = corners(one.before.boxes[left_boxes(one)], one.before.up_axis) @ one.linear.T + one.shift
    found = corners(one.after.boxes, one.after.up_axis)
    assert found.shape == wanted.shape
    for own, box, theirs in zip(found, one.after.boxes, wanted, strict=True):
        if one.transform.exact_boxes:
            distance = np.linalg.norm(own[:, None] - theirs[None], axis=2)
            assert distance.min(axis=1).max() < 1e-3  # the same eight corners, in some order
            assert distance.min(axis=0).max() < 1e-3
            front, before = own[4:].mean(axis=0) - box[:3], theirs[4:].mean(axis=0) - theirs.mean(axis=0)
            np.testing.assert_allclose(front, before, atol=1e-3)  # and the same side is its front
        else:
            along = (theirs - box[:3]) @ box_axes(box[None], one.after.up_axis)[0].T
            assert (np.abs(along) <= box[3:6] / 2 + 1e-3).all()
            np.testing.assert_allclose(np.abs(along).max(axis=0), box[3:6] / 2, atol=1e-3)  # and no larger


def check_up(one: Moved) -> None:
    up = one.linear @ up_vector(one.before.up_axis)
    assert up @ up_vector(one.after.up_axis) > 0.5 * np.linalg.norm(up)
    assert one.after.up_axis == ("z" if one.transform.change is Scene.upright else one.before.up_axis)


def rows_of(name: str):
    def check(one: Moved) -> None:
        np.testing.assert_array_equal(getattr(one.after, name), getattr(one.before, name)[one.rows])

    return check


def unchanged(name: str):
    def check(one: Moved) -> None:
        assert getattr(one.after, name) == getattr(one.before, name)

    return check


def check_normal_columns(one: Moved) -> None:
    assert one.after.normal_columns == ((2, 4, 1) if one.after.features.shape[1] == 5 else (1, 0, 3))


FIELDS = {
    "points": lambda one: None,  # `moved` checks that the map is affine, other tests that it is the right one
    "features": check_features,
    "views": check_views,
    "labels": rows_of("labels"),
    "id": unchanged("id"),
    "instances": rows_of("instances"),
    "boxes": check_boxes,
    "box_labels": lambda one: np.testing.assert_array_equal(one.after.box_labels, left_boxes(one)),
    "object_class": unchanged("object_class"),
    "up_axis": check_up,
    "normal_columns": check_normal_columns,
    "files": unchanged("files"),
    "dropped": unchanged("dropped"),
}


def test_every_field_of_a_scene_is_in_the_table() -> None:
    assert list(FIELDS) == [one.name for one in fields(Scene)]


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", FIELDS)
def test_a_transform_keeps_a_field(transform: str, name: str) -> None:
    for up_axis in UP_AXES:
        FIELDS[name](moved(TRANSFORMS[transform], up_axis))


def test_the_transforms_do_what_their_names_say() -> None:
    """Or the table would say little: points go, boxes go, and none of all these is the identity."""
    for name, transform in TRANSFORMS.items():
        one = moved(transform, "x")
        linear, shift, rows = one.linear, one.shift, len(one.rows)
        still = name in ("nothing", "select", "select_rows", "cut", "with_features", "crop")
        assert np.allclose(np.c_[linear, shift], np.eye(4)[:3], atol=1e-4) == still, name
        assert (rows < 600) == (transform.cuts or name.startswith("select")), name
        assert transform.cuts == (len(left_boxes(one)) < 8), name


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_scene_without_any_of_it_goes_through_as_well(transform: str) -> None:
    bare = replace(scene_of("z"), boxes=None, box_labels=None, normal_columns=None, labels=None, object_class=None)
    after = TRANSFORMS[transform].change(bare)
    assert (after.boxes, after.box_labels, after.normal_columns, after.labels) == (None, None, None, None)
    own = [4, 2, 0, 1] if transform == "with_features" else range(5)
    np.testing.assert_array_equal(after.features, bare.features[after.instances][:, own])


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_given_scene_is_not_changed(transform: str) -> None:
    before, again = scene_of("y"), scene_of("y")
    TRANSFORMS[transform].change(before)
    for one in ("points", "features", "labels", "instances", "boxes", "box_labels"):
        np.testing.assert_array_equal(getattr(before, one), getattr(again, one))
    np.testing.assert_array_equal(before.views[0].camera_from_points, again.views[0].camera_from_points)


def test_of_a_normal_all_columns_are_kept_or_none() -> None:
    scene = scene_of("z")
    assert scene.with_features([0, 3]).normal_columns is None
    with pytest.raises(DataError, match="of a normal, all three columns must be kept, or none"):
        scene.with_features([2, 4, 0])
