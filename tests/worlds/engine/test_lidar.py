from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pointlift.worlds.engine import lidar
from pointlift.worlds.street.classes import EGO
from pointlift.worlds.street.ego import LIDAR_HEIGHT
from tests.worlds.street.boxes import box_world, distance_to_boxes, scan


def test_returns_lie_on_surfaces_but_for_the_noise_and_have_their_labels():
    world = box_world(x=3.0)
    result = scan(world)
    assert (result.points.dtype, result.labels.dtype, result.instances.dtype) == (np.float32, np.int64, np.int64)
    leafy = result.labels[::20] == 4
    away = distance_to_boxes(result.points[::20], world)
    assert np.percentile(away[~leafy], 99) < 4 * lidar.RANGE_NOISE
    assert np.linalg.norm(result.points, axis=1).max() <= lidar.MAX_RANGE + 0.1
    assert set(np.unique(result.labels)) <= {0, 2, 3, 4, 5, 10, 12}
    ground = result.labels == 0
    assert abs(np.median(result.points[ground, 2]) + LIDAR_HEIGHT) < 0.02
    assert 0 <= result.intensity.min() < result.intensity.max() <= 1


def test_returns_from_leaves_come_from_inside_them(monkeypatch: pytest.MonkeyPatch):
    world = box_world(x=3.0)
    inside = scan(world)
    monkeypatch.setattr(lidar, "FOLIAGE_DEPTH", 0.0)
    surface = scan(world)
    way = np.linalg.norm(inside.points, axis=1) - np.linalg.norm(surface.points, axis=1)
    leafy = inside.labels == 4
    assert leafy.sum() > 100
    assert np.allclose(way[~leafy], 0, atol=1e-5)
    assert way[leafy].min() > -1e-5
    assert way[leafy].max() <= 1.0 + 1e-5
    assert abs(way[leafy].mean() - 0.2) < 0.05


def test_ego_returns_are_dropped_and_counted():
    world = box_world()
    result = scan(world)
    assert EGO not in result.labels
    assert result.dropped > 500
    without = replace(world, labels=np.where(world.labels == EGO, 0, world.labels))
    assert scan(without).dropped == 0
    assert len(scan(without).points) > len(result.points)


def test_beams_and_azimuths_of_both_models():
    for beams, (high, low, azimuths) in lidar.BEAMS.items():
        directions = lidar.lidar_directions(beams)
        np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
        elevation = np.degrees(np.arcsin(directions[:, 2])).reshape(beams, azimuths)
        np.testing.assert_allclose(elevation[[0, -1], 0], [high, low])
        azimuth = np.degrees(np.arctan2(directions[:, 1], directions[:, 0])).reshape(beams, azimuths)[0]
        assert (np.diff(azimuth) < 0).all()
    assert len(scan(box_world(), 64).points) > 2 * len(scan(box_world(), 32).points)


def test_dark_far_and_slanted_surfaces_return_less_and_weaker():
    world = box_world()
    bright = replace(world, materials=replace(world.materials, reflectance=np.full(10, 0.8, np.float32)))
    dark = replace(world, materials=replace(world.materials, reflectance=np.full(10, 0.05, np.float32)))
    a, b = scan(bright), scan(dark)
    assert len(b.points) < 0.9 * len(a.points)
    assert b.intensity.mean() < 0.3 * a.intensity.mean()
    ground = a.labels == 0
    near = np.linalg.norm(a.points, axis=1) < 6
    assert a.intensity[ground & near].mean() > a.intensity[ground & ~near].mean()


def test_the_noise_of_a_ray_does_not_depend_on_what_others_hit():
    world = box_world()
    kept = world.labels != 12  # the cone is gone
    fewer = replace(
        world,
        faces=world.faces[kept],
        labels=world.labels[kept],
        instances=world.instances[kept],
        material_of=world.material_of[kept],
    )
    before, after = scan(world), scan(fewer)
    same = {tuple(p) for p in before.points[before.labels != 12]} - {tuple(p) for p in after.points}
    assert len(same) == 0
