from __future__ import annotations

import numpy as np
import pytest

from pointlift.data.camera import project
from pointlift.worlds.street import ego

SIZE = (48, 96)


def test_known_corners_fall_on_their_pixels():
    """The corners of a thin upright board, by hand: f = 48 pixels, looking 5 degrees down from 1.6 m at x = 1."""
    camera = ego.camera("front", SIZE)
    point = np.array([[6.0, 2.0, 0.3]])  # in the ego frame
    pitch = np.radians(5)
    x, z = 6.0 - 1.0, 0.3 - 1.6
    depth = x * np.cos(pitch) - z * np.sin(pitch)
    down = -z * np.cos(pitch) - x * np.sin(pitch)
    pixels, found = project(point - (0, 0, ego.LIDAR_HEIGHT), camera.intrinsics, ego.camera_from_lidar(camera))
    np.testing.assert_allclose(found, depth)
    np.testing.assert_allclose(pixels[0], [47.5 - 48 * 2.0 / depth, 23.5 + 48 * down / depth])


@pytest.mark.parametrize("name", ego.CAMERAS)
def test_cameras_look_where_they_should(name):
    camera = ego.camera(name, SIZE)
    azimuth = np.radians(ego.CAMERAS[name][0])
    ahead = np.array([[20 * np.cos(azimuth), 20 * np.sin(azimuth), -1.0]])
    pixels, depth = project(ahead, camera.intrinsics, ego.camera_from_lidar(camera))
    assert depth[0] > 15
    assert abs(pixels[0, 0] - 47.5) < 3
    rotation = ego.camera_from_lidar(camera)[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) > 0
