"""What every protocol keeps, run on a tiny world; a protocol that is not in the table of worlds fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from pointlift.data.dataset import Dataset
from pointlift.errors import PointliftError
from pointlift.evaluation.base import Need, Trial, unmet, unmet_by_data
from pointlift.evaluation.result import Result
from pointlift.evaluation.table import markdown, tables
from pointlift.registry import PROTOCOLS
from pointlift.students.base import Student
from pointlift.students.point_transformer import PointTransformer
from pointlift.tasks.segmentation import Segmentation
from tests.evaluation.world import World, trial
from tests.methods.frames import Frames, concept, student
from tests.tasks.toy import Centre, Clouds, ObjectClass

NAMES = PROTOCOLS.names()
SECRET = "a-place-of-this-machine"


def words(prompts: Any) -> torch.Tensor:
    return torch.tensor([[1.0 + sum(map(ord, text)) % 7, len(text), 3.0] for text in prompts])


def on_points(folder: Path) -> Trial:
    return trial(folder, embed_text=words, test=World(2, seed=1, points=800))


def on_frames(folder: Path) -> Trial:
    frames = Frames()

    def method(seed: int | None) -> Any:
        made = concept()
        if seed is None:
            made.prepare(frames)
        return made

    given = {"student": student(), "fresh_student": lambda seed: student(), "pixel_features": lambda: None}
    return trial(folder, train=frames, test=Frames(4, seed=1), method=method, trains="tokens", **given)


WORLDS: dict[str, tuple[Callable[[Path], Trial], dict[str, Any]]] = {
    "exemplar": (on_points, {"samples_per_class": 50}),
    "fidelity": (on_points, {"points": 200, "occlusion": 0.05, "min_depth": 1.0, "batch_size": 1}),
    "finetune": (on_points, {"steps": 4, "evaluate_every": 2, "warmup_steps": 0, "scratch_learning_rate": 0.01}),
    "linear-probe": (on_points, {"minimum_steps": 20, "classifier_epochs": 1, "points_per_scene": 100, "raw_mlp": 4}),
    "reconstruction": (on_frames, {"points": 64, "steps": 2, "batch_size": 2}),
    "retrieval": (on_frames, {"batch_size": 3}),
    "structure": (on_points, {"points_per_class": 30, "occlusion": 0.05}),
    "zero-shot": (on_points, {"prompts": {"left": ["port", "larboard"]}, "templates": ["my {}"], "ensemble": "max"}),
}
"""A trial for each protocol, and options that make it quick, some of them not as usual."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Result]:
    """The result of each protocol, measured once."""
    torch.set_num_threads(1)
    found: dict[str, Result] = {}

    def of(name: str) -> Result:
        if name not in found:
            make, options = WORLDS[name]
            found[name] = PROTOCOLS.build(name, make(tmp_path_factory.mktemp(SECRET)), **options)
        return found[name]

    return of


@pytest.mark.parametrize("name", NAMES)
def test_rows_have_roles_and_columns_have_values(name: str, results: Callable[[str], Result]) -> None:
    result = results(name)
    assert result.protocol == name
    declared = PROTOCOLS.get(name).declared
    assert result.task == ("segmentation" if "labels" in {*declared["needs"], *declared.get("uses", ())} else None)
    assert result.student.subset == ""
    assert result.of_role("baseline")
    assert {row.role for row in result} <= {"student", "teacher", "baseline"}
    assert len({(row.name, row.subset) for row in result}) == len(result.rows)
    assert len({column.key for column in result.columns}) == len(result.columns)
    for column in result.columns:
        assert any(column.key in row.metrics for row in result), column
    deciding = next(column for column in result.columns if column.key == result.decides)
    assert deciding.better is not None
    assert result.student.metrics[result.decides] is not None
    for row in result:
        assert all(not isinstance(value, dict) for value in row.metrics.values()), "nested values are details"
        assert bool(row.classes) == bool(result.class_columns)
    for column in result.class_columns:
        assert all(column.key in one for row in result for one in row.classes.values())


@pytest.mark.parametrize("name", NAMES)
def test_results_survive_json_and_are_shown(name: str, results: Callable[[str], Result]) -> None:
    result = results(name)
    text = json.dumps(result.to_dict(), allow_nan=False)
    again = Result.from_dict(json.loads(text))
    assert again.to_dict() == result.to_dict()
    assert again.columns == result.columns
    assert [row.title for row in again] == [row.title for row in result]
    for _, heading, body in tables(result):
        assert all(len(row) == len(heading) for row in body)
    assert all(row.title in markdown(result) for row in result)


@pytest.mark.parametrize("name", NAMES)
def test_settings_name_every_option_and_no_place(name: str, results: Callable[[str], Result]) -> None:
    result = results(name)
    options = set(PROTOCOLS.options(name).model_fields) - {"name"}
    assert options <= set(result.settings)
    assert {"seed", "data"} <= set(result.settings)
    assert {"pretrained", "test"} <= set(result.settings["data"])
    for key, value in WORLDS[name][1].items():
        found = result.settings[key]
        assert all(found[one] == value[one] for one in value) if isinstance(value, dict) else found == value
    text = json.dumps(result.to_dict())
    assert SECRET not in text
    assert "/tmp" not in text


@pytest.mark.parametrize("name", NAMES)
def test_the_same_settings_give_the_same_numbers(name: str, results: Callable[[str], Result], tmp_path: Path) -> None:
    first = json.loads(json.dumps(results(name).to_dict()))
    options = {key: first["settings"][key] for key in PROTOCOLS.options(name).model_fields if key != "name"}
    given = WORLDS[name][0](tmp_path)
    given.seed = first["settings"]["seed"]
    again = PROTOCOLS.build(name, given, **options).to_dict()
    assert again["rows"] == first["rows"]
    assert again["settings"] == first["settings"]


class Unread(World):
    """A data set of which nothing may be read."""

    def __getitem__(self, index: int) -> Any:
        raise AssertionError("the work has begun")


LACKS: dict[str, dict[str, Any]] = {
    "labels": {"test": Unread(2, labels=False)},
    "row classes": {"task": Centre(Clouds(2)), "labelled": Clouds(2), "test": Clouds(2)},
    "point classes": {"task": ObjectClass(Clouds(2)), "labelled": Clouds(2), "test": Clouds(2)},
    "point features": {"trains": None},
    "text": {"embed_text": None},
    "tokens": {"trains": "points"},
    "patches": {"student": Student()},
}
"""What takes each need away; the teacher is what is opened last."""


@pytest.mark.parametrize(("name", "need"), [(name, need) for name in NAMES for need in LACKS])
def test_a_need_that_is_taken_away_is_one_sentence(name: str, need: str, tmp_path: Path) -> None:
    make, options = WORLDS[name]
    if need not in PROTOCOLS.get(name).declared["needs"]:
        return
    given = make(tmp_path)
    for key, value in {"labelled": Unread(4), **LACKS[need]}.items():
        setattr(given, key, value)
    with pytest.raises(PointliftError) as caught:
        PROTOCOLS.build(name, given, **options)
    assert "\n" not in str(caught.value)


def test_every_need_can_be_taken_away() -> None:
    assert {*LACKS, "teacher"} == set(get_args(Need))
    known: dict[str, Any] = {"trains": "points", "has_text": True, "student": PointTransformer}
    assert unmet(("point features", "teacher", "text", "patches"), **known) is None
    assert unmet(("tokens",), **known | {"trains": "tokens"}) is None
    for need, lack in {
        "point features": {"trains": None},
        "teacher": {"has_teacher": False},
        "text": {"has_text": False},
        "tokens": {"trains": "points"},
        "patches": {"student": Student},
    }.items():
        assert unmet((need,), **known | lack)
    data: Dataset = World(2)
    assert unmet_by_data(("labels", "row classes", "point classes"), Segmentation(data), data, data) is None
