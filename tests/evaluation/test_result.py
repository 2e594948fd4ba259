import json

import numpy as np
import pytest

from pointlift.errors import DataError
from pointlift.evaluation.result import Column, Result, Row


def result() -> Result:
    rows = [
        Row("student", "student", {"miou": np.float64(0.5), "n": np.int64(3)}, classes={"car": {"iou": 0.5}}),
        Row("student", "student", {"miou": float("nan")}, "visible points", details={"curve": ({"loss": 1.0},)}),
        Row("teacher", "teacher", {"miou": 0.8}, "visible points"),
        Row("random network", "baseline", {"miou": 0.1}),
    ]
    columns = (Column("miou", "mIoU", "share", "higher", "≥ 100 points"), Column("n", "points", "count"))
    return Result("zero-shot", columns, rows, "miou", {"templates": ("{}",)}, {"seed": 0}, "segmentation", columns[:1])


def test_json_and_back() -> None:
    first = result()
    text = json.dumps(first.to_dict(), allow_nan=False)
    again = Result.from_dict(json.loads(text))
    assert again.to_dict() == first.to_dict()
    assert again.columns == first.columns
    assert again.class_columns == first.class_columns
    assert again.row("student", "visible points").metrics == {"miou": None}
    assert again.row("student", "visible points").details == {"curve": [{"loss": 1.0}]}
    assert again.settings == {"templates": ["{}"]}


def test_rows_are_found_by_name_subset_and_role() -> None:
    found = result()
    assert found["student"]["miou"] == 0.5
    assert found.student.title == "student"
    assert found.row("teacher", "visible points").title == "teacher, visible points"
    assert [row.name for row in found.of_role("student", "visible points")] == ["student"]
    assert found.of_role("teacher") == []
    assert [row.role for row in found] == ["student", "student", "teacher", "baseline"]
    with pytest.raises(KeyError, match="no row 'teacher'"):
        found.row("teacher")
    with pytest.raises(KeyError, match="no row 'nobody' at visible points"):
        found.row("nobody", "visible points")


@pytest.mark.parametrize("wrong", [None, [], {}, {"format": 1}, {"format": 99, "rows": []}])
def test_what_is_no_result_is_one_sentence(wrong) -> None:
    with pytest.raises(DataError, match="x.json is not a result that this version of pointlift reads; measure again"):
        Result.from_dict(wrong, "x.json")


def test_a_damaged_result_is_one_sentence() -> None:
    values = result().to_dict()
    for key in ("columns", "rows", "decides", "protocol"):
        with pytest.raises(DataError, match="x.json is a damaged result .*; measure again"):
            Result.from_dict({other: value for other, value in values.items() if other != key}, "x.json")
    with pytest.raises(DataError, match="damaged"):
        Result.from_dict({**values, "rows": [{"nobody": 1}]}, "x.json")
