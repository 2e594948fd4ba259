import numpy as np
import pytest

from pointlift.report.pictures.clusters import Cluster
from pointlift.report.pictures.mistakes import Confused, distinct, top_confusions
from pointlift.tasks.confusion import Confusion


def test_top_confusions_are_shares_of_the_true_class() -> None:
    confusion = Confusion(3, ("road", "car", "pole"))
    confusion.update(np.array([0] * 6 + [1] * 4 + [1, 2, 0]), np.array([0] * 10 + [1, 1, 2]))
    found = top_confusions(confusion, 5)
    assert found[0] == Confused("road", "car", 4, pytest.approx(0.4))
    assert set(found[1:]) == {Confused("car", "pole", 1, 0.5), Confused("pole", "road", 1, 1.0)}
    assert len(top_confusions(confusion, 1)) == 1
    assert top_confusions(Confusion(2), 5) == []


def test_distinct_clusters_are_the_largest_of_each_kind() -> None:
    sizes = ((0, 1, 5), (0, 1, 9), (1, 0, 7), (2, 0, 1), (2, 1, 3))
    clusters = [Cluster(0, np.arange(size), true, predicted) for true, predicted, size in sizes]
    found = [(one.true, one.predicted, len(one.points)) for one in distinct(clusters, 3)]
    assert found == [(0, 1, 9), (1, 0, 7), (2, 1, 3)]
