"""Whatever stands in YAML and JSON that pointlift reads: the right value, or one of its own errors in a sentence."""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pointlift import recipe, recipes, studies
from pointlift.data.class_maps import load_class_list, load_class_map
from pointlift.errors import PointliftError
from pointlift.report import tables, words
from pointlift.report.grouping import summarise
from pointlift.run import Run
from pointlift.study import description

FROZEN = Path(__file__).parent / "frozen"
MUTATIONS = 25
ODD: list[Any] = [
    None, True, -1, 0, 2**63, 2**80, 1e308, float("inf"), float("nan"), "", "name", "é", "a/../b", "[x]", "\u2028",
    "x" * 3000, [], [[]], [1, "a", None], {}, {"name": 1}, {"name": {"name": "x"}}, {"": ""}, [{"name": "street"}],
]  # fmt: skip
TEXTS = ["\0", "\x07", "\t", "{", "]", "&a", "*a", ": ", "- ", "!!int", "!!bool ", "2024-13-45", "9" * 5000, "[" * 3000,
         "\n\n", "#", "'", '"', "\\", "<<: ", "? ", "é", "---\n"]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in nested mappings and lists but the outermost."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, one in inner for place in ((*path, key), *places(one, (*path, key)))]


def mutated(value: Any, rng: random.Random) -> Any:
    """The same with one place taken away, given another key, or filled with something odd."""
    value = copy.deepcopy(value)
    *path, last = rng.choice(places(value))
    holder = value
    for key in path:
        holder = holder[key]
    how = rng.random()
    if how < 0.15:
        del holder[last]
    elif how < 0.3 and isinstance(holder, dict):
        holder[rng.choice(["", "nmae", "extends", "variants", "1"])] = holder.pop(last)
    else:
        holder[last] = copy.deepcopy(rng.choice(ODD))
    return value


def scribbled(text: str, rng: random.Random) -> bytes:
    """The same text with a few bytes cut out, doubled, changed, or something odd put in."""
    data = bytearray(text.encode())
    for _ in range(rng.randint(1, 3)):
        start = rng.randrange(len(data) + 1)
        stop = min(len(data), start + rng.randint(1, 20))
        how = rng.randrange(4)
        if how == 0:
            del data[start:stop]
        elif how == 1:
            data[start:start] = data[start:stop]
        elif how == 2 and start < len(data):
            data[start] = rng.randrange(256)
        else:
            data[start:start] = rng.choice(TEXTS).encode()
    return bytes(data)


def read_result(folder: Path) -> None:
    summary = summarise([Run(folder)])
    tables.all_tables(summary)
    words.introduction(summary)
    words.headlines(summary)


def read_state(folder: Path) -> None:
    run = Run(folder)
    run.state  # noqa: B018 - reading is the test
    run.steps  # noqa: B018
    summarise([run])


def shipped_recipe(name: str) -> Any:
    resource = Path(recipes.__file__).parent / f"{name}.yaml"
    return yaml.safe_load(resource.read_text())


def in_frozen(name: str, place: str) -> tuple[Any, str, Callable[[Path], Any]]:
    read = read_state if place.endswith("state.json") else read_result
    return json.loads((FROZEN / name / place).read_text()), place, read


KINDS: dict[str, Callable[[], tuple[Any, str, Callable[[Path], Any]]]] = {
    "recipe": lambda: (
        recipe.load("street-relational").to_dict(),
        "recipe.yaml",
        lambda f: recipe.load(f / "recipe.yaml"),
    ),
    "recipes": lambda: (
        {**shipped_recipe("street"), "extends": "street-relational"},
        "own.yaml",
        lambda f: recipe.load(f"{f / 'own.yaml'}:street-similarity"),
    ),
    "mixture": lambda: (
        {**recipe.load("street-relational").to_dict(), "data": {"name": "mixture", "parts": [{"name": "street"}]}},
        "recipe.yaml",
        lambda f: recipe.load(f / "recipe.yaml"),
    ),
    "study": lambda: (
        yaml.safe_load(studies.texts()["demo"]),
        "study.yaml",
        lambda f: description.load(f / "study.yaml").cells(),
    ),
    "class list": lambda: (
        {"classes": {0: "road", 1: ["path", "pavement"], 7: "sky"}, "ignored": [255]},
        "classes.yaml",
        lambda f: load_class_list(str(f / "classes.yaml")),
    ),
    "class map": lambda: (
        {"source": {"classes": ["a", "b"]}, "target": "semantickitti", "map": {"a": "road", "b": None}},
        "map.yaml",
        lambda f: load_class_map(str(f / "map.yaml")).table(),
    ),
    "structure": lambda: in_frozen("points", "evaluation/structure-frames=1-sequences=2.json"),
    "zero-shot": lambda: in_frozen("points", "evaluation/zero-shot.json"),
    "retrieval": lambda: in_frozen("tokens", "evaluation/retrieval-frames=2-rooms=2.json"),
    "state": lambda: in_frozen("points", "checkpoints/step-00000002/state.json"),
}


def outcome(read: Callable[[Path], Any], folder: Path) -> str:
    try:
        read(folder)
    except PointliftError as error:
        said = str(error)
        assert "\n" not in said, said
        assert len(said) < 1500, said
        return "refused"
    return "read"


@pytest.mark.parametrize("mutations", [MUTATIONS, pytest.param(20 * MUTATIONS, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["values", "text"])
def test_mutations_are_read_or_refused_in_a_sentence(kind: str, how: str, mutations: int, tmp_path: Path) -> None:
    content, place, read = KINDS[kind]()
    if "/" in place:
        shutil.copytree(FROZEN / ("tokens" if kind == "retrieval" else "points"), tmp_path, dirs_exist_ok=True)
    dump = (lambda value: json.dumps(value)) if place.endswith(".json") else (lambda value: yaml.safe_dump(value))
    rng = random.Random(f"{kind} {how}")
    file = tmp_path / place
    file.write_text(dump(content))
    assert outcome(read, tmp_path) == "read"
    for _ in range(mutations):
        data = dump(mutated(content, rng)).encode() if how == "values" else scribbled(dump(content), rng)
        file.write_bytes(data)
        try:
            outcome(read, tmp_path)
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error} of {data[:5000]!r}") from error
