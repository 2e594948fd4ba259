from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointlift.data import Pairs, Scene, View
from pointlift.errors import DataError


def slow_pairs(scene: Scene, min_depth: float, border: float) -> list[tuple[int, int, float, float]]:
    """Every point against every view, one at a time, from the pinhole equation."""
    found = []
    for v, view in enumerate(scene.views):
        height, width = view.size
        for n, point in enumerate(scene.points):
            x, y, z = (view.camera_from_points @ [*map(float, point), 1.0])[:3]
            if z <= min_depth:
                continue
            (fx, skew, cx), (_, fy, cy) = view.intrinsics[:2]
            column, row = (fx * x + skew * y) / z + cx, fy * y / z + cy
            if border - 0.5 <= column < width - 0.5 - border and border - 0.5 <= row < height - 0.5 - border:
                found.append((n, v, column, row))
    return found


@pytest.mark.parametrize(("min_depth", "border"), [(1.0, 1.0), (0.0, 0.0), (6.0, 7.5)])
def test_pairs_equal_a_double_loop_over_views_and_points(scene, min_depth, border):
    pairs = scene.pairs(min_depth=min_depth, border=border)
    expected = slow_pairs(scene, min_depth, border)
    assert len(expected) > 20
    assert list(zip(pairs.point_index, pairs.view_index, strict=True)) == [(n, v) for n, v, _, _ in expected]
    np.testing.assert_allclose(pairs.pixels, [(u, v) for _, _, u, v in expected], atol=1e-4)
    assert (pairs.point_index.dtype, pairs.view_index.dtype, pairs.pixels.dtype) == (np.int64, np.int64, np.float32)


def test_default_pairs_are_beyond_one_metre_and_one_pixel(scene):
    assert len(scene.pairs().point_index) == len(slow_pairs(scene, 1.0, 1.0))


def test_pixels_stay_inside_after_rounding_to_float32():
    edge = np.nextafter(999.5, 0)  # float64 inside, float32 on the edge
    intrinsics = np.array([[1.0, 0, edge], [0, 1.0, 5], [0, 0, 1]])
    view = View("edge", intrinsics, np.eye(4), image(10, 1000))
    scene = Scene(np.array([[0, 0, 2]], np.float32), np.zeros((1, 1), np.float32), [view])
    assert len(scene.pairs(border=0).pixels) == 0


def test_occlusion_leaves_a_subset_without_the_hidden_points(scene):
    near = np.array([[5.0, 0.0, 0.2], [10.0, -0.02, 0.2]], np.float32)  # one behind the other in "front"
    scene.points[:2] = near
    everything, seen = scene.pairs(), scene.pairs(occlusion=0.1)
    front = {int(n) for n, v in zip(seen.point_index, seen.view_index, strict=True) if v == 0}
    assert 0 in front
    assert 1 not in front
    assert set(zip(*map(list, seen[:2]), strict=True)) < set(zip(*map(list, everything[:2]), strict=True))


def test_scene_without_views_has_no_pairs(scene):
    scene.views = []
    pairs = scene.validate().pairs()
    assert [part.shape for part in pairs] == [(0,), (0,), (0, 2)]


@pytest.mark.parametrize("as_mask", [True, False])
def test_select_keeps_the_same_points_in_every_field(scene, as_mask):
    mask = scene.labels == 1
    part = scene.select(mask if as_mask else np.flatnonzero(mask)).validate()
    assert len(part) == mask.sum()
    np.testing.assert_array_equal(part.points, scene.points[mask])
    np.testing.assert_array_equal(part.features, scene.features[mask])
    np.testing.assert_array_equal(part.instances, np.flatnonzero(mask))
    assert (part.labels == 1).all()
    assert part.views == scene.views


def test_pairs_follow_a_selection_of_points(scene):
    mask = scene.points[:, 0] > 4
    pairs = scene.pairs()
    expected = scene.select(mask).pairs()
    for got, wanted in zip(pairs.keep_points(mask), expected, strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert pairs.per_view(2).tolist() == [(pairs.view_index == v).sum() for v in (0, 1)]
    assert isinstance(pairs.take(pairs.view_index == 1), Pairs)


def test_a_good_scene_validates_to_itself(scene):
    assert scene.validate() is scene
    scene.labels = scene.instances = None
    scene.validate()


def image(height: int, width: int) -> np.ndarray:
    return np.zeros((height, width, 3), np.uint8)


BAD_SCENES = {
    "empty": (lambda s: setattr(s, "points", np.empty((0, 3), np.float32)), "scan.bin: there are no points"),
    "point_width": (lambda s: setattr(s, "points", s.points[:, :2]), r"scan.bin: points must be float32 \(500, 3\)"),
    "point_type": (lambda s: setattr(s, "points", s.points.astype(float)), "points must be float32.*float64"),
    "point_nan": (lambda s: s.points.__setitem__((7, 1), np.nan), "scan.bin: points has 1 rows .* first is row 7"),
    "feature_length": (lambda s: setattr(s, "features", s.features[:-1]), "scene random/0: features must be"),
    "feature_rank": (lambda s: setattr(s, "features", s.features[:, 0]), "features must be float32"),
    "feature_inf": (lambda s: s.features.__setitem__((0, 0), np.inf), "features has 1 rows"),
    "label_length": (lambda s: setattr(s, "labels", s.labels[:-1]), "labels must be int64"),
    "label_type": (lambda s: setattr(s, "labels", s.labels.astype(np.int32)), "labels must be int64"),
    "label_negative": (lambda s: s.labels.__setitem__(0, -2), "labels must be >= -1, not -2"),
    "instance_length": (lambda s: setattr(s, "instances", s.instances[1:]), "instances must be int64"),
    "boxes": (lambda s: setattr(s, "boxes", np.array([[np.nan] * 7])), "boxes has 1 rows with NaN"),
    "up_axis": (lambda s: setattr(s, "up_axis", "up"), "up_axis must be x, y or z"),
    "same_names": (lambda s: setattr(s.views[1], "name", "front"), "names of the views must differ: front, front"),
    "list": (lambda s: setattr(s, "labels", [0] * 500), "labels must be int64 .* not list"),
}


@pytest.mark.parametrize("case", BAD_SCENES)
def test_a_bad_scene_is_one_sentence_that_names_file_and_field(scene, case):
    spoil, message = BAD_SCENES[case]
    spoil(scene)
    with pytest.raises(DataError, match=message) as raised:
        scene.validate()
    assert "\n" not in str(raised.value)


def set_intrinsics(row: int, column: int, value: float):
    def spoil(view: View) -> None:
        view.intrinsics = view.intrinsics.copy()
        view.intrinsics[row, column] = value

    return spoil


def set_pose(change):
    def spoil(view: View) -> None:
        view.camera_from_points = change(view.camera_from_points.copy())

    return spoil


BAD_VIEWS = {
    "K_shape": (lambda v: setattr(v, "intrinsics", np.eye(4)), r"intrinsics must be float64 \(3, 3\)"),
    "K_type": (lambda v: setattr(v, "intrinsics", v.intrinsics.astype(np.float32)), "intrinsics must be float64"),
    "K_nan": (set_intrinsics(0, 2, np.nan), "intrinsics has 1 rows with NaN"),
    "focal_zero": (set_intrinsics(0, 0, 0.0), "focal lengths must be positive, not 0 and 62"),
    "focal_negative": (set_intrinsics(1, 1, -5.0), "focal lengths must be positive"),
    "K_singular": (set_intrinsics(1, 0, 60.0 * 62.0 / 0.5), "intrinsics are singular"),
    "K_last_row": (set_intrinsics(2, 2, 2.0), "last row of the intrinsics must be 0 0 1"),
    "principal_point": (set_intrinsics(0, 2, 250.0), r"principal point \(250.0, 30.0\) .* 100 x 60 pixels"),
    "pose_shape": (set_pose(lambda m: m[:3]), r"camera_from_points must be float64 \(4, 4\)"),
    "pose_nan": (set_pose(lambda m: m * np.nan), "camera_from_points has 4 rows with NaN"),
    "pose_scaled": (set_pose(lambda m: m @ np.diag([1.1, 1.1, 1.1, 1])), "not orthonormal"),
    "pose_mirrored": (set_pose(lambda m: m @ np.diag([-1.0, 1, 1, 1])), "mirrors"),
    "pose_transposed": (set_pose(lambda m: m.T.copy()), "last row of camera_from_points"),
    "image_grey": (lambda v: setattr(v, "source", np.zeros((60, 100), np.uint8)), "image must be uint8"),
    "image_float": (lambda v: setattr(v, "source", np.zeros((60, 100, 3))), "image must be uint8"),
}


@pytest.mark.parametrize("case", BAD_VIEWS)
def test_a_bad_view_is_one_sentence_that_names_calibration_and_view(scene, case):
    spoil, message = BAD_VIEWS[case]
    spoil(scene.views[0])
    with pytest.raises(DataError, match=f"calib.txt: view 'front': .*{message}"):
        scene.validate()


def test_rotations_printed_with_few_digits_are_accepted(scene):
    scene.views[0].camera_from_points = scene.views[0].camera_from_points.round(4)
    scene.validate()


def view_of(path: Path) -> View:
    return View("camera", np.array([[20.0, 0, 10], [0, 20, 5], [0, 0, 1]]), np.eye(4), path)


def test_image_files_are_decoded_on_demand_as_rgb(tmp_path):
    path = tmp_path / "grey.png"
    Image.fromarray(np.arange(200, dtype=np.uint8).reshape(10, 20)).save(path)
    view = view_of(path)
    assert (view.path, view.size) == (path, (10, 20))
    assert view.image.shape == (10, 20, 3)
    assert view.image.dtype == np.uint8
    assert (view.image[..., 0] == np.arange(200).reshape(10, 20)).all()
    assert View("array", np.eye(3), np.eye(4), image(2, 3)).path is None


def test_a_missing_image_is_no_error_until_it_is_needed(tmp_path):
    view = view_of(tmp_path / "gone.png")
    view.validate()
    for need in (lambda: view.image, lambda: view.size):
        with pytest.raises(DataError, match=r"gone.png: the image file is missing"):
            need()


def test_an_image_that_does_not_decode_names_the_file(tmp_path):
    garbage, cut, deep = tmp_path / "garbage.png", tmp_path / "cut.png", tmp_path / "deep.png"
    garbage.write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"garbage.png: the image cannot be decoded"):
        _ = view_of(garbage).size
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(cut)
    cut.write_bytes(cut.read_bytes()[:2000])
    assert view_of(cut).size == (40, 40)
    with pytest.raises(DataError, match=r"cut.png: the image cannot be decoded"):
        _ = view_of(cut).image
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(deep)
    with pytest.raises(DataError, match=r"deep.png: the image has more than 8 bits"):
        _ = view_of(deep).image


@pytest.mark.parametrize("up_axis", ["x", "y", "z", "-x", "-y", "-z"])
def test_upright_turns_the_scene_until_z_is_up_and_pixels_stay(scene, up_axis):
    scene.up_axis = up_axis
    upright = scene.validate().upright()
    sign, axis = (-1 if up_axis.startswith("-") else 1), "xyz".index(up_axis[-1])
    np.testing.assert_array_equal(upright.points[:, 2], sign * scene.points[:, axis])
    assert upright.up_axis == "z"
    for before, after in zip(scene.views, upright.views, strict=True):
        np.testing.assert_allclose(after.project(upright.points)[0], before.project(scene.points)[0], atol=1e-6)
    upright.validate()  # its rotations are no mirrors
