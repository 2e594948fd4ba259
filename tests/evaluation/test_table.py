from pointlift.evaluation.table import class_rows, columns, markdown, rows


def metrics(miou: float | None, iou: float) -> dict:
    classes = {
        "car": {"iou": iou, "accuracy": 0.5, "points": 1200, "predicted": 3},
        "bus": {"iou": 0.0, "accuracy": 0.0, "points": 0, "predicted": 0},
    }
    return {"miou": miou, "miou_all": 0.25, "accuracy": 0.875, "points": 1200, "classes": classes}


SEGMENTATION = {
    "protocol": {"seed": 0, "scans": ["a", "b"], "none": [], "features": {"student": "its output"}},
    "results": {"student": metrics(0.5, 0.5), "random": metrics(None, 0.125)},
}
STRUCTURE = {"results": {"teacher": {"uniformity": 1.5, "tolerance": 0.73, "points": 80000}}}


def test_segmentation_rows() -> None:
    assert columns(SEGMENTATION) == ["", "mIoU (≥ 100 points)", "mIoU, all classes", "accuracy", "points"]
    assert rows(SEGMENTATION) == [
        ["student", "50.0", "25.0", "87.5", "1,200"],
        ["random", "–", "25.0", "87.5", "1,200"],
    ]


def test_class_rows_leave_out_classes_without_points() -> None:
    heading, body = class_rows(SEGMENTATION)
    assert heading == ["class", "points", "student", "random"]
    assert body == [["car", "1,200", "50.0", "12.5"]]
    assert class_rows(STRUCTURE) == ([], [])


def test_class_points_differ_between_rows() -> None:
    visible = metrics(0.5, 0.5)
    visible["classes"]["car"]["points"] = 0
    _, body = class_rows({"results": {"student": metrics(0.5, 0.5), "visible": visible}})
    assert body[0] == ["car", "1,200", "50.0", "–"]


def test_structure_rows() -> None:
    assert columns(STRUCTURE)[1:5] == ["U", "|ΔU|", "T", "|ΔT|"]
    assert rows(STRUCTURE) == [["teacher", "1.500", "–", "0.730", "–", "–", "–", "–", "–", "80,000"]]


def test_finetuning_rows_say_whether_it_plateaued() -> None:
    tuned = {
        "results": {
            "pretrained": {**metrics(0.5, 0.5), "plateaued": True, "best_step": 150},
            "majority": metrics(0.1, 0),
        }
    }
    assert columns(tuned)[-2:] == ["best step", "plateaued"]
    assert [row[-2:] for row in rows(tuned)] == [["150", "yes"], ["–", "–"]]


def test_markdown_has_tables_and_protocol() -> None:
    text = markdown(SEGMENTATION)
    assert "| student | 50.0 | 25.0 | 87.5 | 1,200 |" in text
    assert "| --- | ---: | ---: | ---: | ---: |" in text
    assert "bus" not in text
    assert "- scans: a, b\n- none: none\n- features:\n  - student: its output" in text
    assert "Protocol" not in markdown(STRUCTURE)
