from __future__ import annotations

import numpy as np
import pytest

from pointlift.worlds.engine import textures
from pointlift.worlds.engine.world import TEXTURES, Materials


def one_material(texture: str, scale: float = 1.0) -> Materials:
    single = np.array([0.5], np.float32)
    colors = np.full((1, 3), 0.5, np.float32)
    return Materials(
        colors, colors / 2, np.array([TEXTURES.index(texture)]), single * 2 * scale, single, single * 0, ((),)
    )


def pattern(
    texture: str, points: np.ndarray, normal=(0.0, -1.0, 0.0), footprint=1e-4, number=1, scale=1.0
) -> textures.Look:
    count = len(points)
    normals = np.broadcast_to(np.array(normal, dtype=float), (count, 3))
    zeros, size = np.zeros(count, np.int64), np.full(count, float(footprint))
    return textures.look(one_material(texture, scale), zeros, points, normals, np.full(count, number), size)


def on_a_wall(count: int = 4000) -> np.ndarray:
    return np.random.default_rng(0).uniform((0, 0, 0), (12, 0, 12), (count, 3))


@pytest.mark.parametrize("texture", TEXTURES)
def test_every_texture_mixes_the_two_colours_and_repeats_itself(texture):
    look = pattern(texture, on_a_wall())
    assert look.mix.dtype == np.float32
    assert look.mix.min() >= 0
    assert look.mix.max() <= 1
    assert look.mix.std() > 0.02
    np.testing.assert_array_equal(look.mix, pattern(texture, on_a_wall()).mix)


@pytest.mark.parametrize("texture", TEXTURES)
def test_details_smaller_than_a_pixel_fade_to_their_mean(texture):
    near, far = pattern(texture, on_a_wall()).mix, pattern(texture, on_a_wall(), footprint=50.0).mix
    assert far.std() < 0.75 * near.std()
    if texture not in ("asphalt", "leaves", "panels"):
        assert abs(far.mean() - near.mean()) < 0.08
        assert far.std() < 0.05


def test_objects_of_one_material_differ_and_scale_stretches():
    points = on_a_wall()
    assert np.abs(pattern("noise", points).mix - pattern("noise", points, number=2).mix).mean() > 0.05
    np.testing.assert_allclose(pattern("stripes", points).mix, pattern("stripes", 3 * points, scale=3.0).mix, atol=0.01)


def test_windows_are_glossy_and_stripes_lie_across():
    look = pattern("windows", on_a_wall())
    assert 0.1 < (look.gloss > 0.5).mean() < 0.5
    assert set(np.unique(look.gloss > 0.5)) == {False, True}
    points = on_a_wall()
    np.testing.assert_array_equal(
        pattern("stripes", points).mix, pattern("stripes", points + np.array([5.0, 0, 0])).mix
    )


@pytest.mark.parametrize("turn", [0.0, 0.7, 2.0])
def test_the_plane_of_a_wall_is_measured_along_it_wherever_it_faces(turn):
    points = on_a_wall(50)
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    normals = np.broadcast_to(rotation @ (0.0, -1.0, 0.0), points.shape)
    along, up = textures.surface_plane(points @ rotation.T, normals)
    np.testing.assert_allclose(np.abs(along), points[:, 0], atol=1e-12)
    np.testing.assert_allclose(up, points[:, 2])


def test_value_noise_interpolates_its_values_at_integers():
    seeds = np.zeros(9, np.int64)
    x, y = np.linspace(0, 1, 9), np.zeros(9)
    values = textures.value_noise((x, y), seeds)
    weight = x * x * (3 - 2 * x)
    np.testing.assert_allclose(values, values[0] + weight * (values[-1] - values[0]), atol=1e-6)
    grid = np.stack(np.meshgrid(np.arange(-60, 60), np.arange(60)), -1).reshape(-1, 2).astype(float)
    many = textures.value_noise((grid[:, 0], grid[:, 1]), np.zeros(len(grid), np.int64))
    assert abs(many.mean() - 0.5) < 0.02
    assert abs(many.std() - np.sqrt(1 / 12)) < 0.02
    table = many.reshape(60, 120)
    assert abs(np.corrcoef(table[:, 1:].ravel(), table[:, :-1].ravel())[0, 1]) < 0.05
    assert abs(np.corrcoef(table[1:].ravel(), table[:-1].ravel())[0, 1]) < 0.05
