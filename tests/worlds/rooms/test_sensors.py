from __future__ import annotations

import numpy as np
import pytest

from pointlift.data import camera
from pointlift.worlds.engine.rays import Caster
from pointlift.worlds.rooms import sensors, world

SIZE = (48, 64)


@pytest.fixture(scope="module")
def bedroom() -> tuple[world.Room, Caster]:
    room = world.build(5, kind="bedroom")
    return room, Caster(room.vertices, room.faces)


@pytest.fixture(scope="module")
def pictures(bedroom) -> list[sensors.Picture]:
    room, caster = bedroom
    return [
        sensors.render(room, caster, pose, SIZE, np.random.default_rng(i)) for i, pose in enumerate(room.poses[::4])
    ]


def test_a_picture_keeps_its_contract(pictures):
    for seen in pictures:
        assert (seen.image.shape, seen.image.dtype) == ((*SIZE, 3), np.uint8)
        assert seen.labels.min() >= -1
        assert seen.labels.max() < 20
        assert (seen.true_depth > 0).all()  # a room is closed
        assert 60 < seen.image.mean() < 200
        assert seen.image.std() > 15


def test_true_depth_is_that_of_the_surface_that_is_seen(bedroom, pictures):
    """Back-projected pixels lie on the thing that the picture says, in its box."""
    room, _ = bedroom
    boxes = dict(zip(room.box_instances, room.boxes, strict=True))
    for seen, pose in zip(pictures, room.poses[::4], strict=True):
        points = camera.back_project(seen.true_depth, sensors.intrinsics(SIZE)).reshape(-1, 3)
        points = camera.transform(pose, points)
        assert (points > -1e-6).all()
        assert (points < room.size + 1e-6).all()
        for thing in np.unique(seen.instances):
            if thing in boxes:
                box = boxes[thing]
                away = points[seen.instances.reshape(-1) == thing] - box[:3]
                cos, sin = np.cos(box[6]), np.sin(box[6])
                x, y = cos * away[:, 0] + sin * away[:, 1], cos * away[:, 1] - sin * away[:, 0]
                assert (np.abs(np.stack([x, y, away[:, 2]], axis=1)) < box[3:6] / 2 + 1e-6).all()


def test_measured_depth_has_the_noise_and_the_holes_that_are_documented(pictures):
    measured = np.concatenate([seen.depth.reshape(-1) for seen in pictures])
    true = np.concatenate([seen.true_depth.reshape(-1) for seen in pictures])
    lost = measured == 0
    assert 0.005 < lost.mean() < 0.35
    error = (measured - true)[~lost]
    sigma = 0.0012 + 0.0019 * (true[~lost] - 0.4) ** 2
    assert (error / sigma).std() == pytest.approx(1, abs=0.05)
    edges = np.concatenate(
        [np.pad(np.abs(np.diff(seen.true_depth, axis=1)) > 0.3, ((0, 0), (1, 0))).reshape(-1) for seen in pictures]
    )
    assert lost[edges].mean() > 2 * lost[~edges].mean()
    assert (true[~lost] < sensors.FAR + 0.5).all()


def test_lamps_cast_shadows(bedroom):
    """A point is lit by as much of a lamp as rays to all of it find free."""
    room, caster = bedroom
    rng = np.random.default_rng(0)
    floor = np.column_stack([rng.uniform(0.2, room.size[:2] - 0.2, (300, 2)), np.full(300, 0.02)])
    up = np.tile([0.0, 0.0, 1.0], (300, 1))
    lamp = room.lamps[0]
    shares = np.mean([sensors._received(room, caster, floor, up, rng.random((300, 2)))[0][:, 0] for _ in range(40)], 0)
    for index in range(0, 300, 29):
        corners = [lamp.position + a * lamp.across + b * lamp.up for a in (-0.9, 0, 0.9) for b in (-0.9, 0, 0.9)]
        ways = np.array(corners) - floor[index]
        length = np.linalg.norm(ways, axis=1)
        start = np.tile(floor[index], (9, 1))
        free = (caster.first_hit(start, ways / length[:, None])[0] > length - 0.03).mean()
        assert abs(free - shares[index]) < 0.45
        if free in (0.0, 1.0):
            assert abs(free - shares[index]) < 0.3
    assert (shares > 0.5).mean() > 0.05


def test_the_hemisphere_is_drawn_by_its_cosine():
    rng = np.random.default_rng(1)
    normal = np.array([0.3, -0.5, 0.81])
    normal /= np.linalg.norm(normal)
    rays = sensors._hemisphere(np.tile(normal, (40_000, 1)), rng.random((40_000, 2)))
    np.testing.assert_allclose(np.linalg.norm(rays, axis=1), 1, atol=1e-9)
    cosine = rays @ normal
    assert cosine.min() >= -1e-9
    assert cosine.mean() == pytest.approx(2 / 3, abs=0.01)  # of a density proportional to the cosine
    np.testing.assert_allclose(rays.mean(axis=0), normal * 2 / 3, atol=0.01)


def test_smoothing_stays_on_a_surface():
    normals = np.zeros((8, 8, 3))
    normals[:, :4, 0] = 1
    normals[:, 4:, 1] = 1
    alike = sensors._Alike(normals, np.ones((8, 8)))
    values = np.zeros((8, 8))
    values[:, 4:] = 1
    np.testing.assert_array_equal(alike.smoothed(values.reshape(-1, 1)).reshape(8, 8), values)
    noisy = np.random.default_rng(0).random((64, 1)).astype(np.float32)
    assert alike.smoothed(noisy).std() < 0.6 * noisy.std()


def test_a_cloud_is_equally_dense_and_seen_from_the_path(bedroom):
    room, caster = bedroom
    made = sensors.cloud(room, caster, 6_000, np.random.default_rng(0))
    assert made.points.shape == (6_000, 3)
    assert made.colors.dtype == np.uint8
    assert (made.points > -0.02).all()
    assert (made.points < room.size + 0.02).all()
    walls = made.points[made.labels == 0]
    near = [(np.abs(walls[:, 0]) < 0.02).sum() / room.size[1], (np.abs(walls[:, 1]) < 0.02).sum() / room.size[0]]
    floor = (made.labels == 1).sum()
    assert floor > 0.05 * 6_000
    assert 0.2 < near[0] / near[1] < 5
    for place in made.points[::600]:
        ways = place - room.poses[::2, :3, 3]
        length = np.linalg.norm(ways, axis=1)
        hit = caster.first_hit(room.poses[::2, :3, 3], ways / length[:, None])[0]
        assert (hit > length - 0.15).any()
