from __future__ import annotations

import numpy as np
import pytest

from pointlift.worlds.engine import rays
from pointlift.worlds.engine.rays import EMBREE, Caster

ENGINES = ["numpy", pytest.param("embree", marks=pytest.mark.skipif(not EMBREE, reason="embreex is not installed"))]


def triangles(count: int, seed: int = 0, offset: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    vertices = rng.uniform(-8, 8, (count, 1, 3)) + rng.normal(0, 1.5, (count, 3, 3)) + offset
    return vertices.reshape(-1, 3), np.arange(3 * count).reshape(-1, 3)


def some_rays(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(count, 3))
    return rng.uniform(-3, 3, (count, 3)), directions / np.linalg.norm(directions, axis=1, keepdims=True)


def brute_force(vertices, faces, origins, directions) -> tuple[np.ndarray, np.ndarray]:
    """Moeller and Trumbore for one ray and one triangle after the other."""
    distance, face = np.full(len(origins), np.inf), np.full(len(origins), -1)
    for ray, (o, d) in enumerate(zip(origins, directions, strict=True)):
        for index, (a, b, c) in enumerate(vertices[faces]):
            system = np.stack([-d, b - a, c - a], axis=1)
            if abs(np.linalg.det(system)) < 1e-14:
                continue
            t, u, v = np.linalg.solve(system, o - a)
            if t > 0 and u >= 0 and v >= 0 and u + v <= 1 and t < distance[ray]:
                distance[ray], face[ray] = t, index
    return distance, face


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("offset", [0.0, 5000.0])
def test_first_hits_are_those_of_brute_force(engine, offset):
    vertices, faces = triangles(80, offset=offset)
    origins, directions = some_rays(90)
    origins = origins + offset
    expected, expected_face = brute_force(vertices, faces, origins, directions)
    distance, face = Caster(vertices, faces, engine).first_hit(origins, directions)
    assert distance.dtype == np.float64
    assert face.dtype == np.int64
    assert 8 < (expected_face >= 0).sum() < 90
    np.testing.assert_array_equal(face, expected_face)
    np.testing.assert_allclose(distance, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("engine", ENGINES)
def test_occlusion_is_whether_anything_is_hit(engine):
    caster = Caster(*triangles(150), engine)
    origins, directions = some_rays(3000)
    hit = caster.first_hit(origins, directions)[1] >= 0
    assert 0.1 < hit.mean() < 0.9
    np.testing.assert_array_equal(caster.occluded(origins, directions), hit)


@pytest.mark.skipif(not EMBREE, reason="embreex is not installed")
def test_the_engines_agree_on_many_triangles():
    vertices, faces = triangles(3000, seed=5)
    origins, directions = some_rays(4000)
    distance, face = Caster(vertices, faces, "numpy").first_hit(origins, directions)
    other_distance, other_face = Caster(vertices, faces, "embree").first_hit(origins, directions)
    same = face == other_face
    assert same.mean() > 0.999
    np.testing.assert_allclose(distance[same], other_distance[same], rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_one_origin_serves_all_rays_and_both_sides_are_hit(engine):
    vertices = np.array([[0.0, -1, -1], [0, 1, -1], [0, 0, 2]])
    caster = Caster(vertices, np.array([[0, 1, 2]]), engine)
    directions = np.array([[1.0, 0, 0], [-1, 0, 0], [0, 0, 1]])
    for x, expected in ((-2.0, [2.0, np.inf, np.inf]), (2.0, [np.inf, 2.0, np.inf])):
        np.testing.assert_allclose(caster.first_hit(np.array([x, 0, 0]), directions)[0], expected)
        np.testing.assert_array_equal(caster.occluded(np.array([x, 0, 0]), directions), np.isfinite(expected))


@pytest.mark.parametrize("engine", ENGINES)
def test_no_ray_slips_between_triangles_of_a_plane(engine):
    n = 12
    x, y = np.meshgrid(np.linspace(-5, 5, n), np.linspace(-5, 5, n), indexing="ij")
    vertices = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)
    corner = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).reshape(-1)
    faces = np.concatenate(
        [np.stack([corner, corner + n, corner + n + 1], 1), np.stack([corner, corner + n + 1, corner + 1], 1)]
    )
    # rays through the grid's own vertices and the middles of its edges and diagonals
    target = np.concatenate([vertices, vertices[faces[:, :2]].mean(axis=1), vertices[faces[:, ::2]].mean(axis=1)])
    target = target[np.abs(target).max(axis=1) < 4.9]
    origin = np.array([0.0, 0.0, 2.0])
    directions = (target - origin) / np.linalg.norm(target - origin, axis=1, keepdims=True)
    distance, face = Caster(vertices, faces, engine).first_hit(origin, directions)
    assert (face >= 0).all()
    np.testing.assert_allclose(distance, np.linalg.norm(target - origin, axis=1), rtol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_at_all_and_triangles_without_area(engine):
    origins, directions = some_rays(7)
    distance, face = Caster(np.empty((0, 3)), np.empty((0, 3), np.int64), engine).first_hit(origins, directions)
    assert np.isinf(distance).all()
    assert (face == -1).all()
    vertices, faces = triangles(50)
    flat = np.concatenate([faces, [[0, 0, 1], [4, 4, 4]]])
    caster = Caster(vertices, flat, engine)
    np.testing.assert_array_equal(
        caster.first_hit(origins, directions)[1], Caster(vertices, faces, engine).first_hit(origins, directions)[1]
    )
    assert len(caster.first_hit(origins[:0], np.empty((0, 3)))[0]) == 0


def test_axis_aligned_rays_cross_axis_aligned_boxes():
    vertices = np.array([[0.0, 0, 0], [0, 4, 0], [0, 0, 4], [3.0, 0, 0], [3, 4, 0], [3, 0, 4]])
    caster = Caster(vertices, np.array([[0, 1, 2], [3, 4, 5]]), "numpy")
    assert rays.LEAF >= 2
    distance, face = caster.first_hit(np.array([[-1.0, 0, 0], [1, 1, 1]]), np.array([[1.0, 0, 0], [1, 0, 0]]))
    np.testing.assert_allclose(distance, [1, 2])
    np.testing.assert_array_equal(face, [0, 1])
