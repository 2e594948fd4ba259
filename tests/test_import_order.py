"""Arrows go one way: a room of the package imports only from rooms that stand above it in this list."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import pointlift

PACKAGE = Path(pointlift.__file__).parent
ORDER = """
    errors files documents finite memory tensor_files progress contract options plugins registry structure losses data
    worlds datasets teachers students train methods tasks evaluation recipes recipe run trial report studies study
    commands api cli
""".split()  # noqa: SIM905


def imported(file: Path) -> Iterator[str]:
    """Rooms that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name.split(".")[1] for name in names if name.startswith("pointlift."))


@pytest.mark.parametrize("room", ORDER)
def test_a_room_imports_only_from_those_above_it(room: str) -> None:
    files = [PACKAGE / f"{room}.py"] if (PACKAGE / f"{room}.py").is_file() else sorted((PACKAGE / room).rglob("*.py"))
    assert files, f"there is no {room}"
    above = {*ORDER[: ORDER.index(room) + 1], "__version__"}
    climbs = {(str(file.relative_to(PACKAGE)), name) for file in files for name in imported(file) if name not in above}
    assert not climbs


def test_every_room_has_its_place() -> None:
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert rooms - {"__init__"} == set(ORDER)
