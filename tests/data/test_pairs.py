from __future__ import annotations

import numpy as np
import pytest

from pointlift.data import Pairs, Scene, View


def image(height: int, width: int) -> np.ndarray:
    return np.zeros((height, width, 3), np.uint8)


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


def test_pairs_follow_a_selection_of_points(scene):
    mask = scene.points[:, 0] > 4
    pairs = scene.pairs()
    expected = scene.select(mask).pairs()
    for got, wanted in zip(pairs.keep_points(mask), expected, strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert pairs.per_view(2).tolist() == [(pairs.view_index == v).sum() for v in (0, 1)]
    assert isinstance(pairs.take(pairs.view_index == 1), Pairs)
