from pathlib import Path

import pytest

from pointlift.evaluation.result import Column, Result, Row
from pointlift.report import markdown, summarise, tables
from pointlift.report.cells import Table
from tests.report.fabricate import linear_probe, retrieval, structure, three_losses, write_result, write_run, zero_shot


def names(table: Table | None) -> dict[str, list[str]]:
    assert table is not None
    return {section.heading: [line.name for line in section.lines] for section in table.sections}


def texts(table: Table | None, line: str) -> list[str]:
    assert table is not None
    return next([str(cell) for cell in one.cells] for one in table.lines if one.name == line)


def test_results_side_by_side_have_a_section_for_each_role(tmp_path: Path) -> None:
    table = tables.results(summarise(three_losses(tmp_path)))
    assert names(table) == {
        "Pretrained": ["relational", "contrastive", "similarity"],
        "Controls": ["relational · pairs shuffled"],
        "Baselines": ["random network", "majority class", "raw features", "local geometry"],
        "The teacher itself": ["teacher, visible points"],
    }
    assert table is not None
    assert table.columns == ["seeds", "mIoU, %", "mIoU, %", "relational gap ↓"]
    assert [title for title, _ in table.spans] == ["", "zero-shot", "linear-probe", "structure"]
    assert texts(table, "relational") == ["3", "63.0 ± 3.6", "73.0 ± 3.6", "0.213 ± 0.0036"]
    assert texts(table, "relational · pairs shuffled") == ["one", "5.0", "–", "–"]
    assert texts(table, "raw features") == ["", "–", "25.0", "–"]
    assert texts(table, "teacher, visible points") == ["", "80.0", "–", "–"]


def test_of_a_loss_the_lowest_is_marked(tmp_path: Path) -> None:
    runs = []
    for name, losses in (("relational", (0.001, 0.0011)), ("contrastive", (0.003, 0.0031))):
        for seed, loss in enumerate(losses):
            results = [retrieval(loss, 8.0), zero_shot(loss * 100, 0.5)]
            runs.append(write_run(tmp_path / f"{name}{seed}", results, f"semantickitti-small-{name}", {"seed": seed}))
    table = tables.results(summarise(runs))
    assert table is not None
    best = {line.name: [cell.best for cell in line.cells] for line in table.lines[:2]}
    assert table.columns == ["seeds", "mIoU, %", "loss ↓"]
    assert best == {"relational": [False, False, True], "contrastive": [False, True, False]}


def test_the_share_of_the_teacher_is_at_the_same_points(tmp_path: Path) -> None:
    summary = summarise(three_losses(tmp_path))
    table = tables.ceiling(summary, "zero-shot")
    assert table is not None
    assert table.columns[:2] == ["teacher, visible points", "student, visible points"]
    assert texts(table, "relational") == ["80.0", "67.0 ± 3.6", "83.8 ± 4.5", "63.0 ± 3.6"]
    shares = summary.groups[0].results["zero-shot"].student("visible points")
    assert shares is not None
    assert table.lines[0].cells[2].value == shares.metrics["share_of_teacher"]
    assert tables.ceiling(summary, "linear-probe") is None
    assert tables.ceiling(summary, "structure") is None


def test_classes_are_sorted_by_their_points(tmp_path: Path) -> None:
    table = tables.per_class(summarise(three_losses(tmp_path)), "zero-shot")
    assert table is not None
    assert [line.name for line in table.lines] == ["road", "car", "pole"]
    students = ["relational", "contrastive", "similarity", "relational · pairs shuffled"]
    assert table.columns == ["points", *students, "random network", "teacher, visible points"]  # no class for all
    assert table.lines[1].cells[1].text == "31.5"
    assert table.lines[1].cells[1].share == pytest.approx(0.315)


def test_a_result_in_full_has_its_columns_and_its_subsets(tmp_path: Path) -> None:
    table = tables.in_full(summarise(three_losses(tmp_path)), "zero-shot")
    assert names(table) == {
        "Pretrained": ["relational", "contrastive", "similarity"],
        "Controls": ["relational · pairs shuffled"],
        "Baselines": ["random network", "majority class"],
        "Pretrained, visible points": ["relational", "contrastive", "similarity"],
        "Controls, visible points": ["relational · pairs shuffled"],
        "Baselines, visible points": ["random network", "majority class"],
        "The teacher itself, visible points": ["teacher"],
    }
    assert table.columns == ["mIoU, %", "mIoU, all classes, %", "accuracy, %", "points", "of the teacher's, %"]
    assert texts(table, "relational") == ["63.0 ± 3.6", "31.5 ± 1.8", "83.0 ± 3.6", "1,000", "–"]
    probe = tables.in_full(summarise(three_losses(tmp_path / "again")), "linear-probe")
    assert names(probe)["Pretrained"][:2] == ["relational", "relational: student, decoder"]
    assert "of the teacher's, %" not in probe.columns


def test_structure_has_the_teacher_once(tmp_path: Path) -> None:
    table = tables.in_full(summarise(three_losses(tmp_path)), "structure")
    assert names(table) == {
        "Pretrained": ["relational", "contrastive", "similarity"],
        "Baselines": ["random network"],
        "The teacher itself": ["teacher"],
    }
    assert texts(table, "relational")[0] == "2.13 ± 0.036"


def test_another_teacher_is_another_line_but_a_controls_baselines_are_none(tmp_path: Path) -> None:
    given = [write_run(tmp_path / "a", [structure(1.9, 0.6)]), write_run(tmp_path / "b", overrides={"seed": 1})]
    other = structure(1.0, 0.9)
    other.row("teacher").metrics["uniformity"] = 0.5
    other.row("random network").metrics["uniformity"] = 3.0
    given.append(write_run(tmp_path / "c", [other], overrides={"teacher.random": True}))
    table = tables.in_full(summarise(given), "structure")
    assert names(table)["Baselines"] == ["random network"]
    assert names(table)["The teacher itself"] == ["teacher", "teacher of relational · random teacher"]
    assert texts(table, "teacher of relational · random teacher")[0] == "0.500"


def test_nothing_measured_gives_no_tables(tmp_path: Path) -> None:
    assert tables.all_tables(summarise([write_run(tmp_path / "run")])) == []


def test_a_row_that_is_missing_everywhere_is_no_line(tmp_path: Path) -> None:
    summary = summarise([write_run(tmp_path / "run", [linear_probe(0.5, baselines=False)])])
    assert names(tables.results(summary)) == {"Pretrained": ["relational"], "Baselines": ["majority class"]}


def test_a_protocol_with_columns_of_its_own_has_a_table_of_its_rows(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / f"run{seed}", [retrieval(loss, rank)], overrides={"seed": seed})
        for seed, (loss, rank) in enumerate([(0.00265, 7.0), (0.00275, 8.0)])
    ]
    plain = write_run(tmp_path / "plain", [linear_probe(0.5)], "semantickitti-small-similarity")
    summary = summarise([*runs, plain])
    table = tables.in_full(summary, "retrieval")
    assert table.columns == ["loss ↓", "median rank"]  # of "other" there is nothing
    assert [(line.name, line.group, [str(cell) for cell in line.cells]) for line in table.lines] == [
        ("relational", 0, ["0.00270 ± 7.1e-05", "7.50 ± 0.71"]),
        ("training mean", None, ["0.00295", "1200"]),
    ]
    assert "**retrieval**" in markdown(summary)
    write_result(plain, retrieval(0.001, 5.0), test_data={"part": "Rooms"})
    assert "retrieval (part=Rooms)" in [title for title, _ in tables.all_tables(summarise([*runs, plain]))]


def test_a_task_that_is_not_there_yet_has_its_tables(tmp_path: Path) -> None:
    """Detection, say, by a protocol of a plug-in that is not loaded: nothing is known of it but its result."""
    columns = (Column("map", "mAP", "share", "higher"), Column("error", "yaw error", better="lower"))
    classes = {name: {"ap": value, "boxes": boxes} for name, value, boxes in (("car", 0.5, 10), ("cyclist", 0.25, 40))}
    of_classes = (Column("boxes", "boxes", "count"), Column("ap", "AP", "share", "higher"))
    rows = [
        Row("student", "student", {"map": 0.375, "error": 0.1}, "", classes),
        Row("anchors", "baseline", {"map": 0.1}),
    ]
    result = Result("few-boxes", columns, rows, "map", task="detection", class_columns=of_classes)
    summary = summarise([write_run(tmp_path / "run", [result])])
    assert [title for title, _ in tables.all_tables(summary)] == [
        "Results",
        "few-boxes (detection): AP per class, %",
        "few-boxes (detection)",
    ]
    table = tables.per_class(summary, "few-boxes+detection")
    assert table is not None
    assert [(line.name, [str(cell) for cell in line.cells]) for line in table.lines] == [
        ("cyclist", ["40", "25.0"]),
        ("car", ["10", "50.0"]),
    ]


def test_markdown_has_one_line_per_group_and_baselines_once(tmp_path: Path) -> None:
    text = markdown(summarise(three_losses(tmp_path)))
    results = text.split("\n\n")[1].splitlines()
    assert results[0] == "|  | seeds | zero-shot mIoU, % | linear-probe mIoU, % | structure relational gap ↓ |"
    assert results[2] == "| relational | 3 | 63.0 ± 3.6 | 73.0 ± 3.6 | 0.213 ± 0.0036 |"
    assert results[4] == "| similarity | one | 58.0 | 68.0 | 0.208 |"
    assert results[5] == "| relational · pairs shuffled | one | 5.0 | – | – |"
    assert [line.split("|")[1].strip() for line in results[6:]] == [
        "*random network*",
        "*majority class*",
        "*raw features*",
        "*local geometry*",
        "*teacher, visible points*",
    ]


def test_brief_tables_leave_out_classes_and_what_is_in_the_first(tmp_path: Path) -> None:
    found = [title for title, _ in tables.all_tables(summarise(three_losses(tmp_path)), brief=True)]
    assert found == ["Results", "zero-shot: beside the teacher", "structure"]
