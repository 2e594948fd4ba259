from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pointlift.data.camera import back_project, project
from pointlift.worlds.engine import sensors
from pointlift.worlds.engine.rays import EMBREE, Caster
from pointlift.worlds.engine.world import EGO, World
from tests.worlds.street.boxes import box_world

SIZE = (48, 96)


def stage(world: World, engine: str | None = None) -> tuple[World, Caster, Caster]:
    street, ego = sensors.split_ego(world)
    return street, Caster(street.vertices, street.faces, engine), Caster(ego.vertices, ego.faces, engine)


def scan(world: World, beams: int = 32, seed: int = 0, engine: str | None = None) -> sensors.Scan:
    return sensors.scan(*stage(world, engine), beams, np.random.default_rng(seed))


def picture(world: World, name: str = "front", size=SIZE, seed: int = 0, engine: str | None = None) -> sensors.Picture:
    street, caster, _ = stage(world, engine)
    return sensors.render_view(street, caster, sensors.camera(name, size), np.random.default_rng(seed))


def distance_to_boxes(points: np.ndarray, world: World) -> np.ndarray:
    """Of points in the LiDAR's frame to the plane of the nearest side of any triangle's box: 0 on a surface."""
    moved = points @ sensors.world_from_lidar(world)[:3, :3].T + sensors.world_from_lidar(world)[:3, 3]
    corners = world.vertices[world.faces]
    low, high = corners.min(axis=1), corners.max(axis=1)
    outside = np.maximum(np.maximum(low - moved[:, None], moved[:, None] - high), 0)
    return np.linalg.norm(outside, axis=2).min(axis=1)


# ---- LiDAR


def test_returns_lie_on_surfaces_but_for_the_noise_and_have_their_labels():
    world = box_world(x=3.0)
    result = scan(world)
    assert (result.points.dtype, result.labels.dtype, result.instances.dtype) == (np.float32, np.int64, np.int64)
    leafy = result.labels[::20] == 4
    away = distance_to_boxes(result.points[::20], world)
    assert np.percentile(away[~leafy], 99) < 4 * sensors.RANGE_NOISE
    assert np.linalg.norm(result.points, axis=1).max() <= sensors.MAX_RANGE + 0.1
    assert set(np.unique(result.labels)) <= {0, 2, 3, 4, 5, 10, 12}
    ground = result.labels == 0
    assert abs(np.median(result.points[ground, 2]) + sensors.LIDAR_HEIGHT) < 0.02
    assert 0 <= result.intensity.min() < result.intensity.max() <= 1


def test_returns_from_leaves_come_from_inside_them(monkeypatch: pytest.MonkeyPatch):
    world = box_world(x=3.0)
    inside = scan(world)
    monkeypatch.setattr(sensors, "FOLIAGE_DEPTH", 0.0)
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
    for beams, (high, low, azimuths) in sensors.BEAMS.items():
        directions = sensors.lidar_directions(beams)
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


# ---- cameras


def test_a_picture_agrees_with_its_own_depth_labels_and_calibration():
    world = box_world(x=-2.0)
    seen = picture(world)
    assert seen["image"].dtype == np.uint8
    assert seen["image"].shape == (*SIZE, 3)
    camera = sensors.camera("front", SIZE)
    points = back_project(seen["depth"], camera.intrinsics).reshape(-1, 3)
    points = points[np.isfinite(points).all(axis=1)]
    lidar = np.linalg.inv(camera.camera_from_lidar)
    assert distance_to_boxes((points @ lidar[:3, :3].T + lidar[:3, 3])[::7], world).max() < 1e-3
    sky = seen["depth"] == 0
    assert sky.any()
    np.testing.assert_array_equal(seen["labels"] == -1, sky)
    np.testing.assert_array_equal(seen["material"] == -1, sky)
    assert not seen["lit"][sky].any()
    assert EGO not in seen["labels"]


def test_known_corners_fall_on_their_pixels():
    """The corners of a thin upright board, by hand: f = 48 pixels, looking 5 degrees down from 1.6 m at x = 1."""
    camera = sensors.camera("front", SIZE)
    point = np.array([[6.0, 2.0, 0.3]])  # in the ego frame
    pitch = np.radians(5)
    x, z = 6.0 - 1.0, 0.3 - 1.6
    depth = x * np.cos(pitch) - z * np.sin(pitch)
    down = -z * np.cos(pitch) - x * np.sin(pitch)
    pixels, found = project(point - (0, 0, sensors.LIDAR_HEIGHT), camera.intrinsics, camera.camera_from_lidar)
    np.testing.assert_allclose(found, depth)
    np.testing.assert_allclose(pixels[0], [47.5 - 48 * 2.0 / depth, 23.5 + 48 * down / depth])


@pytest.mark.parametrize("name", sensors.CAMERAS)
def test_cameras_look_where_they_should(name):
    camera = sensors.camera(name, SIZE)
    azimuth = np.radians(sensors.CAMERAS[name][0])
    ahead = np.array([[20 * np.cos(azimuth), 20 * np.sin(azimuth), -1.0]])
    pixels, depth = project(ahead, camera.intrinsics, camera.camera_from_lidar)
    assert depth[0] > 15
    assert abs(pixels[0, 0] - 47.5) < 3
    rotation = camera.camera_from_lidar[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) > 0


def test_shadows_lie_where_the_sun_does_not_reach_and_are_darker():
    world = box_world()
    seen = picture(world, size=(96, 192))
    road = seen["labels"] == 0
    assert (road & ~seen["lit"]).mean() > 0.02
    brightness = seen["image"].mean(axis=2)
    assert brightness[road & seen["lit"]].mean() > 1.3 * brightness[road & ~seen["lit"]].mean()


def test_patterns_move_with_their_object():
    """The same view of the same car, both 30 m farther along and turned: the same picture but for the noise."""
    world = box_world()
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    shift = np.array([30.0, -7.0, 0.0])
    pose = world.world_from_ego.copy()
    pose[:3, :3], pose[:3, 3] = turn, shift
    sun = turn @ world.light.sun
    moved = replace(
        world,
        vertices=world.vertices @ turn.T + shift,
        origins=world.origins @ turn.T + shift,
        yaws=world.yaws + np.pi / 2,
        world_from_ego=pose,
        light=replace(world.light, sun=sun),
    )
    first, second = picture(world), picture(moved)
    on_ground = first["labels"] >= 0
    np.testing.assert_array_equal(first["labels"], second["labels"])
    difference = np.abs(first["image"].astype(int) - second["image"])
    assert difference[on_ground].mean() < 0.5


@pytest.mark.skipif(not EMBREE, reason="embreex is not installed")
def test_both_ray_casters_make_the_same_pictures_and_scans():
    world = box_world()
    first, second = (picture(world, engine=engine) for engine in ("embree", "numpy"))
    assert (first["labels"] == second["labels"]).mean() > 0.999
    assert np.abs(first["image"].astype(int) - second["image"]).mean() < 0.5
    a, b = (scan(world, engine=engine) for engine in ("embree", "numpy"))
    common = len({tuple(p) for p in np.round(a.points, 4)} & {tuple(p) for p in np.round(b.points, 4)})
    assert common > 0.99 * max(len(a.points), len(b.points))
