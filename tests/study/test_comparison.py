"""The table of a study: who is in it, means and spreads, units and directions."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from pointlift.evaluation.result import Column, Result, Row
from pointlift.study import Comparison, Measured, comparison


def measured(label: str, seed: int, results: dict[str, Result], control: bool = False) -> Measured:
    cell: Any = SimpleNamespace(label=label, control=control, recipe=SimpleNamespace(seed=seed))
    run: Any = None
    return Measured(cell, run, results)


def probe(value: float | None, *others: Row) -> Result:
    rows = [Row("student", "student", {"miou": value, "accuracy": 1.0}), *others]
    columns = (Column("accuracy", "accuracy", "share", "higher"), Column("miou", "mIoU", "share", "higher"))
    return Result("linear-probe", columns, rows, decides="miou")


def structure(value: float) -> Result:
    rows = [Row("student", "student", {"gap": value}), Row("teacher", "teacher", {"gap": 0.0}, subset="visible points")]
    return Result("structure", (Column("gap", "|ΔU|", "number", "lower"),), rows, decides="gap")


@pytest.fixture
def table() -> Comparison:
    random = Row("random network", "baseline", {"miou": 0.11})
    seen = Row("random network", "baseline", {"miou": 0.12}, subset="visible points")
    undefined = Row("teacher", "teacher", {"miou": None})
    return comparison(
        "T",
        [
            measured("one", 0, {"probe": probe(0.5, random, seen, undefined), "structure": structure(0.25)}),
            measured("wrong", 0, {"probe": probe(0.2)}, control=True),
            measured("two", 0, {"probe": probe(None), "structure": structure(1234.0)}),
            measured("one", 1, {"probe": probe(0.6), "structure": structure(0.35)}),
        ],
    )


def test_means_are_over_seeds_and_what_decides_is_shown(table: Comparison) -> None:
    one = table.lines[0]
    assert (one.name, one.role, one.seeds) == ("one", "student", (0, 1))
    assert one.cells[0].mean == pytest.approx(0.55)
    assert one.cells[0].std == pytest.approx(0.1 / 2**0.5)
    assert [column.key for _, column in table.columns] == ["miou", "gap"]


def test_rows_are_students_then_controls_then_references(table: Comparison) -> None:
    assert [(line.role, line.name) for line in table.lines] == [
        ("student", "one"), ("student", "two"), ("control", "wrong"),
        ("baseline", "random network"), ("teacher", "teacher, visible points"),
    ]  # fmt: skip


def test_text_has_units_directions_and_gaps(table: Comparison) -> None:
    heading, body = table.to_text()
    assert heading == ["", "seeds", "probe mIoU, % ↑", "structure |ΔU| ↓"]
    assert body == [
        ["one", "2", "55.0 ± 7.1", "0.3 ± 0.0707"],
        ["two", "1", "–", "1,234"],
        ["control: wrong", "1", "20.0", "–"],
        ["baseline: random network", "", "11.0", "–"],
        ["teacher, visible points", "", "–", "0"],
    ]


def test_json_keeps_every_value(table: Comparison) -> None:
    values = json.loads(json.dumps(table.to_dict()))
    said = {"evaluation": "structure", "key": "gap", "heading": "|ΔU|", "unit": "number", "better": "lower"}
    assert said.items() <= values["columns"][1].items()
    assert values["rows"][0]["cells"][0]["values"] == [0.5, 0.6]
    assert values["rows"][0]["seeds"] == [0, 1]
