import numpy as np
import torch

from pointlift.data.scene import Pairs
from pointlift.evaluation.visibility import Visibility, visible_features
from tests.evaluation.protocols.test_exemplar import noisy_colors, unit
from tests.evaluation.world import World, pixel_colors


def test_visible_features_average_unit_features_over_views() -> None:
    scene = World(1, views=2)[0]
    pairs = scene.pairs()
    features = noisy_colors(scene, pairs).numpy().astype(np.float64)
    seen, found = visible_features(scene, pairs, noisy_colors)
    assert seen.tolist() == sorted(set(pairs.point_index.tolist()))
    for row, point in enumerate(seen):
        expected = np.mean([unit(features[i]) for i in np.flatnonzero(pairs.point_index == point)], axis=0)
        assert np.allclose(found[row], expected, atol=1e-6)


def test_pairs_of_no_view() -> None:
    scene = World(1, views=0)[0]
    seen, features = visible_features(scene, scene.pairs(), pixel_colors)
    assert (len(seen), features.shape) == (0, (0, 3))
    assert isinstance(scene.pairs(), Pairs)


def test_the_rule_is_that_of_the_scene_and_said() -> None:
    scene = World(1)[0]
    rule = Visibility(min_depth=6.0, occlusion=0.05)
    expected = scene.pairs(min_depth=6.0, occlusion=0.05)
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(rule.pairs(scene), expected, strict=True))
    assert 0 < len(expected.point_index) < len(scene.pairs().point_index)
    assert "depth > 6 m" in rule.in_words()
    assert "tolerance 0.05" in rule.in_words()
    assert "no occlusion test" in Visibility().in_words()


def test_views_in_which_the_teacher_says_nothing_do_not_count() -> None:
    scene = World(1, views=3)[0]
    pairs = scene.pairs()

    def partly(scene, pairs) -> torch.Tensor:
        """Nothing in view 0, nothing at all of every third point."""
        silent = (pairs.view_index == 0) | (pairs.point_index % 3 == 0)
        return noisy_colors(scene, pairs) * torch.from_numpy(~silent)[:, None]

    features = noisy_colors(scene, pairs).numpy().astype(np.float64)
    seen, found = visible_features(scene, pairs, partly)
    assert seen.tolist() == sorted(set(pairs.point_index.tolist()))
    for row, point in enumerate(seen):
        rows = np.flatnonzero((pairs.point_index == point) & (pairs.view_index > 0))
        expected = np.zeros(3) if point % 3 == 0 else np.mean([unit(features[i]) for i in rows], axis=0)
        assert np.allclose(found[row], expected, atol=1e-6)
    assert "says something" in Visibility().in_words()
