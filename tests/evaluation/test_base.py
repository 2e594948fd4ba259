import pytest

from pointlift.errors import DataError
from pointlift.evaluation.base import each
from tests.evaluation.world import World, trial


def test_class_names_must_agree_and_exist(tmp_path) -> None:
    other = World(2)
    other.class_names = ("a", "b")
    with pytest.raises(DataError, match="must be the same"):
        _ = trial(tmp_path, test=other).class_names
    nameless = World(2)
    nameless.class_names = ()
    with pytest.raises(DataError, match="names no classes"):
        _ = trial(tmp_path, train=nameless, test=nameless).class_names


def test_each_reports_every_scene_it_gives(tmp_path) -> None:
    reports = []
    given = trial(tmp_path, progress=lambda *report: reports.append(report))
    assert [scene.id for scene in each(given, given.train, "some", [2, 0])] == ["01/000000", "00/000000"]
    assert reports == [("some", 1, 2), ("some", 2, 2)]
    assert len(list(each(given, given.test, "all"))) == 2
