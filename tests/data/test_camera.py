from __future__ import annotations

import numpy as np
import pytest

from pointlift.data import camera

K = np.array([[50.0, 0.3, 31.0], [0, 48.0, 19.5], [0, 0, 1]])


def pose(rng: np.random.Generator) -> np.ndarray:
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * np.sign(np.linalg.det(rotation))
    matrix[:3, 3] = rng.normal(size=3)
    return matrix


def test_projection_equals_the_formula_point_by_point():
    rng = np.random.default_rng(0)
    points, matrix = rng.normal(size=(200, 3)) * 5, pose(rng)
    pixels, depth = camera.project(points.astype(np.float32), K, matrix)
    assert pixels.dtype == depth.dtype == np.float64
    for point, pixel, z in zip(points.astype(np.float32), pixels, depth, strict=True):
        x = matrix @ np.append(point.astype(np.float64), 1.0)
        assert z == pytest.approx(x[2], abs=1e-12)
        if x[2] > 0:
            np.testing.assert_allclose(pixel, (K @ x[:3])[:2] / x[2], rtol=1e-9)
        else:
            assert np.isnan(pixel).all()


def test_point_on_the_optical_axis_falls_on_the_principal_point():
    pixels, depth = camera.project(np.array([[0.0, 0, 7]]), K, np.eye(4))
    np.testing.assert_allclose(pixels, [[31.0, 19.5]])
    assert depth == [7.0]


def test_point_at_the_camera_and_behind_it_has_no_pixel_and_no_warning(recwarn):
    pixels, _ = camera.project(np.array([[0.0, 0, 0], [1, 1, -2]]), K, np.eye(4))
    assert np.isnan(pixels).all()
    assert not camera.in_image(pixels, (40, 60)).any()
    assert len(recwarn) == 0


@pytest.mark.parametrize(
    ("u", "v", "border", "inside"),
    [
        (-0.5, -0.5, 0, True),
        (-0.51, 0, 0, False),
        (59.49, 39.49, 0, True),
        (59.5, 10, 0, False),
        (10, 39.5, 0, False),
        (0.5, 0.5, 1, True),
        (0.49, 5, 1, False),
        (58.5, 5, 1, False),
        (np.nan, 5, 0, False),
    ],
)
def test_the_image_reaches_half_a_pixel_beyond_its_outer_pixel_centres(u, v, border, inside):
    assert camera.in_image(np.array([[u, v]]), (40, 60), border).tolist() == [inside]


def test_a_nearer_point_hides_what_is_behind_it():
    pixels = np.array([[10.0, 10.0], [11.0, 12.0], [13.9, 10.0], [10.2, 10.0]])
    depth = np.array([5.0, 9.0, 9.0, 5.4])
    assert camera.unoccluded(pixels, depth, (30, 30), 0.1, 3).tolist() == [True, False, True, True]
    assert camera.unoccluded(pixels, depth, (30, 30), 0.05, 0).tolist() == [True, True, True, False]


@pytest.mark.parametrize("radius", [0, 1, 4])
def test_occlusion_equals_a_double_loop(radius):
    rng = np.random.default_rng(1)
    size = (20, 30)
    pixels = np.stack([rng.uniform(-0.5, 29.49, 300), rng.uniform(-0.5, 19.49, 300)], axis=1)
    depth = rng.uniform(1, 3, 300)
    cell = np.floor(pixels + 0.5)
    expected = [
        all(depth[i] <= 1.2 * depth[j] for j in range(300) if np.abs(cell[i] - cell[j]).max() <= radius)
        for i in range(300)
    ]
    assert camera.unoccluded(pixels, depth, size, 0.2, radius).tolist() == expected
    assert 0 < np.mean(expected) < 1


def test_occlusion_of_no_points_is_empty():
    assert camera.unoccluded(np.empty((0, 2)), np.empty(0), (5, 5)).shape == (0,)


def test_back_projection_undoes_projection_and_skips_pixels_without_depth():
    depth = np.random.default_rng(2).uniform(0.5, 4, size=(7, 9))
    depth[0, 0], depth[1, 1], depth[2, 2] = 0, np.nan, np.inf
    points = camera.back_project(depth, K)
    assert np.isnan(points[[0, 1, 2], [0, 1, 2]]).all()
    pixels, z = camera.project(points.reshape(-1, 3), K, np.eye(4))
    v, u = np.mgrid[0:7, 0:9]
    known = (np.isfinite(depth) & (depth > 0)).ravel()
    np.testing.assert_allclose(pixels[known], np.stack([u, v], -1).reshape(-1, 2)[known], atol=1e-9)
    np.testing.assert_allclose(z[known], depth.ravel()[known])


def test_resizing_pixels_keeps_the_outer_edges():
    size, new_size = (40, 60), (28, 126)
    corners = np.array([[-0.5, -0.5], [59.5, 39.5]])
    np.testing.assert_allclose(camera.resize_pixels(corners, size, new_size), [[-0.5, -0.5], [125.5, 27.5]])
