"""The rooms of `worlds`: an engine that knows no generator, generators that do not know each other, and no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pointlift.worlds

ROOT = Path(pointlift.worlds.__file__).parent
ROOMS = sorted(folder.name for folder in ROOT.iterdir() if (folder / "__init__.py").exists())
OTHERS = {"errors", "files", "progress", "options", "data"}
"""What else of pointlift a world may import."""


def imported(path: Path) -> set[str]:
    """The modules of pointlift that a file imports; a name that is imported from a package counts as a module of it."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    assert not any(isinstance(node, ast.ImportFrom) and node.level for node in nodes)
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    inner = {
        f"{node.module}.{alias.name}" for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    return {name for name in plain | inner if name.startswith("pointlift.")}


def test_there_are_an_engine_and_generators():
    assert "engine" in ROOMS
    assert len(ROOMS) > 3


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_of_the_worlds_imports_only_itself_the_engine_and_data(room):
    allowed = {"engine", room}
    for path in (ROOT / room).rglob("*.py"):
        for name in imported(path):
            package, *rest = name.removeprefix("pointlift.").split(".")
            if package == "worlds":
                assert rest[0] in allowed, f"{path}: {name}"
            else:
                assert package in OTHERS, f"{path}: {name}"


@pytest.mark.parametrize("module", ["engine.workers", *(f"{room}.frames" for room in ROOMS if room != "engine")])
def test_workers_start_without_heavy_modules(module):
    program = f"import sys, pointlift.worlds.{module}; assert not {{'torch', 'matplotlib'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
