"""The command that compares: what it writes, prints and passes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pointlift import cli
from pointlift.commands import compare
from pointlift.run import Run
from pointlift.study import running
from tests.study.small import TINY, Stub, places

STUDY = """
title: Two losses
recipes: [street-relational, street-similarity, {recipe: street-shuffled-pairs, control: true}]
evaluations: [zero-shot, {protocol: structure, first_only: true}]
"""


@pytest.fixture(autouse=True)
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    stub = Stub()
    monkeypatch.setattr(running, "evaluate", stub)
    return stub


@pytest.fixture(autouse=True)
def reported(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], str]]:
    """What a report was asked of, in place of the report, which reads more than the stub's results."""
    asked: list[tuple[list[str], str]] = []

    def record(runs: list[Run], out: Path, *, title: str, **_: Any) -> None:
        asked.append(([run.folder.name for run in runs], title))

    monkeypatch.setattr(compare, "report", record)
    return asked


def call(tmp_path: Path, *arguments: str) -> int:
    (tmp_path / "mine.yaml").write_text(STUDY)
    overrides = [part for key, value in (TINY | places(tmp_path)).items() for part in ("--set", f"{key}={value}")]
    with pytest.raises(SystemExit) as caught:
        cli.main(["compare", str(tmp_path / "mine.yaml"), "--cpu", *overrides, *arguments])
    return int(caught.value.code or 0)


def test_a_study_becomes_a_table_and_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], reported: list[tuple[list[str], str]]
) -> None:
    assert call(tmp_path, "--out", str(tmp_path / "out"), "--seeds", "2") == 0
    printed = capsys.readouterr().out
    assert "Two losses" in printed
    assert "zero-shot mIoU, % ↑" in printed
    assert "50.5 ± 0.7" in printed
    assert "control: street-shuffled-pairs" in printed
    table = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [row["name"] for row in table["rows"]][:3] == [
        "street-relational", "street-similarity", "street-shuffled-pairs",
    ]  # fmt: skip
    assert table["rows"][1]["cells"][0]["values"] == pytest.approx([0.3, 0.31])
    ((names, title),) = reported
    assert (len(names), title) == (6, "Two losses")


def test_json_and_without_controls(tmp_path: Path, capsys: pytest.CaptureFixture[str], stub: Stub) -> None:
    assert call(tmp_path, "--out", str(tmp_path / "out"), "--no-controls", "--json") == 0
    table = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in table["rows"] if row["role"] in ("student", "control")] == [
        "street-relational", "street-similarity",
    ]  # fmt: skip
    assert [title for _, title, _ in stub.asked] == ["zero-shot", "structure", "zero-shot"]


def test_a_mistake_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str], stub: Stub) -> None:
    assert call(tmp_path, "--out", str(tmp_path / "out"), "--set", "training.stesp=3") == 2
    assert "did you mean 'steps'" in " ".join(capsys.readouterr().err.split())
    assert stub.asked == []
    assert not (tmp_path / "out").exists()
