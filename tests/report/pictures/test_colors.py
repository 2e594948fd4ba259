import numpy as np
import torch

from pointlift.report.pictures.colors import UNKNOWN, class_colors, feature_colors, readable


def test_the_basis_is_that_of_the_teacher_and_shared() -> None:
    teacher = torch.randn(500, 8, generator=torch.Generator().manual_seed(0)) * torch.tensor([5.0, 4, 3, 1, 1, 1, 1, 1])
    colors = feature_colors(teacher)
    unit = torch.nn.functional.normalize(teacher, dim=1)
    values = torch.linalg.svd(unit - unit.mean(dim=0), full_matrices=False)
    expected = (unit - unit.mean(dim=0)) @ values.Vh[:3].T
    found = (unit - colors.mean) @ colors.directions
    assert torch.allclose(found.abs(), expected.abs(), atol=1e-4)
    assert np.array_equal(colors(teacher), colors(3.0 * teacher))  # length carries nothing
    assert np.array_equal(colors(teacher[:5]), colors(teacher)[:5])


def test_few_channels_and_collapsed_features_have_colours() -> None:
    assert feature_colors(torch.randn(20, 2))(torch.randn(4, 2)).shape == (4, 3)
    assert feature_colors(torch.ones(20, 5))(torch.ones(4, 5)).shape == (4, 3)


def test_colours_are_seen_on_white_and_on_black() -> None:
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 6)] * 3), axis=-1).reshape(-1, 3)
    found = readable(grid)
    assert 0 <= found.min() <= found.max() <= 1
    luminance = found**2.2 @ np.array([0.2126, 0.7152, 0.0722])
    for background in (0.01, 0.93):
        light, dark = np.maximum(luminance, background), np.minimum(luminance, background)
        assert ((light + 0.05) / (dark + 0.05)).min() > 1.5


def test_no_class_has_the_last_colour() -> None:
    palette = class_colors(["a", "b"], [(0, 0, 0), (255, 255, 255)])
    assert palette.shape == (3, 4)
    assert palette[np.array([-1])][0, 3] < 255


def test_where_the_teacher_says_nothing_it_is_grey() -> None:
    features = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    silent = torch.cat([features, torch.zeros(40, 6)])
    colors = feature_colors(features)
    assert torch.equal(feature_colors(silent).mean, colors.mean)
    assert (colors(silent)[50:] == UNKNOWN[:3]).all()
    assert np.array_equal(colors(silent)[:50], colors(features))
