from __future__ import annotations

import numpy as np
import pytest
import torch

from pointlift.data.clouds import farthest_rows, onto_unit_sphere, random_rows, scale_and_translate, to_unit_sphere
from pointlift.data.scene import Scene
from pointlift.errors import DataError
from pointlift.students.points import farthest_points


def cloud(count: int = 200, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(2.0, 3.0, (count, 3)).astype(np.float32)


def test_unit_sphere_is_centred_and_touched() -> None:
    points = cloud()
    moved, centre, radius = to_unit_sphere(points)
    assert moved.dtype == np.float32
    np.testing.assert_allclose(moved.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1).max(), 1, rtol=1e-6)
    np.testing.assert_allclose(moved * radius + centre, points, atol=1e-5)


def scene_of(points: np.ndarray) -> Scene:
    boxes = np.array([[2.0, 2, 2, 1, 2, 3, 0.5]])
    return Scene(points, np.zeros((len(points), 0), np.float32), boxes=boxes, id="a")


def test_a_scene_goes_onto_the_unit_sphere_with_its_boxes() -> None:
    points = cloud()
    moved, centre, radius = to_unit_sphere(points)
    scene = onto_unit_sphere(scene_of(points))
    np.testing.assert_array_equal(scene.points, moved)  # to the last bit
    assert scene.boxes is not None
    np.testing.assert_allclose(scene.boxes[0, :3], (2 - centre) / radius)
    np.testing.assert_allclose(scene.boxes[0, 3:], [1 / radius, 2 / radius, 3 / radius, 0.5])


def test_scaling_multiplies_and_adds_what_was_drawn() -> None:
    points = cloud()
    rng = np.random.default_rng(8)
    factors, offsets = rng.uniform(0.5, 2, size=3), rng.uniform(-0.1, 0.1, size=3)
    moved = scale_and_translate(scene_of(points), np.random.default_rng(8), scale=(0.5, 2), shift=0.1)
    np.testing.assert_array_equal(moved.points, (points * factors + offsets).astype(np.float32))


def test_unit_sphere_of_one_place() -> None:
    moved, centre, radius = to_unit_sphere(np.full((4, 3), 7.0, np.float32))
    assert not moved.any()
    assert (centre.tolist(), radius) == ([7.0, 7.0, 7.0], 1.0)


def test_random_rows_without_repetition_where_there_are_enough() -> None:
    rows = random_rows(50, 50, np.random.default_rng(0))
    assert sorted(rows) == list(range(50))
    assert len(set(random_rows(50, 20, np.random.default_rng(1)).tolist())) == 20
    assert (
        random_rows(50, 20, np.random.default_rng(1)).tolist() == random_rows(50, 20, np.random.default_rng(1)).tolist()
    )


def test_random_rows_of_a_small_cloud_has_every_row() -> None:
    rows = random_rows(7, 20, np.random.default_rng(0))
    assert len(rows) == 20
    assert set(rows.tolist()) == set(range(7))


def test_farthest_rows_against_brute_force() -> None:
    points = cloud(60)
    rows = [5]
    while len(rows) < 30:
        distances = ((points[:, None].astype(np.float64) - points[rows]) ** 2).sum(axis=2).min(axis=1)
        distances[rows] = -1
        rows.append(int(distances.argmax()))
    assert farthest_rows(points, 30, start=5).tolist() == rows


def test_farthest_rows_are_those_of_the_student() -> None:
    points = np.concatenate([cloud(100), cloud(100)])  # each point twice
    theirs = farthest_points(torch.from_numpy(points), torch.tensor([0, 200]), 150)
    assert farthest_rows(points, 150).tolist() == theirs[0].tolist()


def test_scale_and_translate_is_one_affine_map_per_axis() -> None:
    points = cloud()
    moved = scale_and_translate(scene_of(points), np.random.default_rng(3)).points
    assert moved.dtype == np.float32
    for axis in range(3):
        factor, shift = np.polyfit(points[:, axis].astype(np.float64), moved[:, axis].astype(np.float64), 1)
        assert 2 / 3 <= factor <= 3 / 2
        assert abs(shift) <= 0.2 + 1e-5
    factors = [np.ptp(moved[:, axis]) / np.ptp(points[:, axis]) for axis in range(3)]
    assert len({round(float(factor), 4) for factor in factors}) == 3


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: to_unit_sphere(np.zeros((0, 3))), "at least 1 points, and the cloud has 0"),
        (lambda: to_unit_sphere(np.zeros((5, 2))), r"not an array of shape \(5, 2\)"),
        (lambda: farthest_rows(np.zeros((5, 3)), 6), "at least 6 points, and the cloud has 5"),
        (lambda: random_rows(0, 3, np.random.default_rng(0)), "a cloud that has none"),
    ],
)
def test_bad_clouds_are_one_sentence(call, said) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match=said):
        call()
