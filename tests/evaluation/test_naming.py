import string
from itertools import combinations
from typing import Any

import pytest

from pointlift.evaluation.naming import result_name


def named(**run: Any) -> str:
    return result_name("zero-shot", "segmentation", run)


@pytest.mark.parametrize(
    ("run", "name"),
    [
        ({}, "zero-shot"),
        ({"split": "val", "test_data": {}, "label_data": {}}, "zero-shot"),
        ({"split": "test"}, "zero-shot-split=test"),
        ({"test_data": {"sequences": 2, "frames": 1}}, "zero-shot-frames=1-sequences=2"),
        ({"test_data": {"town": "coast", "sector": None}}, "zero-shot-sector=null-town=coast"),
        ({"test_data": {"sector": [-30, 60]}}, "zero-shot-sector=[-30,60]"),
        ({"label_data": {"name": "rooms"}, "split": "test"}, "zero-shot-split=test-label.name=rooms"),
        ({"test_data": {"root": "/a b"}}, "zero-shot-root=%22%2Fa%20b%22"),
    ],
)
def test_what_is_not_as_usual_is_in_the_name(run: dict[str, Any], name: str) -> None:
    assert named(**run) == name


def test_other_data_have_another_name() -> None:
    values = [
        [-30, 60], [30, 60], "[30,60]", None, "null", "None", True, "true", 8, "8", 8.0, "08", "a-b=1", "a", "a b",
        "a_b", "A", ["a", "b"], ["a,b"], {"a": 1}, "é", "", "%22", [], 1e-9,
    ]  # fmt: skip
    runs: list[dict[str, Any]] = [{"test_data": {"key": value}} for value in values]
    runs += [{"label_data": {"key": value}} for value in values]
    runs += [{"test_data": {"key": "a", "b": 1}}, {"test_data": {"key": "a-b=1"}}, {"split": "key"}, {"split": "a"}]
    runs += [{"test_data": {"key": list(range(100))}}, {"test_data": {"key": list(range(101))}}]
    names = [named(**run) for run in runs]
    for (one, a), (other, b) in combinations(zip(names, runs, strict=True), 2):
        assert one != other or a == b
    assert all(
        len(name) <= 120 and set(name) <= {*string.ascii_letters, *string.digits, *"-=[],._%~"} for name in names
    )


def test_another_task_is_another_result() -> None:
    assert result_name("linear-probe", None, {}) == result_name("linear-probe", "segmentation", {}) == "linear-probe"
    assert result_name("linear-probe", "detection", {}) == "linear-probe+detection"
