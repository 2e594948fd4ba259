import numpy as np

from pointlift.report.pictures.clusters import components, wrong_clusters


def flood(points: np.ndarray, kind: np.ndarray, cell: float) -> np.ndarray:
    """Literal: points are linked if of one kind and in cells that differ by at most 1 in each coordinate."""
    lattice = np.floor(points / cell)
    number = np.full(len(points), -1)
    for start in range(len(points)):
        if number[start] >= 0:
            continue
        front = [start]
        while front:
            point = front.pop()
            number[point] = start
            touching = (np.abs(lattice - lattice[point]).max(axis=1) <= 1) & (kind == kind[point]) & (number < 0)
            front += np.flatnonzero(touching).tolist()
    return number


def test_components_are_those_of_a_flood_fill() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        points, kind = rng.uniform(-6, 6, (300, 3)) * (1, 1, 0.3), rng.integers(0, 3, 300)
        found, expected = components(points, kind, 0.7), flood(points, kind, 0.7)
        assert np.array_equal(found[:, None] == found, expected[:, None] == expected)


def test_a_long_chain_is_one_component() -> None:
    points = np.stack([np.arange(200) * 0.6, np.zeros(200), np.zeros(200)], axis=1)
    assert set(components(points, np.zeros(200, np.int64)).tolist()) == {0}


def test_wrong_clusters_are_the_largest_first() -> None:
    points = np.array([[0.0, 0, 0]] * 3 + [[50.0, 0, 0]] * 5 + [[0.0, 50, 0]] * 9)
    labels = np.array([0] * 3 + [1] * 5 + [-1] * 4 + [2] * 5)
    predicted = np.array([1] * 3 + [0] * 5 + [0] * 4 + [2] * 5)
    found = wrong_clusters(7, points, labels, predicted, 5)
    assert [(one.scan, len(one.points), one.true, one.predicted) for one in found] == [(7, 5, 1, 0), (7, 3, 0, 1)]
    assert wrong_clusters(7, points, labels, np.maximum(labels, 0), 5) == []
