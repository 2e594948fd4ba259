"""Recipe files: bases, variants, matrices and what extends what; unknown keys anywhere are one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from pointlift import recipe, recipes
from pointlift.errors import RecipeError

SECTIONS = tuple(recipe.Recipe.model_fields)
FAMILY = """
summary: the base
name: base
loss: {name: relational, p: 2}
training: {steps: 5, workers: 1}
variants:
  short:
    summary: fewer steps
    training: {steps: 3}
  other:
    loss: {name: similarity}
"""
MATRIX = """
training: {steps: 5, batch_size: 4}
variants:
  mine-{loss}-{size}:
    summary: "{loss} in {size}"
    training: {workers: 2}
    matrix:
      loss:
        one: {summary: the first loss, loss: {name: relational}}
        two: {loss: {name: similarity}, training: {steps: 7}}
      size:
        wide: {student: {name: minkunet14, width: 2.0}, training: {steps: 9}}
        2: {student: {name: minkunet14}}
  alone: {loss: {name: contrastive}}
"""


def written(folder: Path, text: str, name: str = "mine.yaml") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def values(source: str) -> recipes.Values:
    return recipes.values(source, SECTIONS)


def test_a_variant_is_the_base_with_its_changes(tmp_path: Path) -> None:
    file = written(tmp_path, FAMILY)
    assert values(f"{file}:base") == {
        "name": "base", "loss": {"name": "relational", "p": 2}, "training": {"steps": 5, "workers": 1},
    }  # fmt: skip
    assert values(f"{file}:short")["training"] == {"steps": 3, "workers": 1}
    assert values(f"{file}:short")["name"] == "short"
    assert values(f"{file}:other")["loss"] == {"name": "similarity"}  # another part has its own options


def test_a_matrix_is_every_combination_of_its_choices(tmp_path: Path) -> None:
    file = written(tmp_path, MATRIX)
    found = values(f"{file}:mine-two-wide")
    assert found["loss"] == {"name": "similarity"}
    assert found["student"] == {"name": "minkunet14", "width": 2.0}
    assert found["training"] == {"steps": 9, "batch_size": 4, "workers": 2}  # the later axis has the last word
    assert values(f"{file}:mine-two-2")["training"]["steps"] == 7
    with pytest.raises(RecipeError, match="holds 5 recipes") as caught:
        values(file)
    for name in ("mine-one-wide", "mine-one-2", "mine-two-wide", "mine-two-2", "alone"):
        assert f"{file}:{name}" in str(caught.value)


def test_summaries_are_put_together_from_those_of_the_choices() -> None:
    file = recipes._read("mine.yaml", MATRIX)
    assert {name: one.summary for name, one in file.recipes.items()} == {
        "mine-one-wide": "the first loss in wide",
        "mine-one-2": "the first loss in 2",
        "mine-two-wide": "two in wide",
        "mine-two-2": "two in 2",
        "alone": "",
    }


def test_the_one_recipe_of_a_file_needs_no_name(tmp_path: Path) -> None:
    assert values(written(tmp_path, "name: mine\nseed: 3")) == {"name": "mine", "seed": 3}
    assert values(written(tmp_path, "seed: 3\nvariants: {mine: {seed: 4}}")) == {"name": "mine", "seed": 4}


def test_a_file_extends_shipped_recipes_variants_and_files_beside_it(tmp_path: Path) -> None:
    written(tmp_path, FAMILY, "family.yaml")
    assert values(written(tmp_path, "extends: family.yaml:short\nname: mine"))["training"] == {"steps": 3, "workers": 1}
    assert values(written(tmp_path, "extends: street-similarity\nname: mine"))["loss"] == {"name": "similarity"}
    three = "extends: nuscenes-ppkt-minkunet34-dinov2-l\nvariants:\n  a: {seed: 1}\n  b: {seed: 2}"
    found = values(written(tmp_path, three) + ":b")
    assert (found["name"], found["seed"], found["training"]["optimizer"]) == ("b", 2, "sgd")
    assert found["teacher"]["source"] == "facebook/dinov2-large"


def test_a_file_that_extends_another_may_keep_its_name(tmp_path: Path) -> None:
    assert values(written(tmp_path, "extends: street-similarity\nseed: 2"))["name"] == "street-similarity"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\ntrianing: {}", "there is no key 'trianing'; did you mean 'training'"),
        ("name: a\nvarients: {}", "there is no key 'varients'; did you mean 'variants'"),
        ("variants: {a: {trianing: {}}, b: {}}", "there is no key 'trianing' in 'a'; did you mean 'training'"),
        ("variants: {a: {sumary: x}}", "did you mean 'summary'"),
        ("variants: {a: {name: b}}", "'a' is called as its key says"),
        ("variants: [a, b]", "'variants' should map names"),
        ("variants: {a: 3}", "the variant 'a' should hold keys and values, not 3"),
        ("name: a\nvariants: {a: {}}", "two of its recipes are called 'a'"),
        ("variants: {'a-{x}': {}}", "should have no braces"),
        ("variants: {'a-{x}': {matrix: {y: {b: {}}}}}", r"should have '\{y\}'"),
        ("variants: {'a-{x}': {matrix: {x: {b: {los: {}}}}}}", "there is no key 'los' in 'a-b'; did you mean 'loss'"),
        ("variants: {'a-{x}': {matrix: {x: [b]}}}", "x, should hold keys and values"),
        ("extends: mine.yaml\nname: a", "extends itself"),
    ],
)
def test_mistakes_are_one_sentence_that_names_the_file(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=said) as caught:
        values(written(tmp_path, text))
    assert "mine.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_variant_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"mine\.yaml holds no recipe called 'shrt'; did you mean 'short'"):
        values(written(tmp_path, FAMILY) + ":shrt")


def test_nothing_of_a_variant_reaches_another(tmp_path: Path) -> None:
    file = written(tmp_path, FAMILY)
    before = values(f"{file}:base")
    values(f"{file}:short")["training"]["steps"] = 99
    assert values(f"{file}:base") == before
    shipped = values("street-relational")
    shipped["training"]["steps"] = 99
    assert values("street-similarity")["training"]["steps"] == 400
    assert values("street-relational")["training"]["steps"] == 400
