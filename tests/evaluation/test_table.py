import math

from pointlift.evaluation.result import Column, Result, Row
from pointlift.evaluation.table import class_rows, columns, markdown, rows, tables, text

COLUMNS = (
    Column("miou", "mIoU", "share", "higher", "≥ 100 points"),
    Column("accuracy", "accuracy", "share", "higher"),
    Column("gap", "|ΔU|", better="lower"),
    Column("points", "points", "count"),
    Column("best_step", "best step", "steps"),
    Column("plateaued", "plateaued", "yes/no"),
)
CLASSES = (Column("points", "points", "count"), Column("iou", "IoU", "share", "higher"))


def row(name: str, miou: float | None, iou: float, subset: str = "", points: int = 1200, **more) -> Row:
    classes = {"car": {"iou": iou, "points": points}, "bus": {"iou": 0.0, "points": 0}}
    metrics = {"miou": miou, "accuracy": 0.875, "gap": 1 / 3, "points": 1200, **more}
    return Row(name, "student", metrics, subset, classes)


def result(*found: Row, **more) -> Result:
    words = {"seed": 0, "scans": ["a", "b"], "none": [], "features": {"student": "its output"}}
    return Result("zero-shot", COLUMNS, list(found), "miou", words=words, class_columns=CLASSES, **more)


def test_values_are_written_as_their_units_are() -> None:
    assert columns(result()) == ["", "mIoU (≥ 100 points)", "accuracy", "|ΔU|", "points", "best step", "plateaued"]
    found = result(row("student", 0.5, 0.5, best_step=1500, plateaued=True), row("student", None, 0, "visible points"))
    assert rows(found) == [
        ["student", "50.0", "87.5", "0.333", "1,200", "1,500", "yes"],
        ["student, visible points", "–", "87.5", "0.333", "1,200", "–", "–"],
    ]
    assert text(False, "yes/no") == "no"
    assert text(math.nan, "share") == "–"
    assert text(2, "number") == "2.000"


def test_class_rows_leave_out_classes_of_which_there_is_nothing() -> None:
    heading, body = class_rows(result(row("student", 0.5, 0.5), row("random", 0.5, 0.125)), CLASSES[1])
    assert heading == ["class", "points", "student", "random"]
    assert body == [["car", "1,200", "50.0", "12.5"]]


def test_class_points_differ_between_rows() -> None:
    _, body = class_rows(result(row("student", 0.5, 0.5), row("student", 0.5, 0.5, "seen", points=0)), CLASSES[1])
    assert body[0] == ["car", "1,200", "50.0", "–"]


def test_every_value_of_classes_has_a_table() -> None:
    found = result(row("student", 0.5, 0.5), run={"split": "test", "label_data": {"part": "a"}, "test_data": {"b": 1}})
    assert [title for title, _, _ in tables(found)] == ["zero-shot on test part=a b=1", "IoU per class, %"]
    found.class_columns = (*CLASSES, Column("depth", "mean depth"))
    found.rows[0].classes["car"]["depth"] = 3.0
    found.rows[0].classes["bus"]["depth"] = 0.0
    title, heading, body = tables(found)[2]
    assert (title, heading, body) == (
        "mean depth per class",
        ["class", "points", "student"],
        [["car", "1,200", "3.000"]],
    )


def test_results_without_classes_have_one_table() -> None:
    plain = Result("structure", COLUMNS[2:4], [Row("teacher", "teacher", {"points": 80000})], "gap")
    assert tables(plain) == [("structure", ["", "|ΔU|", "points"], [["teacher", "–", "80,000"]])]
    assert "Protocol" not in markdown(plain)


def test_markdown_has_tables_and_protocol() -> None:
    found = markdown(result(row("student", 0.5, 0.5)))
    assert "| student | 50.0 | 87.5 | 0.333 | 1,200 | – | – |" in found
    assert "| --- | ---: | ---: | ---: | ---: | ---: | ---: |" in found
    assert "bus" not in found
    assert "- scans: a, b\n- none: none\n- features:\n  - student: its output" in found
