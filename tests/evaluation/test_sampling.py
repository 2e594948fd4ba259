import numpy as np
import pytest

from pointlift.data.selection import split_by_sequence
from pointlift.errors import DataError, RecipeError
from pointlift.evaluation.sampling import Shortlist, generator, spread, subset


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


def test_held_out_are_whole_last_sequences() -> None:
    ids = ["00/0", "00/1", "01/0", "01/1", "02/0", "02/1", "02/2", "03/0"]
    kept, held, rule = split_by_sequence(ids, 0.1)
    assert (kept, held) == ([0, 1, 2, 3, 4, 5, 6], [7])
    assert "03" in rule
    assert split_by_sequence(ids, 0.3)[1] == [4, 5, 6, 7]
    assert split_by_sequence(ids, 0.99)[0] == [0, 1]  # the first sequence stays


def test_held_out_of_one_sequence_are_its_last_scans() -> None:
    kept, held, rule = split_by_sequence([f"scan{i}" for i in range(10)], 0.15)
    assert (kept, held) == (list(range(8)), [8, 9])
    assert "one sequence" in rule
    assert split_by_sequence(["a", "b"], 0.99)[0] == [0]
    with pytest.raises(DataError, match="at least two training scans"):
        split_by_sequence(["a"], 0.5)


def test_spread() -> None:
    assert spread(range(100), 3) == [0, 50, 99] or spread(range(100), 3) == [0, 49, 99]
    assert spread([4, 7], 8) == [4, 7]
    assert spread([4, 7], 0) == [4]


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
