import pytest

from pointlift.data.dataset import Scenes
from pointlift.errors import DataError, RecipeError
from pointlift.evaluation.base import each, require
from tests.evaluation.world import CLASSES, World, trial


def test_class_names_must_agree_and_exist(tmp_path) -> None:
    other = World(2)
    other.class_names = ("a", "b")
    with pytest.raises(DataError, match=r"classes \('left', .*, the test data \('a', 'b'\); they must be the same"):
        require(trial(tmp_path, test=other), "linear-probe")
    nameless = World(2)
    nameless.class_names = ()
    with pytest.raises(DataError, match="names no classes"):
        require(trial(tmp_path, train=nameless, test=nameless), "linear-probe")


def test_what_was_pretrained_on_may_have_other_classes_and_no_labels(tmp_path) -> None:
    other = World(2, labels=False)
    other.class_names = ("a", "b")
    require(trial(tmp_path, pretrained=other), "linear-probe")


@pytest.mark.parametrize(("which", "flag"), [("train", "--label-data"), ("test", "--test-data")])
def test_data_without_labels_are_one_sentence_before_a_scene_is_read(tmp_path, which: str, flag: str) -> None:
    class Unread(World):
        def __getitem__(self, index: int):
            raise AssertionError("the work has begun")

    said = f"needs labels of points, which the data set 'world' has not here .its labels: none.; .* {flag}"
    with pytest.raises(DataError, match=said):
        require(trial(tmp_path, **{which: Unread(2, labels=False)}), "finetune")


def test_scans_that_lack_the_labels_of_their_data_set_are_named(tmp_path) -> None:
    bare = Scenes(list(World(1, labels=False)), class_names=CLASSES, labels=frozenset({"points"}))
    with pytest.raises(DataError, match=r"test scan '00/000000' has no labels.*needs labelled points"):
        require(trial(tmp_path, test=bare), "exemplar")


def test_an_empty_split_is_named(tmp_path) -> None:
    with pytest.raises(DataError, match="the test split of 'world' has no scans"):
        require(trial(tmp_path, test=World(0)), "linear-probe")


@pytest.mark.parametrize(
    ("protocol", "changes", "said"),
    [
        (
            "zero-shot",
            {"trains": "tokens"},
            "no features in the teacher's space .it can be tested by fidelity, fine",
        ),
        ("zero-shot", {}, "the teacher has no text encoder"),
        ("structure", {"trains": None}, "trained the encoder alone"),
        ("retrieval", {}, "which only a method that trained token sets has"),
        ("reconstruction", {}, "such as point_transformer"),
    ],
)
def test_what_a_run_lacks_is_one_sentence(tmp_path, protocol: str, changes: dict, said: str) -> None:
    with pytest.raises(RecipeError, match=f"the protocol '{protocol}' .*{said}"):
        require(trial(tmp_path, **changes), protocol)


def test_each_reports_every_scene_it_gives(tmp_path) -> None:
    reports = []
    given = trial(tmp_path, progress=lambda *report: reports.append(report))
    assert [scene.id for scene in each(given, given.labelled, "some", [2, 0])] == ["01/000000", "00/000000"]
    assert reports == [("some", 1, 2), ("some", 2, 2)]
    assert len(list(each(given, given.test, "all"))) == 2
