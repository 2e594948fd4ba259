import pytest

from pointlift.evaluation.result import Column, Direction, Unit
from pointlift.report import cells
from pointlift.report.cells import Line, Section, Table
from pointlift.report.summary import Statistic


def over_seeds(mean: float, std: float | None) -> Statistic:
    return Statistic(mean, std, [mean])


def marked(*values: tuple[float, float | None], better: Direction | None = "higher") -> list[bool]:
    column = Column("key", "heading", better=better)
    lines = [Line("", [cells.cell(over_seeds(*one), "number")]) for one in values]
    cells.mark_best(lines, [column])
    return [line.cells[0].best for line in lines]


def test_best_only_beyond_both_spreads_and_never_on_one_seed() -> None:
    assert marked((60.0, 1.0), (55.0, 2.0)) == [True, False]
    assert marked((55.0, 2.0), (60.0, 1.0), (10.0, 0.1)) == [False, True, False]
    assert marked((60.0, 3.0), (55.0, 2.0)) == [False, False]
    assert marked((60.0, None), (55.0, 2.0)) == [False, False]
    assert marked((60.0, 1.0)) == [False]
    assert marked() == []


def test_the_lowest_is_best_where_lower_is_better_and_none_where_no_direction_is() -> None:
    assert marked((60.0, 1.0), (55.0, 2.0), better="lower") == [False, True]
    assert marked((-1.0, 0.1), (1.0, 0.1), better="lower") == [True, False]
    assert marked((60.0, 3.0), (55.0, 2.0), better="lower") == [False, False]
    assert marked((60.0, 1.0), (55.0, 2.0), better=None) == [False, False]
    lines = [Line("", [cells.Cell("3"), cells.cell(over_seeds(value, 0.0), "share")]) for value in (0.1, 0.9)]
    cells.mark_best(lines, [None, Column("key", "heading", "share", "higher")])
    assert [[one.best for one in line.cells] for line in lines] == [[False, False], [False, True]]


@pytest.mark.parametrize(
    ("mean", "unit", "said"),
    [
        (99.94, "number", "99.9"),
        (99.96, "number", "100"),
        (9.996, "number", "10.0"),
        (1234.5, "number", "1234"),
        (0.0, "number", "0.00"),
        (-99.96, "number", "-100"),
        (0.00265, "number", "0.00265"),
        (0.4567, "share", "45.7"),
        (123456.0, "count", "123,456"),
        (1250.5, "steps", "1,250"),
    ],
)
def test_units_decide_how_a_value_is_written(mean: float, unit: Unit, said: str) -> None:
    assert cells.cell(Statistic(mean, None, [mean]), unit).text == said


def test_yes_or_no_over_seeds() -> None:
    def said(*values: float) -> str:
        return str(cells.cell(Statistic(sum(values) / len(values), 0.5, list(values)), "yes/no"))

    assert [said(1.0, 1.0), said(0.0), said(1.0, 0.0, 1.0)] == ["yes", "no", "2 of 3"]


def test_a_spread_has_the_unit_of_its_mean() -> None:
    assert str(cells.cell(over_seeds(0.5, 0.0123), "share")) == "50.0 ± 1.2"
    assert str(cells.cell(over_seeds(0.00265, 7.07e-5), "number")) == "0.00265 ± 7.1e-05"
    assert str(cells.cell(over_seeds(5.0, 1.2), "count")) == "5 ± 1"
    assert str(cells.cell(None, "share")) == str(cells.cell(Statistic(None, None, [None]), "share")) == "–"


def test_headings_say_percent_and_where_lower_is_better() -> None:
    assert cells.heading(Column("a", "mIoU", "share", "higher")) == "mIoU, %"
    assert cells.heading(Column("a", "loss", better="lower")) == "loss ↓"
    assert cells.heading(Column("a", "U")) == "U"
    noted = Column("a", "mIoU", "share", "higher", note="≥ 100 points")
    assert (cells.heading(noted), cells.heading(noted, noted=True)) == ("mIoU, %", "mIoU (≥ 100 points), %")


def test_markdown_sets_apart_what_the_table_is_not_about() -> None:
    sections = [Section("Pretrained", [Line("a|b", [cells.Cell("1", "2")])]), Section("Baselines", [], plain=False)]
    sections[1].lines.append(Line("majority", [cells.Cell("–")]))
    table = Table("name", ["mIoU"], sections, [("zero-shot", 1)])
    assert cells.to_markdown(table).splitlines() == [
        "| name | zero-shot mIoU |",
        "| --- | ---: |",
        "| a\\|b | 1 ± 2 |",
        "| *majority* | – |",
    ]
