from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pointlift.data.camera import back_project
from pointlift.worlds.engine.rays import EMBREE
from pointlift.worlds.street import ego
from pointlift.worlds.street.classes import EGO
from tests.worlds.street.boxes import box_world, distance_to_boxes, picture, scan

SIZE = (48, 96)


def test_a_picture_agrees_with_its_own_depth_labels_and_calibration():
    world = box_world(x=-2.0)
    seen = picture(world)
    assert seen["image"].dtype == np.uint8
    assert seen["image"].shape == (*SIZE, 3)
    camera = ego.camera("front", SIZE)
    points = back_project(seen["depth"], camera.intrinsics).reshape(-1, 3)
    points = points[np.isfinite(points).all(axis=1)]
    lidar = np.linalg.inv(ego.camera_from_lidar(camera))
    assert distance_to_boxes((points @ lidar[:3, :3].T + lidar[:3, 3])[::7], world).max() < 1e-3
    sky = seen["depth"] == 0
    assert sky.any()
    np.testing.assert_array_equal(seen["labels"] == -1, sky)
    np.testing.assert_array_equal(seen["material"] == -1, sky)
    assert not seen["lit"][sky].any()
    assert EGO not in seen["labels"]


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


def test_a_camera_takes_points_of_its_mount_to_its_own_frame():
    """Whatever the origin of the points and the pose of the mount: the camera's own place is at 0."""
    camera = ego.camera("left", SIZE)
    origin = np.array([0.5, -1.0, 1.9])
    matrix = camera.camera_from_points(origin)
    np.testing.assert_allclose(matrix[:3, :3] @ (camera.pose[:3, 3] - origin) + matrix[:3, 3], 0, atol=1e-12)
    np.testing.assert_allclose(camera.camera_from_points(), np.linalg.inv(camera.pose), atol=1e-12)
    pose = np.eye(4)
    pose[:3, 3] = 10.0, 20.0, 30.0
    np.testing.assert_array_equal(camera.placed(pose).pose[:3, 3], camera.pose[:3, 3] + (10, 20, 30))
