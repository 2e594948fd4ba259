from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pointlift.teachers.sampling import sample_features


def literal(maps, view_index, pixels, sizes):
    """Bilinear interpolation, one number at a time."""
    dim, h, w = maps.shape[1:]
    samples = np.zeros((len(pixels), dim))
    for p, (view, (u, v)) in enumerate(zip(view_index, pixels, strict=True)):
        height, width = sizes[view]
        x = min(max((u + 0.5) * w / width - 0.5, 0.0), w - 1.0)
        y = min(max((v + 0.5) * h / height - 0.5, 0.0), h - 1.0)
        x0, y0 = math.floor(x), math.floor(y)
        for dy, weight_y in ((0, 1 - (y - y0)), (1, y - y0)):
            for dx, weight_x in ((0, 1 - (x - x0)), (1, x - x0)):
                samples[p] += weight_y * weight_x * maps[view, :, min(y0 + dy, h - 1), min(x0 + dx, w - 1)]
    return samples


def case(points=200, seed=0, h=5, w=9):
    random = np.random.default_rng(seed)
    maps = random.normal(size=(3, 4, h, w))
    sizes = np.array([[70, 126], [71, 120], [33, 200]])
    view_index = random.integers(0, 3, points)
    pixels = random.uniform(-0.2, 1.2, (points, 2)) * sizes[view_index][:, ::-1]  # a part of them outside
    return maps, view_index, pixels, sizes


def tensors(maps, view_index, pixels, sizes):
    return torch.from_numpy(maps), torch.from_numpy(view_index), torch.from_numpy(pixels), torch.from_numpy(sizes)


@pytest.mark.parametrize(("h", "w"), [(5, 9), (1, 6), (1, 1)])
def test_equals_a_literal_loop(h, w):
    arguments = case(h=h, w=w)
    samples = sample_features(*tensors(*arguments))
    assert samples.dtype == torch.float32
    np.testing.assert_allclose(samples, literal(*arguments), atol=1e-5)


def test_equals_grid_sample():
    maps, view_index, pixels, sizes = tensors(*case())
    samples = sample_features(maps, view_index, pixels, sizes)
    for view in range(3):
        mine = view_index == view
        grid = (2 * pixels[mine] + 1) / sizes[view].flip(0) - 1
        expected = F.grid_sample(maps[view][None], grid[None, None], align_corners=False, padding_mode="border")
        torch.testing.assert_close(samples[mine], expected[0, :, 0].T.float(), atol=1e-5, rtol=1e-5)


def test_a_map_of_its_own_coordinates_returns_them():
    height, width, stride = 70, 126, 14
    h, w = height // stride, width // stride
    u = (torch.arange(w) + 0.5) * stride - 0.5
    v = (torch.arange(h) + 0.5) * stride - 0.5
    maps = torch.stack([u.expand(h, w), v[:, None].expand(h, w)])[None]
    pixels = torch.tensor([[6.5, 6.5], [7.0, 62.0], [100.25, 33.0], [118.5, 62.5]])
    samples = sample_features(maps, torch.zeros(4, dtype=torch.int64), pixels, torch.tensor([[height, width]]))
    torch.testing.assert_close(samples, pixels)
    outside = sample_features(
        maps, torch.zeros(1, dtype=torch.int64), torch.tensor([[-9.0, 999.0]]), torch.tensor([[height, width]])
    )
    torch.testing.assert_close(outside, torch.tensor([[6.5, 62.5]]))


def test_memory_layout_and_half_precision_do_not_matter():
    maps, view_index, pixels, sizes = tensors(*case())
    maps = maps.half()
    channels_last = maps.contiguous(memory_format=torch.channels_last)
    samples = sample_features(maps, view_index, pixels, sizes)
    torch.testing.assert_close(sample_features(channels_last, view_index, pixels, sizes), samples)
    torch.testing.assert_close(samples, sample_features(maps.float(), view_index, pixels, sizes))


def test_no_points():
    maps, view_index, pixels, sizes = tensors(*case(points=0))
    assert sample_features(maps, view_index, pixels, sizes).shape == (0, 4)


def test_refuses_wrong_shapes_and_nan():
    maps, view_index, pixels, sizes = tensors(*case())
    with pytest.raises(ValueError, match="expected view_index"):
        sample_features(maps, view_index, pixels[:5], sizes)
    with pytest.raises(ValueError, match="expected view_index"):
        sample_features(maps, view_index, pixels, sizes[:2])
    pixels[3, 1] = float("nan")
    with pytest.raises(ValueError, match="finite"):
        sample_features(maps, view_index, pixels, sizes)
