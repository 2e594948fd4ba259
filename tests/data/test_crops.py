from __future__ import annotations

import numpy as np
import pytest

from pointlift.data.crops import Crop, crop_scene, crop_view, draw_crop
from pointlift.data.scene import Scene, View


def scene_of(seed: int = 0) -> Scene:
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    to_camera = np.eye(4)
    to_camera[:3, :3], to_camera[:3, 3] = turn, rng.normal(size=3)
    in_camera = np.c_[rng.uniform(-1, 1, (300, 2)), rng.uniform(-1, 4, 300)]
    points = (in_camera - to_camera[:3, 3]) @ turn  # the inverse of turn is its transpose
    K = np.array([[50.0, 2.0, 30.0], [0, 45.0, 19.0], [0, 0, 1]])
    image = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    view = View("color", K, to_camera, image, depth=np.zeros((40, 60), np.uint16))
    return Scene(points.astype(np.float32), rng.random((300, 3)).astype(np.float32), [view], id="a", up_axis="z")


@pytest.mark.parametrize("mirrored", [False, True])
def test_points_of_a_crop_fall_on_the_pixels_that_they_fell_on_before(mirrored: bool) -> None:
    scene, crop = scene_of(), Crop(7, 5, 45, 33, mirrored)
    view = scene.views[0]
    cropped, seen = crop_view(view, crop), crop_scene(scene, view, crop)
    before, depth = view.project(scene.points)
    inside = (depth > 0) & (before[:, 0] >= 6.5) & (before[:, 0] < 44.5) & (before[:, 1] >= 4.5) & (before[:, 1] < 32.5)
    assert 20 < inside.sum() < 250
    assert len(seen) == inside.sum()
    np.testing.assert_array_equal(seen.features, scene.features[inside])
    u, v = (before[inside] - (7, 5)).T
    after, depth_after = cropped.project(seen.points)
    np.testing.assert_allclose(after, np.c_[37 - u if mirrored else u, v], atol=1e-4)
    np.testing.assert_allclose(depth_after, depth[inside], atol=1e-5)
    rows, columns = np.floor(before[inside][:, 1] + 0.5).astype(int), np.floor(before[inside][:, 0] + 0.5).astype(int)
    moved = np.floor(after + 0.5).astype(int)
    same = (np.abs(after + 0.5 - np.round(after + 0.5)) > 1e-3).all(axis=1)
    np.testing.assert_array_equal(cropped.image[moved[same, 1], moved[same, 0]], view.image[rows[same], columns[same]])
    assert cropped.image.shape == (28, 38, 3)
    assert cropped.depth is None


def test_mirroring_is_a_reflection() -> None:
    scene = scene_of()
    view = scene.views[0]
    whole = Crop(0, 0, 60, 40, False)
    plain, mirrored = crop_scene(scene, view, whole), crop_scene(scene, view, whole._replace(mirrored=True))
    distances = [np.linalg.norm(one.points[:, None] - one.points[None], axis=2) for one in (plain, mirrored)]
    np.testing.assert_allclose(*distances, atol=1e-5)
    again = crop_scene(mirrored, crop_view(view, whole._replace(mirrored=True)), whole._replace(mirrored=True))
    np.testing.assert_allclose(again.points, plain.points, atol=1e-5)


def test_drawn_crops_have_the_images_shape_and_a_share_of_its_area() -> None:
    rng = np.random.default_rng(0)
    crops = [draw_crop((480, 640), (0.25, 0.81), rng) for _ in range(500)]
    sizes = np.array([crop.size for crop in crops])
    shares = sizes.prod(axis=1) / (480 * 640)
    assert shares.min() > 0.24
    assert shares.max() < 0.82
    assert abs(shares.mean() - 0.53) < 0.03
    np.testing.assert_allclose(sizes[:, 1] / sizes[:, 0], 4 / 3, rtol=0.01)
    assert all(0 <= c.left < c.right <= 640 and 0 <= c.top < c.bottom <= 480 for c in crops)
    assert min(c.left for c in crops) < 10
    assert max(c.right for c in crops) > 630
    assert 0.4 < np.mean([crop.mirrored for crop in crops]) < 0.6
    assert draw_crop((3, 2), (1.0, 1.0), rng)[:4] == (0, 0, 2, 3)
