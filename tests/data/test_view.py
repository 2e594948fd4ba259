from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointlift.data import View
from pointlift.data.view import fitted_intrinsics
from pointlift.errors import DataError


def image(height: int, width: int) -> np.ndarray:
    return np.zeros((height, width, 3), np.uint8)


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


def test_a_file_is_opened_once_for_its_size(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(path)
    view = View("front", np.array([[60.0, 0, 31.5], [0, 60, 23.5], [0, 0, 1]]), np.eye(4), path)
    assert view.size == (48, 64)
    path.unlink()
    assert view.size == (48, 64)
    assert replace(view, source=np.zeros((4, 5, 3), np.uint8)).size == (4, 5)
    view.source = tmp_path / "b.png"
    with pytest.raises(DataError, match=r"b\.png: the image file is missing"):
        _ = view.size


@pytest.mark.parametrize(
    ("K", "right"),
    [
        ((31.5, 23.5), True),
        ((29.0, 40.0), True),  # cropped above: the principal point is low, but in the middle from left to right
        ((2.0, 30.0), True),  # cropped left
        ((63.5, 47.5), False),  # of an image twice as large
        ((47.5, 35.5), False),  # one and a half times
        ((15.5, 11.5), False),  # half as large
    ],
)
def test_intrinsics_of_another_resolution_are_refused(K, right):
    view = View("front", np.array([[60.0, 0, K[0]], [0, 60, K[1]], [0, 0, 1]]), np.eye(4), image(48, 64))
    if right:
        view.validate()
        return
    expected = (
        rf"are those of images of about {2 * K[0] + 1:.0f} x {2 * K[1] + 1:.0f} pixels, and the image has 64 x 48"
    )
    with pytest.raises(DataError, match=expected):
        view.validate()


def test_fitted_intrinsics_scale_once():
    K = np.array([[60.0, 0, 31.5], [0, 60, 23.5], [0, 0, 1]])
    assert fitted_intrinsics(K, (48, 64), (48, 64), "a") is K
    half = fitted_intrinsics(K, (48, 64), (24, 32), "a")
    np.testing.assert_allclose(half, [[30, 0, 15.5], [0, 30, 11.5], [0, 0, 1]])
    assert fitted_intrinsics(half, (48, 64), (24, 32), "a") is half
    np.testing.assert_allclose(fitted_intrinsics(K, (968, 1296), (480, 640), "a"), K)  # of neither
    with pytest.raises(DataError, match="the image has 24 x 24 pixels and its intrinsics belong to 64 x 48"):
        fitted_intrinsics(K, (48, 64), (24, 24), "a")
