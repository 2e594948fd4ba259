from xml.etree import ElementTree

import numpy as np
import pytest

from pointlift.report import figures
from pointlift.report.figures import Curve, Dumbbell


def test_running_mean_is_the_literal_one() -> None:
    values = np.random.default_rng(0).random(100)
    half = 100 // 24
    expected = [np.mean([values[j] for j in range(100) if abs(j - k) <= half]) for k in range(100)]
    assert figures.running_mean(values) == pytest.approx(expected)
    assert list(figures.running_mean([3.0])) == [3.0]


def test_a_loss_panel_is_well_formed_and_escapes_names() -> None:
    curves = [Curve("seed <0>", [10, 20, 30], [2.0, 1.0, 0.5]), Curve("seed 1", [10, 20, 30], [2.0, float("nan"), 0.6])]
    text = str(figures.loss_panel('a & "b" <c>', curves, 1))
    root = ElementTree.fromstring(text)
    assert "seed <0>" in root.attrib["aria-label"]
    assert len(root.findall("path")) == 4
    assert "nan" not in text.split("aria-label")[1].split(">", 1)[1]


@pytest.mark.parametrize("losses", [[1.0, 1.0], [-0.5, 0.5], [1e-9, 2e-9], [float("nan")], []])
def test_odd_losses_still_make_a_panel(losses: list[float]) -> None:
    ElementTree.fromstring(str(figures.loss_panel("loss", [Curve("seed 0", list(range(len(losses))), losses)], 0)))


def test_dumbbells_lie_where_the_values_are() -> None:
    root = ElementTree.fromstring(str(figures.dumbbells("U", [Dumbbell("relational", 1.0, (2.0, 3.0), 0)])))
    seeds = [float(one.attrib["cx"]) for one in root.findall("circle") if "seed" in one.attrib["class"]]
    mean = [float(one.attrib["cx"]) for one in root.findall("circle") if "mark" in one.attrib["class"]]
    teacher = [float(one.attrib["x1"]) for one in root.findall("line") if one.attrib["class"] == "teacher"]
    assert mean[0] == pytest.approx(np.mean(seeds), abs=0.1)
    assert (seeds[1] - seeds[0]) == pytest.approx(seeds[0] - teacher[0], abs=0.2)


@pytest.mark.parametrize("series", range(7))
def test_every_series_has_a_mark(series: int) -> None:
    ElementTree.fromstring(str(figures.key_mark(series)))


def test_a_curve_of_one_point_has_a_mark() -> None:
    assert 'class="mark' in str(figures.loss_panel("loss", [Curve("seed 0", [10], [2.5])], 0))
    assert 'class="mark' not in str(figures.loss_panel("loss", [Curve("seed 0", [10, 20], [2.5, 2.0])], 0))
