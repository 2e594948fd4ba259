import json
from pathlib import Path

import pytest

from pointlift.report import markdown, summarise, tables
from pointlift.report.tables import Cell, Row
from tests.report.fabricate import linear_probe, three_losses, write_run


def test_best_only_beyond_both_spreads_and_never_on_one_seed() -> None:
    def marked(*cells: tuple[str, str]) -> list[bool]:
        rows = [Row("", [Cell(*cell)]) for cell in cells]
        tables.mark_best(rows)
        return [row.cells[0].best for row in rows]

    assert marked(("60.0", "1.0"), ("55.0", "2.0")) == [True, False]
    assert marked(("55.0", "2.0"), ("60.0", "1.0"), ("10.0", "0.1")) == [False, True, False]
    assert marked(("60.0", "3.0"), ("55.0", "2.0")) == [False, False]
    assert marked(("60.0", ""), ("55.0", "2.0")) == [False, False]
    assert marked(("60.0", "1.0")) == [False]
    assert marked() == []


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("zero-shot", "zero-shot"),
        ("zero-shot-sector=None", "zero-shot (no sector)"),
        ("linear-probe-beams=64-town=coast", "linear probe (beams=64, town=coast)"),
        ("finetune-ego_radius=2.5", "fine-tuning (ego_radius=2.5)"),
    ],
)
def test_names_of_results_are_read_out(file: str, said: str) -> None:
    assert tables.called(file) == said


@pytest.mark.parametrize(
    ("mean", "said"),
    [(99.94, "99.9"), (99.96, "100"), (9.996, "10.0"), (1234.5, "1234"), (0.0, "0.00"), (-99.96, "-100")],
)
def test_measures_have_three_digits(mean: float, said: str) -> None:
    assert tables.measure({"mean": mean, "std": None}).text == said


def test_the_share_of_the_teacher_is_at_the_same_points(tmp_path: Path) -> None:
    table = tables.ceiling(summarise(three_losses(tmp_path)), "zero-shot")
    assert table is not None
    first = table.rows[0]
    assert [str(cell) for cell in first.cells] == ["80.0", "67.0 ± 3.6", "84 %", "63.0 ± 3.6"]
    assert tables.ceiling(summarise(three_losses(tmp_path / "again")), "linear-probe") is None


def test_classes_are_sorted_by_their_points(tmp_path: Path) -> None:
    table = tables.per_class(summarise(three_losses(tmp_path)), "zero-shot")
    assert table is not None
    assert [row.name for row in table.rows] == ["road", "car", "pole"]
    assert table.columns[0] == "points"
    assert table.columns[-1] == "teacher, visible points"
    assert table.rows[1].cells[1].text == "31.5"


def test_structure_has_the_teacher_once(tmp_path: Path) -> None:
    table = tables.structure(summarise(three_losses(tmp_path)))
    assert table is not None
    assert [row.name for row in table.rows] == ["relational", "contrastive", "similarity", "teacher", "random network"]
    assert table.rows[0].cells[0].text == "2.13"


def test_nothing_measured_gives_no_tables(tmp_path: Path) -> None:
    assert tables.all_tables(summarise([write_run(tmp_path / "run", {})])) == []


def test_a_row_that_is_missing_everywhere_is_no_line(tmp_path: Path) -> None:
    summary = summarise([write_run(tmp_path / "run", {"linear-probe": linear_probe(0.5, baselines=False)})])
    table = tables.results(summary)
    assert table is not None
    assert [row.name for row in table.rows] == ["relational", "majority class"]


def test_a_protocol_with_its_own_columns_has_a_table_of_its_rows(tmp_path: Path) -> None:
    runs = []
    for seed, (loss, rank) in enumerate([(0.00265, 7.0), (0.00275, 8.0)]):
        rows = {"student": {"loss": loss, "rank": rank}, "training mean": {"loss": 0.00295, "rank": 1200.5}}
        run = write_run(tmp_path / f"run{seed}", {"retrieval": rows}, overrides={"seed": seed})
        path = run.folder / "evaluation" / "retrieval.json"
        columns = {"loss": "loss", "median rank": "rank", "other": "other"}
        path.write_text(json.dumps(json.loads(path.read_text()) | {"columns": columns}))
        runs.append(run)
    plain = write_run(tmp_path / "plain", {"linear-probe": linear_probe(0.5)}, "semantickitti-small-similarity")
    summary = summarise([*runs, plain])
    assert tables.measure_tasks(summary) == ["retrieval"]
    table = tables.measures(summary, "retrieval")
    assert table.columns == ["loss", "median rank", "other"]
    assert [heading for heading, _ in table.sections] == ["relational"]
    assert [(row.name, row.group, [str(cell) for cell in row.cells]) for row in table.rows] == [
        ("student", 0, ["0.00270 ± 7.1e-05", "7.50 ± 0.71", "–"]),
        ("training mean", None, ["0.00295", "1200", "–"]),
    ]
    assert "**Retrieval**" in markdown(summary)
    for group in summary["groups"]:
        if "retrieval" in group["tasks"]:
            group["tasks"]["retrieval-part=Rooms"] = group["tasks"].pop("retrieval")
    assert "Retrieval (part=Rooms)" in [heading for heading, _ in tables.all_tables(summary)]
