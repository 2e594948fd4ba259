from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from pointlift.data import ImageAugmentation, PointAugmentation, augment_image, augment_points
from pointlift.data.augmentation import in_sector
from pointlift.data.boxes import occupied
from pointlift.errors import DataError

STILL = {"rotate_z": 0, "flip_x": 0, "flip_y": 0, "drop_cuboid": 0}


def assert_still_paired(scene, pairs, atol=1e-3):
    """Every pair's point projects on the pair's pixel."""
    for index, view in enumerate(scene.views):
        mine = pairs.take(pairs.view_index == index)
        pixels, _ = view.project(scene.points[mine.point_index])
        np.testing.assert_allclose(pixels, mine.pixels, atol=atol)


def test_no_augmentation_changes_nothing(scene):
    pairs = scene.pairs()
    same, same_pairs = augment_points(scene, pairs, PointAugmentation(**STILL), np.random.default_rng(0))
    np.testing.assert_allclose(same.points, scene.points, atol=1e-6)
    np.testing.assert_array_equal(same_pairs.point_index, pairs.point_index)
    same.validate()


def test_rotation_turns_about_the_up_axis_only(scene):
    options = PointAugmentation(**{**STILL, "rotate_z": 180})
    turned, pairs = augment_points(scene, scene.pairs(), options, np.random.default_rng(0))
    np.testing.assert_allclose(turned.points[:, 2], scene.points[:, 2], atol=1e-5)
    np.testing.assert_allclose(np.hypot(*turned.points[:, :2].T), np.hypot(*scene.points[:, :2].T), atol=1e-4)
    angle = np.arctan2(*turned.points[:, 1::-1].T) - np.arctan2(*scene.points[:, 1::-1].T)
    np.testing.assert_allclose(np.exp(1j * angle), np.exp(1j * angle[0]), atol=1e-4)
    assert abs(np.angle(np.exp(1j * angle[0]))) > 0.05
    assert_still_paired(turned.validate(), pairs)


@pytest.mark.parametrize("up_axis", ["x", "y", "z", "-x", "-y", "-z"])
def test_rotation_and_flips_leave_heights_alone_for_any_up_axis(scene, up_axis):
    scene.up_axis = up_axis
    options = PointAugmentation(flip_x=1, flip_y=1, drop_cuboid=0)
    changed, _ = augment_points(scene, scene.pairs(), options, np.random.default_rng(0))
    up = "xyz".index(up_axis[-1])
    np.testing.assert_allclose(changed.points[:, up], scene.points[:, up], atol=1e-5)


@pytest.mark.parametrize(("flip", "axis"), [("flip_x", 0), ("flip_y", 1)])
def test_a_flip_mirrors_one_axis(scene, flip, axis):
    changed, pairs = augment_points(
        scene, scene.pairs(), PointAugmentation(**{**STILL, flip: 1}), np.random.default_rng(0)
    )
    expected = scene.points.copy()
    expected[:, axis] *= -1
    np.testing.assert_allclose(changed.points, expected, atol=1e-6)
    assert_still_paired(changed, pairs)


def test_scaling_multiplies_all_coordinates_by_one_factor(scene):
    options = PointAugmentation(**STILL, scale=(0.8, 1.2))
    changed, pairs = augment_points(scene, scene.pairs(), options, np.random.default_rng(0))
    factor = changed.points / scene.points
    np.testing.assert_allclose(factor, factor[0, 0], rtol=1e-4)
    assert 0.8 <= factor[0, 0] <= 1.2
    assert_still_paired(changed, pairs)


def test_a_dropped_cuboid_renumbers_pairs_and_fields(scene):
    pairs = scene.pairs()
    options = PointAugmentation(drop_cuboid=1, cuboid_fraction=0.9, min_pairs=1, scale=(0.9, 1.1))
    sizes = []
    for seed in range(20):
        changed, left = augment_points(scene, pairs, options, np.random.default_rng(seed))
        assert len(changed.features) == len(changed.labels) == len(changed.points)
        assert_still_paired(changed, left)
        # instances hold the original numbers, so what is left can be compared with what was there
        gone = np.setdiff1d(np.arange(500), changed.instances)
        expected = pairs.take(~np.isin(pairs.point_index, gone))
        np.testing.assert_array_equal(changed.instances[left.point_index], expected.point_index)
        np.testing.assert_array_equal(left.pixels, expected.pixels)
        low, high = scene.points[gone].min(axis=0), scene.points[gone].max(axis=0)
        inside = ((scene.points >= low) & (scene.points <= high)).all(axis=1)
        np.testing.assert_array_equal(np.flatnonzero(inside), gone)  # exactly one cuboid went
        sizes.append(len(gone))
    assert max(sizes) > 20


@pytest.mark.parametrize("factors", [1, 3])
def test_a_cuboid_has_one_factor_for_its_sides_or_three(scene, factors):
    """One factor takes E[f³] = c³/4 of a box, three take c³/8; the stream of the default is as it was."""
    options = PointAugmentation(**{**STILL, "drop_cuboid": 1}, cuboid_fraction=0.8, min_pairs=0, cuboid_factors=factors)
    alone = replace(scene, views=[])
    shares = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        moved, _ = augment_points(alone, alone.pairs(), options, rng)
        rng = np.random.default_rng(seed)
        rng.random()
        centre = scene.points[rng.integers(len(scene.points))]
        sides = rng.uniform(0.0, 0.8, size=factors) * (scene.points.max(axis=0) - scene.points.min(axis=0))
        kept = (np.abs(scene.points - centre) > sides / 2).any(axis=1)
        assert len(moved.points) == kept.sum()
        shares.append(1 - kept.mean())
    assert (np.mean(shares) > 0.06) == (factors == 1)


def test_a_cuboid_that_would_starve_a_view_is_put_back(scene):
    pairs = scene.pairs()
    enough = int(pairs.per_view(2).min())
    options = PointAugmentation(**{**STILL, "drop_cuboid": 1}, cuboid_fraction=1.0, min_pairs=enough)
    changes = 0
    for seed in range(30):
        changed, left = augment_points(scene, pairs, options, np.random.default_rng(seed))
        touched = left.per_view(2) < pairs.per_view(2)
        assert (left.per_view(2)[touched] >= enough).all()
        changes += len(changed) < len(scene)
    assert changes > 0
    options.min_pairs = 10**6  # a view that has few pairs to begin with forbids only cuboids that touch it
    changed, left = augment_points(scene, pairs, options, np.random.default_rng(0))
    np.testing.assert_array_equal(left.per_view(2), pairs.per_view(2))


def test_a_cloud_is_never_emptied(scene):
    one = scene.select(np.array([0]))
    options = PointAugmentation(cuboid_fraction=1.0, min_pairs=0)
    assert len(augment_points(one, one.pairs(), options, np.random.default_rng(0))[0]) == 1


def test_a_sector_is_a_range_of_azimuths(scene):
    azimuth = np.degrees(np.arctan2(scene.points[:, 1], scene.points[:, 0]))
    np.testing.assert_array_equal(in_sector(scene.points, (-45, 45)), np.abs(azimuth) <= 45)
    np.testing.assert_array_equal(in_sector(scene.points, (135, 225)), np.abs(azimuth) >= 135)
    assert in_sector(scene.points, (-180, 180)).all()


@pytest.mark.parametrize("sector", [(10, 10), (50, 20), (0, 361)])
def test_a_sector_that_makes_no_sense_is_an_error(scene, sector):
    with pytest.raises(DataError, match="0 < last - first <= 360"):
        in_sector(scene.points, sector)


def test_the_given_scene_is_not_changed_and_boxes_do_not_go_stale(scene):
    scene.boxes = np.array([[0.0, 0, 0, 30, 20, 10, 0.3]])
    before = scene.points.copy(), scene.views[0].camera_from_points.copy()
    changed, _ = augment_points(scene, scene.pairs(), PointAugmentation(min_pairs=0), np.random.default_rng(0))
    np.testing.assert_array_equal(scene.points, before[0])
    np.testing.assert_array_equal(scene.views[0].camera_from_points, before[1])
    assert scene.boxes.tolist() == [[0, 0, 0, 30, 20, 10, 0.3]]
    assert changed.boxes[0, :6].tolist() == pytest.approx([0, 0, 0, 30, 20, 10], abs=1e-9)
    assert occupied(changed.boxes, changed.points, "z").all()
    before_inside, inside = inside_of(scene), inside_of(changed)
    np.testing.assert_array_equal(inside, before_inside[changed.instances])  # the same points lie in the box


def inside_of(scene):
    """Mask of the points in the scene's first box."""
    return np.array([occupied(scene.boxes[:1], point[None], scene.up_axis)[0] for point in scene.points])


def test_the_same_generator_state_gives_the_same_result(scene):
    options = PointAugmentation(min_pairs=1, scale=(0.9, 1.1))
    one, _ = augment_points(scene, scene.pairs(), options, np.random.default_rng(5))
    two, _ = augment_points(scene, scene.pairs(), options, np.random.default_rng(5))
    np.testing.assert_array_equal(one.points, two.points)


def gradient(height: int, width: int) -> np.ndarray:
    """An image whose red is proportional to u and whose green is proportional to v."""
    v, u = np.mgrid[0:height, 0:width]
    return np.stack([u * 250 / width, v * 250 / height, np.zeros_like(u)], axis=-1).round().astype(np.uint8)


def sample(image: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Bilinear samples at (u, v), written out."""
    u = np.clip(pixels[:, 0], 0, image.shape[1] - 1)
    v = np.clip(pixels[:, 1], 0, image.shape[0] - 1)
    c, r = np.minimum(u.astype(int), image.shape[1] - 2), np.minimum(v.astype(int), image.shape[0] - 2)
    a, b = (u - c)[:, None], (v - r)[:, None]
    return (1 - b) * ((1 - a) * image[r, c] + a * image[r, c + 1]) + b * (
        (1 - a) * image[r + 1, c] + a * image[r + 1, c + 1]
    )


@pytest.mark.parametrize("flip", [0.0, 1.0])
@pytest.mark.parametrize("size", [(200, 320), (120, 500), (300, 150)])
def test_pixels_still_show_the_same_thing_after_crop_and_flip(size, flip):
    rng = np.random.default_rng(0)
    image = gradient(*size)
    pixels = (rng.random((3000, 2)) * (size[1], size[0]) - 0.5).astype(np.float32)
    options = ImageAugmentation(crop_size=(112, 208), min_pairs=100, flip=flip)
    for _ in range(5):
        new_image, new_pixels, kept = augment_image(image, pixels, options, rng)
        assert new_image.shape == (112, 208, 3)
        assert new_image.dtype == np.uint8
        assert new_pixels.dtype == np.float32
        assert len(new_pixels) == kept.sum() > 100
        assert (new_pixels >= -0.5).all()
        assert (new_pixels < (207.5, 111.5)).all()
        middle = (np.abs(new_pixels - (103.5, 55.5)) < (101, 53)).all(axis=1)  # borders are clamped when sampling
        old, new = sample(image, pixels[kept][middle]), sample(new_image, new_pixels[middle])
        assert np.abs(old - new).max() < 3


def test_the_crop_covers_the_area_asked_for():
    pixels = np.stack(np.meshgrid(np.arange(640), np.arange(400)), axis=-1).reshape(-1, 2).astype(np.float32)
    options = ImageAugmentation(flip=0)
    shares = [
        augment_image(gradient(400, 640), pixels, options, np.random.default_rng(seed))[2].mean() for seed in range(12)
    ]
    assert min(shares) >= 0.29
    assert max(shares) <= 1.0
    assert max(shares) - min(shares) > 0.2


def test_crops_are_tried_a_bounded_number_of_times_and_then_the_whole_image_is_used():
    image = gradient(100, 160)
    corner = np.full((10, 2), 2.0, np.float32)  # all pairs in one corner: a small crop never keeps 75 %
    options = ImageAugmentation(crop_size=(50, 80), area=(0.05, 0.06), min_pairs=1024, tries=3, flip=0)
    for seed in range(20):
        new_image, new_pixels, kept = augment_image(image, corner, options, np.random.default_rng(seed))
        assert kept.all()
        if np.allclose(new_pixels, 0.75):
            break
    np.testing.assert_allclose(new_pixels, (2.0 + 0.5) / 2 - 0.5)
    assert new_image.shape == (50, 80, 3)


def test_an_image_without_pairs_is_augmented_all_the_same():
    image, pixels, kept = augment_image(
        gradient(50, 80), np.empty((0, 2), np.float32), ImageAugmentation(crop_size=(14, 28)), np.random.default_rng(0)
    )
    assert image.shape == (14, 28, 3)
    assert pixels.shape == (0, 2)
    assert kept.shape == (0,)


def test_without_crop_and_flip_the_image_is_untouched():
    image, pixels = gradient(20, 30), np.array([[0.0, 0.0], [29.0, 19.0]], np.float32)
    same, same_pixels, kept = augment_image(
        image, pixels, ImageAugmentation(crop_size=None, flip=0), np.random.default_rng(0)
    )
    np.testing.assert_array_equal(same, image)
    np.testing.assert_array_equal(same_pixels, pixels)
    assert kept.all()
    flipped, flipped_pixels, _ = augment_image(
        image, pixels, ImageAugmentation(crop_size=None, flip=1), np.random.default_rng(0)
    )
    np.testing.assert_array_equal(flipped, image[:, ::-1])
    np.testing.assert_array_equal(flipped_pixels, [[29, 0], [0, 19]])


@pytest.mark.parametrize(
    "bad",
    [
        {"rotate": 10},
        {"rotate_z": 200},
        {"flip_x": 1.5},
        {"scale": (1.2, 0.8)},
        {"scale": (0.0, 1.0)},
        {"cuboid_fraction": 2},
    ],
)
def test_point_options_are_strict(bad):
    with pytest.raises(ValidationError):
        PointAugmentation(**bad)


@pytest.mark.parametrize(
    "bad", [{"crop": (2, 2)}, {"area": (0.0, 1.0)}, {"area": (0.5, 1.5)}, {"ratio": (2, 1)}, {"crop_size": (0, 5)}]
)
def test_image_options_are_strict(bad):
    with pytest.raises(ValidationError):
        ImageAugmentation(**bad)
