from __future__ import annotations

from dataclasses import fields
from functools import cache

import numpy as np
import pytest

from pointlift.errors import DataError
from pointlift.worlds.engine.materials import COLORS
from pointlift.worlds.engine.world import TEXTURES
from pointlift.worlds.street import town
from pointlift.worlds.street.classes import ATTRIBUTES, CLASSES, EGO
from pointlift.worlds.street.ego import Moment
from pointlift.worlds.street.site import CLEARANCE, HEADROOM

CASES = [(seed, style) for style in town.STYLES for seed in (3, 4)]
FEW = CASES[::2]
NAMES = [name for name, _ in CLASSES]
ARRAYS = ("vertices", "faces", "labels", "instances", "material_of", "origins", "yaws", "world_from_ego")


@cache
def built(seed: int, style: str) -> town.Town:
    return town.build(seed, style=style)


@cache
def world(seed: int, style: str, frame: int = 0) -> Moment:
    return built(seed, style).world(frame)


def in_ego(world: Moment, points: np.ndarray) -> np.ndarray:
    """Points in the ego vehicle's frame."""
    return (points - world.world_from_ego[:3, 3]) @ world.world_from_ego[:3, :3]


@pytest.mark.parametrize("seed, style", CASES)
def test_a_world_keeps_its_contract(seed, style):
    scene = world(seed, style)
    count, objects, rows = len(scene.faces), len(scene.origins), len(scene.materials.words)
    assert scene.vertices.dtype == np.float64
    assert np.isfinite(scene.vertices).all()
    for name, limit in (("labels", len(CLASSES)), ("instances", objects), ("material_of", rows)):
        values = getattr(scene, name)
        assert values.shape == (count,)
        assert values.dtype == np.int64
        assert values.max() < limit
        assert values.min() >= (EGO if name == "labels" else 0)
    assert not (scene.labels == -1).any()
    assert scene.faces.shape == (count, 3)
    assert scene.faces.dtype == np.int64
    np.testing.assert_array_equal(np.unique(scene.faces), np.arange(len(scene.vertices)))
    assert 20_000 < count < 160_000
    assert scene.origins.shape == (objects, 3)
    assert scene.yaws.shape == (objects,)
    np.testing.assert_array_equal(scene.origins[0], 0)
    assert scene.yaws[0] == 0


@pytest.mark.parametrize("seed, style", CASES)
def test_materials_keep_their_contract(seed, style):
    materials = world(seed, style).materials
    rows = len(materials.words)
    for field in fields(materials):
        values = getattr(materials, field.name)
        if field.name == "words":
            continue
        assert values.shape == ((rows, 3) if "colors" in field.name else (rows,))
        assert values.dtype == (np.int64 if field.name == "textures" else np.float32)
        assert np.isfinite(values).all()
    for values in (materials.colors, materials.second_colors, materials.reflectance, materials.gloss):
        assert 0 <= values.min() <= values.max() <= 1
    assert (materials.scales > 0).all()
    assert 0 <= materials.textures.min() <= materials.textures.max() < len(TEXTURES)
    for words in materials.words:
        assert words[0] in COLORS
        assert set(words) <= set(ATTRIBUTES)
        assert len(set(words)) == len(words)


@pytest.mark.parametrize("seed, style", FEW)
def test_light_and_pose_keep_their_contract(seed, style):
    scene = world(seed, style, 5)
    light = scene.light
    assert np.linalg.norm(light.sun) == pytest.approx(1)
    assert light.sun[2] > 0.15
    for color in (light.sun_color, light.ambient, light.zenith, light.horizon):
        assert color.shape == (3,)
        assert color.dtype == np.float32
        assert (color >= 0).all()
    assert light.haze > 100
    assert 0 <= light.clouds <= 1
    assert 0.2 < light.exposure < 5
    rotation = scene.world_from_ego[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert rotation[2, 2] > 0.97
    np.testing.assert_array_equal(scene.world_from_ego[3], [0, 0, 0, 1])


def test_the_vocabulary_is_small_and_every_word_is_used():
    assert len(ATTRIBUTES) == len(set(ATTRIBUTES)) < 90
    assert all(word.isalpha() and word.islower() for word in ATTRIBUTES)
    used = {word for case in CASES for words in world(*case).materials.words for word in words}
    assert set(ATTRIBUTES) - used == set()


def test_the_same_seed_gives_the_same_arrays_and_another_seed_or_style_others():
    first, again = town.build(3, style="suburb").world(4), world(3, "suburb", 4)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert first.materials.words == again.materials.words
    for field in fields(first.materials):
        if field.name != "words":
            np.testing.assert_array_equal(getattr(first.materials, field.name), getattr(again.materials, field.name))
    for field in fields(first.light):
        np.testing.assert_array_equal(getattr(first.light, field.name), getattr(again.light, field.name))
    shapes = {world(seed, style, 4).vertices.shape for seed, style in CASES}
    assert len(shapes) == len(CASES)


@pytest.mark.parametrize("seed, style", FEW)
def test_every_class_is_near_the_path(seed, style):
    seen = np.zeros(len(CLASSES), bool)
    for frame in range(0, built(seed, style).frames, 3):
        scene = world(seed, style, frame)
        middles = in_ego(scene, scene.vertices[scene.faces].mean(1))
        near = (np.linalg.norm(middles, axis=1) < 60) & (scene.labels >= 0)
        seen[np.unique(scene.labels[near])] = True
    assert [name for name, there in zip(NAMES, seen, strict=True) if not there] == []


@pytest.mark.parametrize("seed, style", FEW)
def test_nothing_that_stands_is_near_the_path_and_nothing_that_moves_touches_the_ego_vehicle(seed, style):
    """Points are compared with the line of the ego vehicle's own poses, as straight pieces between frames."""
    made = built(seed, style)
    poses = np.stack([made.pose(frame) for frame in range(made.frames)])
    moving = {mover.instance for mover in made._movers}
    ground = NAMES.index("road"), NAMES.index("pavement")
    for frame in (0, 7, made.frames - 1):
        scene = world(seed, style, frame)
        solid = (scene.instances > 0) & (scene.labels != EGO)
        still = solid & ~np.isin(scene.instances, list(moving))
        for pose in poses[::3]:
            points = (scene.vertices[scene.faces[still]].reshape(-1, 3) - pose[:3, 3]) @ pose[:3, :3]
            close = (np.abs(points[:, 0]) < 2) & (points[:, 2] < HEADROOM - 0.3)
            assert np.abs(points[close, 1]).min(initial=9) > CLEARANCE - 0.05
        points = in_ego(scene, scene.vertices[scene.faces[solid]].reshape(-1, 3))
        inside = (np.abs(points[:, 0]) < 4.5) & (np.abs(points[:, 1]) < 1.4) & (points[:, 2] < 3)
        assert not inside.any()
        assert set(scene.labels[scene.instances == 0]) <= {*ground, NAMES.index("terrain")}


@pytest.mark.parametrize("seed, style", FEW)
def test_the_ego_vehicle_stands_on_the_road_under_the_sensors(seed, style):
    scene = world(seed, style, 6)
    points = in_ego(scene, scene.vertices)
    body = points[np.unique(scene.faces[scene.labels == EGO])]
    assert body[:, 2].max() < 1.6
    assert -3 < body[:, 0].min() < -2
    assert 1 < body[:, 0].max() < 2
    assert np.abs(body[:, 1]).max() < 1.05
    corners = points[scene.faces[(scene.instances == 0)]]
    below = (corners[:, :, 0].min(1) < 0) & (corners[:, :, 0].max(1) > 0)
    below &= (corners[:, :, 1].min(1) < 0) & (corners[:, :, 1].max(1) > 0)
    assert np.abs(corners[below][:, :, 2]).max() < 0.25
    assert "road" in {NAMES[label] for label in scene.labels[scene.instances == 0][below]}


@pytest.mark.parametrize("seed, style", FEW)
def test_hardly_any_triangle_is_degenerate(seed, style):
    scene = world(seed, style)
    a, b, c = np.moveaxis(scene.vertices[scene.faces], 1, 0)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    assert (area < 1e-8).mean() < 1e-3


@pytest.mark.parametrize("seed, style", FEW)
def test_ground_faces_up_and_objects_stand_on_it(seed, style):
    scene = world(seed, style)
    flat = scene.vertices[scene.faces[scene.instances == 0]]
    normal = np.cross(flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0])
    upright = np.abs(normal[:, 2]) < 0.3 * np.linalg.norm(normal, axis=1)  # kerbs and the sides of markings
    tops = normal[~upright]
    assert (tops[:, 2] > 0).mean() > 0.8  # markings are thin slabs and have an underside
    heights = np.concatenate([flat.mean(1)])
    cars = np.isin(scene.labels, [NAMES.index("car"), NAMES.index("lorry"), NAMES.index("pedestrian")])
    for instance in np.unique(scene.instances[cars])[::5]:
        vertices = scene.vertices[np.unique(scene.faces[scene.instances == instance])]
        nearest = np.argmin(np.hypot(*(heights[:, :2] - vertices[:, :2].mean(0)).T))
        assert abs(vertices[:, 2].min() - heights[nearest, 2]) < 1.0


def test_moving_objects_move_and_parked_ones_do_not():
    made = built(3, "centre")
    first, later = world(3, "centre", 2), world(3, "centre", 4)
    moving = np.array(sorted(mover.instance for mover in made._movers))
    both = np.intersect1d(np.unique(first.instances), np.unique(later.instances))
    steps = np.linalg.norm(first.origins - later.origins, axis=1)
    assert (steps[np.intersect1d(both, moving)] > 0.5).all()
    assert (steps[np.setdiff1d(both, moving)] == 0).all()
    labels = {
        NAMES[first.labels[first.instances == i][0]] for i in moving if (first.labels[first.instances == i] >= 0).any()
    }
    assert {"car", "pedestrian"} <= labels
    for instance in np.setdiff1d(both, moving)[1::20]:
        one, other = (w.vertices[np.unique(w.faces[w.instances == instance])] for w in (first, later))
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("seed, style", CASES)
def test_the_ego_vehicle_drives_at_town_speed(seed, style):
    made = built(seed, style)
    assert made.frames >= 12
    places = np.stack([made.pose(frame)[:3, 3] for frame in range(made.frames)])
    speed = np.linalg.norm(np.diff(places, axis=0), axis=1) / town.INTERVAL
    assert 2.7 < speed.min() <= speed.max() < 12.5


def test_towns_of_a_style_vary_and_the_coast_differs():
    def share(style: str, word: str) -> float:
        """Of the materials of two towns, those that carry a word."""
        return float(np.mean([word in words for seed in (3, 4) for words in world(seed, style).materials.words]))

    assert share("coast", "palm") > 0
    assert share("coast", "sand") > share("suburb", "sand")
    assert share("suburb", "palm") == share("centre", "palm") == 0
    assert share("industrial", "warehouse") > share("suburb", "warehouse")
    assert share("centre", "shop") > share("industrial", "shop") == 0
    exposures = {float(world(*case).light.exposure) for case in CASES}
    assert len(exposures) == len(CASES)


@pytest.mark.parametrize("frame", [-1, 16, 1000])
def test_a_frame_that_is_not_there_is_an_error(frame):
    with pytest.raises(DataError, match="frame must lie between 0 and 15"):
        built(3, "suburb").world(frame)


def test_an_unknown_town_and_a_negative_seed_are_errors():
    with pytest.raises(DataError, match="suburb, centre, industrial, coast, not 'village'"):
        town.build(0, style="village")
    with pytest.raises(DataError, match="seed must be at least 0"):
        town.build(-1, style="suburb")
