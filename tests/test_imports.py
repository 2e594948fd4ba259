"""What ``--import`` is given, and what of a plug-in stays if it cannot be imported; all in this process."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pointlift import cli, plugins
from pointlift.errors import PluginError
from pointlift.registry import LOSSES

PART = """
@LOSSES.register("{name}", scope="batch")
def {function}(student, teacher, normalize=True):
    "A loss of somebody's."
    return (student - teacher).square().mean()
"""
HEAD = "from pointlift.registry import LOSSES\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in; modules and parts that come from it are forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(plugins, "_loaded", [])
    known = set(sys.modules)
    try:
        with plugins.whole_or_nothing():
            yield tmp_path
            raise ZeroDivisionError
    except ZeroDivisionError:
        for name in set(sys.modules) - known:
            if not name.startswith("pointlift"):
                del sys.modules[name]


def part(name: str, function: str = "loss") -> str:
    return PART.format(name=name, function=function)


def write(path: str, text: str = "") -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    importlib.invalidate_caches()


@pytest.mark.parametrize("given", ["", " ", "-", "--debug"])
def test_a_name_that_names_nothing(given: str) -> None:
    with pytest.raises(PluginError, match="give a file or module, such as --import my_log.py"):
        plugins.load(given)


@pytest.mark.parametrize("arguments", [["--import="], ["--import", ""], ["--import", "--json"], ["--import"]])
def test_the_command_line_says_so(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["list", "losses", *arguments])
    assert ended.value.code == 2


@pytest.mark.parametrize("given", [".", "..", "stuff", "stuff/", "./stuff", "stuff/../stuff", "a b/"])
def test_a_folder_that_is_no_package_brings_nothing(given: str) -> None:
    write("stuff/part.py", HEAD + part("mine"))
    write("a b/part.py", "")
    with pytest.raises(PluginError, match=r"has no __init__\.py, so importing it brings nothing"):
        plugins.load(given)


def test_a_module_that_is_such_a_folder(folder: Path) -> None:
    write("packed/inner/part.py", "")
    write("packed/__init__.py")
    sys.path.insert(0, str(folder))
    with pytest.raises(PluginError, match=r"inner has no __init__\.py"):
        plugins.load("packed.inner")


@pytest.mark.parametrize("given", ["kit", "./kit", "kit/", "kit/__init__.py"])
def test_a_folder_that_is_a_package(given: str) -> None:
    write("kit/__init__.py", "from kit import losses")
    write("kit/losses.py", HEAD + part("mine"))
    assert plugins.load(given).__name__ == "kit"
    assert "mine" in LOSSES.names()
    assert plugins.loaded() == (given,)


@pytest.mark.parametrize("name", ["json", "csv", "numpy"])
def test_a_bare_name_is_an_installed_module_first(name: str) -> None:
    write(f"{name}/__init__.py", "raise OSError")
    write(f"{name}.py", "raise OSError")
    assert plugins.load(name) is importlib.import_module(name)
    for given in (f"./{name}", f"{name}.py"):
        with pytest.raises(PluginError, match=f"a module called '{name}' is there already"):
            plugins.load(given)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("mine", "for the file give --import mine.py"),
        ("./mine", "there is no such file"),
        ("./notes.txt", "this is no Python file; its name must end in .py"),
        ("gone/mine.py", "there is no such file"),
        ("/", "has no __init__.py"),
        ("~nobody-of-this-name/mine.py", "--import ~nobody-of-this-name/mine.py: "),
        ("a" * 5000 + ".py", ""),
        ("no.such.module", "it cannot be imported: ModuleNotFoundError"),
        ("..mine", "it cannot be imported"),
    ],
)
def test_what_cannot_be_imported_is_one_sentence(given: str, sentence: str) -> None:
    write("mine.py")
    write("notes.txt")
    with pytest.raises(PluginError, match="--import ") as raised:
        plugins.load(given)
    assert sentence in str(raised.value)


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("import sys; sys.exit()", r"it ends the program \(sys.exit\(None\)\)"),
        ("raise SystemExit('no licence')", r"it ends the program \(sys.exit\('no licence'\)\)"),
        ("import argparse; argparse.ArgumentParser().parse_args(['--x'])", r"it ends the program \(sys.exit\(2\)\)"),
        ("class Stop(BaseException): ...\nraise Stop('now')", "Stop: now$"),
        ("raise OSError", "OSError$"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines$"),
        (part("relational", "other"), "two parts are called loss 'relational'"),
        (part("mine", "other"), "two parts are called loss 'mine'"),
    ],
)
def test_of_a_plug_in_that_breaks_off_nothing_stays(end: str, said: str) -> None:
    write("half.py", HEAD + part("mine") + end + "\n")
    for _ in range(2):
        with pytest.raises(PluginError, match=said):
            plugins.load("half.py")
        assert "mine" not in LOSSES.names()
        assert "half" not in sys.modules
    assert plugins.loaded() == ()
    write("half.py", HEAD + part("mine"))
    plugins.load("half.py")
    assert LOSSES.options("mine").model_fields.keys() == {"name"}


def test_of_a_package_that_breaks_off_its_modules_are_read_anew() -> None:
    write("pack/one.py", HEAD + part("mine"))
    write("pack/__init__.py", "from pack import one\nfrom pointlift.losses import cka\nraise OSError")
    with pytest.raises(PluginError, match="OSError"):
        plugins.load("pack")
    assert "mine" not in LOSSES.names()
    assert LOSSES.get("cka").name == "cka"
    write("pack/__init__.py", "from pack import one")
    plugins.load("pack")
    assert "mine" in LOSSES.names()


@pytest.mark.parametrize("second", ["loss", "other"])
def test_two_parts_of_one_name_in_one_file_are_both_named(second: str) -> None:
    write("twins.py", HEAD + part("mine") + part("mine", second))
    said = rf"loss 'mine': twins\.loss \(.*twins\.py, line 3\) and twins\.{second} \(.*twins\.py, line 8\)"
    with pytest.raises(PluginError, match=said):
        plugins.load("twins.py")


@pytest.mark.parametrize("changed", ["", "# a line more\n"])
def test_a_module_may_be_loaded_again(changed: str) -> None:
    write("again.py", HEAD + part("mine"))
    module = plugins.load("again.py")
    before = LOSSES.get("mine")
    write("again.py", changed + HEAD + part("mine"))
    importlib.reload(module)
    assert LOSSES.get("mine").factory is not before.factory
    write("again.py", "#" + HEAD + HEAD + part("mine", "renamed"))
    with pytest.raises(PluginError, match=r"again\.loss .* and again\.renamed"):
        importlib.reload(module)


def test_a_part_is_known_by_its_place_without_its_file() -> None:
    write("fleeting.py", HEAD + part("mine"))
    plugins.load("fleeting.py")
    Path("fleeting.py").unlink()
    del sys.modules["fleeting"]
    assert "fleeting.py, line 3)" in LOSSES.get("mine").where
