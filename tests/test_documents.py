from __future__ import annotations

from pathlib import Path

import pytest

from pointlift import recipe
from pointlift.documents import json_of, read_yaml, shaped, yaml_of
from pointlift.errors import CheckpointError, DataError, RecipeError

GROWING = "\n".join(
    ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 12))]
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: " + "9" * 5000, "a whole number of 5000 digits"),
        ("a: 0x" + "f" * 5000, "a whole number of 5002 digits"),
        ("a: 99999999999999999999999", "a whole number of 23 digits"),
        ("[" * 5000, "nested more than 60 deep"),
        ("{a: " * 200, "nested more than 60 deep"),
        ("- " * 200, "nested more than 60 deep"),
        (GROWING, "more than 200,000 values, as its anchors repeat them"),
        ("a: &a [*a]", "the anchor 'a' contains itself"),
        ("a: &a {b: {c: *a}}", "the anchor 'a' contains itself"),
        ("a: 1\nb: 2\na: 3", "at line 3: the key 'a' stands twice"),
        ("a: {b: 1, b: 1}", "the key 'b' stands twice"),
        ("a: !!timestamp 2024-13-45", "not of the type that its tag says"),
        ("a: !!bool perhaps", "not of the type that its tag says"),
        ("a: !!python/name:os.system", "could not determine a constructor"),
        ('a: "\\0"', "a character that no text has"),
        (b"a: caf\xe9", "UTF-8 text .line 1."),
        ("a: *b", "undefined alias"),
    ],
)
def test_yaml_that_is_refused(text: str | bytes, said: str) -> None:
    with pytest.raises(RecipeError, match=f"^here is not .*{said}"):
        yaml_of(text, "here")


def test_dates_are_text_and_keys_may_be_overridden_by_merging() -> None:
    assert yaml_of("a: 2024-05-01\nb: 2024-13-45", "here") == {"a": "2024-05-01", "b": "2024-13-45"}
    assert yaml_of("a: &x {b: 1, c: 1}\nd: {<<: *x, b: 2}", "here")["d"] == {"b": 2, "c": 1}
    assert yaml_of(b"\xef\xbb\xbfa: 1", "here") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5000, "5000 digits"),
        ("1e999", "too large"),
        ('"\\ud800"', "surrogates"),
        (b'"\xe9"', "is not UTF-8"),
        ("{", "line 1"),
    ],
)
def test_json_that_is_refused(text: str | bytes, said: str) -> None:
    with pytest.raises(CheckpointError, match=f"^here.*{said}"):
        json_of(text, "here", CheckpointError)


def test_values_of_another_shape_are_one_sentence() -> None:
    assert shaped({"a": [1, 2]}, dict[str, list[int]], "here") == {"a": [1, 2]}
    with pytest.raises(
        DataError, match=r"here is not as it should be: Expected `int`, got `str` - at `\$\[\.\.\.\]\[0\]`"
    ):
        shaped({"a": ["1"]}, dict[str, list[int]], "here")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"the recipe file .*absent.yaml cannot be read: No such file"):
        read_yaml(tmp_path / "absent.yaml", "recipe file")
    with pytest.raises(RecipeError, match="cannot be read: Is a directory"):
        read_yaml(tmp_path, "recipe file")


@pytest.mark.parametrize(
    "files",
    [
        {"a.yaml": "a.yaml"},
        {"a.yaml": "../{folder}/a.yaml"},
        {"a.yaml": "b.yaml", "b.yaml": "../{folder}/a.yaml"},
        {"a.yaml": "b.yaml", "b.yaml": "./c.yaml", "c.yaml": "./b.yaml"},
    ],
)
def test_recipes_that_extend_themselves(files: dict[str, str], tmp_path: Path) -> None:
    for name, underneath in files.items():
        (tmp_path / name).write_text(f"name: x\nextends: {underneath.format(folder=tmp_path.name)}\n")
    with pytest.raises(RecipeError, match=r"\.yaml extends itself, by way of "):
        recipe.load(tmp_path / "a.yaml")


def test_the_value_in_a_message_is_short() -> None:
    with pytest.raises(RecipeError) as error:
        recipe.load("street-relational", {"training.steps": ["x" * 100] * 10_000})
    assert len(str(error.value)) < 1000
    with pytest.raises(RecipeError) as error:
        recipe.load("y" * 100_000)
    assert len(str(error.value)) < 1300
