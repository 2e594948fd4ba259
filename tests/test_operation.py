"""Operation as the command line says it: longer runs, other threads, names, text as it is."""

from pathlib import Path

import pytest
import yaml

from pointlift.commands.console import duration, print_table, say

from .test_cli import call, pretrain


def test_a_run_is_made_longer_and_says_so(
    tiny_overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    overrides, out = [*tiny_overrides, "cache.folder=features here"], Path("a [b] run")
    assert call(pretrain(overrides, out), capsys)[0] == 0
    kept = yaml.safe_load((out / "recipe.yaml").read_text())
    assert kept["cache"]["folder"] == str(tmp_path / "features here")
    code, _, text = call(pretrain([*overrides, "training.steps=8"], out), capsys)
    assert code == 0
    assert "a [b] run: extended, training.steps was 6 and is 8" in text
    assert "a [b] run: step 8, loss" in text
    code, _, text = call(pretrain([*overrides, "training.steps=8", "training.threads=3"], out), capsys)
    assert code == 2
    assert "last bits; to accept that, set training.threads to 3 in" in text


@pytest.mark.parametrize("name", ["../up", "a/b", "..", "/tmp/x", "a\\b"])
def test_a_name_that_would_move_the_folder_is_refused(
    name: str, tiny_overrides: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = pretrain([*tiny_overrides, f"name={name}"], Path())
    code, _, text = call([*arguments[: arguments.index("--out")], "--cpu"], capsys)
    assert code == 2
    assert "cannot be that of a run's folder" in text


@pytest.mark.parametrize("text", ["a [draft] b", r"C:\[x]\y", "[/bold]", ":car: [red]", "x" * 300 + "[1]"])
def test_text_is_printed_as_it_is(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(text)
    assert capsys.readouterr().err == text + "\n"
    print_table(text[:40], ["[a]"], [[text[:40]]])
    assert capsys.readouterr().out.count(text[:40]) == 2


def test_version_and_durations(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["--version"], capsys)[1].startswith("pointlift ")
    assert [duration(one) for one in (0, 40, 700, 9000, 5e5)] == ["1 s", "40 s", "12 min", "2.5 h", "5.8 days"]
