import numpy as np
import pytest

from pointlift.errors import DataError, RecipeError
from pointlift.evaluation.base import (
    Chosen,
    Shortlist,
    describe_data,
    generator,
    ids_of,
    labels_of,
    majority_class,
    require_labels,
    require_positive,
    subset,
)
from pointlift.evaluation.base import scored as scored_metrics
from pointlift.evaluation.metrics import Confusion

from .world import CLASSES, World, trial


@pytest.mark.parametrize("count", [1, 7, 100, 350])
@pytest.mark.parametrize("every", [1, 2, 4, 5, 10, 20, 100])
def test_subset_is_every_kth_scan_from_the_first(count: int, every: int) -> None:
    assert subset(count, 1 / every) == list(range(0, count, every))


@pytest.mark.parametrize("fraction", [0.001, 0.013, 0.3, 0.75, 0.9])
def test_subset_of_other_fractions_has_their_size_and_never_less_than_one(fraction: float) -> None:
    chosen = subset(1000, fraction)
    assert abs(len(chosen) - 1000 * fraction) <= 1
    assert chosen == sorted(set(chosen))
    assert subset(3, fraction)[0] == 0


def test_subset_refuses_what_is_no_fraction() -> None:
    for fraction in (0.0, -0.5, 1.5):
        with pytest.raises(RecipeError, match="fraction"):
            subset(10, fraction)
    with pytest.raises(DataError, match="no scans"):
        subset(0, 1.0)


def test_labels_are_needed_and_must_be_classes() -> None:
    with pytest.raises(DataError, match=r"test scan '00/000000' has no labels.*needs labelled points"):
        labels_of(World(1, labels=False)[0], "test", 4)
    with pytest.raises(DataError, match="label 2"):
        labels_of(World(1)[0], "test", 2)


def test_options_below_zero_and_empty_splits_are_named(tmp_path) -> None:
    require_positive("structure", t=2.0)
    with pytest.raises(RecipeError, match="structure: t is 0; it must be above 0"):
        require_positive("structure", t=0)
    with pytest.raises(DataError, match="the test split of 'world' has no scans"):
        require_labels(trial(tmp_path, test=World(0)))


def test_class_names_must_agree_and_exist(tmp_path) -> None:
    other = World(2)
    other.class_names = ("a", "b")
    with pytest.raises(DataError, match="must be the same"):
        _ = trial(tmp_path, test=other).class_names
    nameless = World(2)
    nameless.class_names = ()
    with pytest.raises(DataError, match="names no classes"):
        _ = trial(tmp_path, train=nameless, test=nameless).class_names


def test_generator_depends_on_its_key_alone() -> None:
    first = generator(3, "points", "08/000001").random(4)
    assert np.array_equal(first, generator(3, "points", "08/000001").random(4))
    for other in (generator(4, "points", "08/000001"), generator(3, "pairs", "08/000001"), generator(3, "points", "x")):
        assert not np.array_equal(first, other.random(4))


def test_shortlist_keeps_the_smallest_keys_per_class() -> None:
    offers = []
    shortlist = Shortlist(3, limit=5)
    for scene_number in range(4):
        rng = generator(0, "test", str(scene_number))
        labels = np.random.default_rng(scene_number).integers(-1, 2, size=30)
        keys = generator(0, "test", str(scene_number)).random(30)
        shortlist.offer(scene_number, np.arange(100, 130), labels, rng)
        offers += [(keys[i], scene_number, 100 + i, labels[i]) for i in range(30)]
    expected = set()
    for label in (0, 1):
        members = sorted(offer for offer in offers if offer[3] == label)[:5]
        expected |= {(scene, index, label) for _, scene, index, _ in members}
    found = set()
    for scene_number in range(4):
        indices, labels = shortlist.of_scene(scene_number)
        assert np.array_equal(indices, np.sort(indices))
        found |= {(scene_number, i, c) for i, c in zip(indices.tolist(), labels.tolist(), strict=True)}
    assert found == expected
    assert shortlist.counts().tolist() == [5, 5, 0]


def test_shortlist_draws_uniformly_over_scenes() -> None:
    taken = np.zeros(2)
    for seed in range(200):
        shortlist = Shortlist(1, limit=10)
        for scene_number, size in enumerate((90, 10)):
            shortlist.offer(scene_number, np.arange(size), np.zeros(size, int), generator(seed, "u", str(scene_number)))
        taken += [len(shortlist.of_scene(0)[0]), len(shortlist.of_scene(1)[0])]
    assert taken[1] / taken.sum() == pytest.approx(0.1, abs=0.02)


def test_scored_is_json_able_and_needs_labels() -> None:
    few = Confusion(2)
    few.update(np.array([0, 1]), np.array([0, 0]))
    assert scored_metrics(few)["miou"] is None
    with pytest.raises(DataError, match="labelled test points"):
        scored_metrics(Confusion(2))


def test_majority_class_needs_a_label() -> None:
    assert majority_class(np.array([0, 4, 4])) == 1
    with pytest.raises(DataError, match="learns from labels"):
        majority_class(np.zeros(3, int))


def test_chosen_and_ids() -> None:
    world = World(5)
    some = Chosen(world, [4, 1])
    assert [scene.id for scene in some] == ["02/000000", "00/000001"]
    assert ids_of(world) == ids_of(list(world)) == world.ids


def test_protocol_says_which_data(tmp_path) -> None:
    said = describe_data(trial(tmp_path))
    assert said["training data"] == {"data set": "world", "scans": 4, "split": "all"}
    assert said["classes"] == list(CLASSES)
