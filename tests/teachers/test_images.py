from __future__ import annotations

import numpy as np
import pytest
import torch

from pointlift.teachers.images import teacher_size, view_features, view_to_tensor
from pointlift.teachers.sampling import sample_features
from tests.teachers.helpers import MeanColor, make_view, random_image


@pytest.mark.parametrize(
    ("size", "stride", "target", "scale", "expected"),
    [
        ((376, 1241), 14, None, 1.0, (378, 1246)),
        ((376, 1241), 14, None, 1.5, (560, 1862)),
        ((376, 1241), 14, (224, 448), 1.0, (224, 448)),
        ((376, 1241), 14, (230, 440), 1.0, (224, 434)),
        ((900, 1600), 16, None, 0.5, (448, 800)),
        ((3, 7), 14, None, 1.0, (14, 14)),
        ((21, 35), 14, None, 1.0, (28, 42)),
    ],
)
def test_teacher_size(size, stride, target, scale, expected):
    assert teacher_size(size, stride, target, scale) == expected


@pytest.mark.parametrize("arguments", [((8, 8), 0), ((8, 8), 4, None, 0.0), ((8, 8), 4, (0, 8)), ((0, 8), 4)])
def test_teacher_size_refuses(arguments):
    with pytest.raises(ValueError, match="must be"):
        teacher_size(*arguments)


def test_view_to_tensor_without_resizing_keeps_every_value():
    image = random_image(0)
    tensor = view_to_tensor(make_view(image), (16, 24))
    assert tensor.dtype == torch.float32
    np.testing.assert_array_equal((tensor * 255).round().numpy().astype(np.uint8).transpose(1, 2, 0), image)


@pytest.mark.parametrize("size", [(8, 12), (20, 40), (16, 24), (10, 36)])
def test_view_to_tensor_is_antialiased_bilinear(size):
    image = random_image(1)
    reference = torch.nn.functional.interpolate(
        torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255, size, mode="bilinear", antialias=True
    )[0]
    tensor = view_to_tensor(make_view(image), size)
    assert tensor.shape == (3, *size)
    assert (tensor - reference).abs().max() < 1.5 / 255  # PIL rounds to bytes


@pytest.mark.parametrize("target", [None, (40, 96), (60, 120), (80, 240)])
def test_pixels_of_the_original_stay_right_after_resizing(target):
    """On an image that is a ramp, sampled features are the ramp's own values at the original pixels."""
    height, width = 61, 119
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    image = np.stack([u * 2, v * 4, np.zeros_like(u)], axis=2).astype(np.uint8)
    view = make_view(image)
    feature_map = view_features(MeanColor(), [view], target)[0]
    random = np.random.default_rng(0)
    pixels = np.stack([random.uniform(8, width - 9, 50), random.uniform(8, height - 9, 50)], axis=1)
    samples = sample_features(
        feature_map[None],
        torch.zeros(50, dtype=torch.int64),
        torch.from_numpy(pixels).float(),
        torch.tensor([view.size]),
    )
    np.testing.assert_allclose(samples[:, 0] * 255, pixels[:, 0] * 2, atol=0.6)
    np.testing.assert_allclose(samples[:, 1] * 255, pixels[:, 1] * 4, atol=0.6)


def test_view_features_batches_equal_sizes_and_keeps_the_order():
    teacher = MeanColor()
    sizes = [(8, 8), (16, 8), (8, 8), (8, 8), (16, 8)]
    views = [make_view(random_image(seed, *size)) for seed, size in enumerate(sizes)]
    maps = view_features(teacher, views, batch_size=2)
    assert sorted(shape[0] for shape in teacher.shapes) == [1, 2, 2]
    for view, feature_map in zip(views, maps, strict=True):
        torch.testing.assert_close(feature_map, view_features(MeanColor(), [view])[0])
