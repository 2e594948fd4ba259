"""What a study says: its cells, and mistakes before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from pointlift import studies as shipped
from pointlift import study as studies
from pointlift.errors import RecipeError
from pointlift.study import Study

TWO = """
title: Two
recipes: [street-relational, {recipe: street-similarity, label: the other}]
seeds: [0, 1]
evaluations: [zero-shot]
"""


def written(folder: Path, text: str) -> Path:
    (folder / "mine.yaml").write_text(text)
    return folder / "mine.yaml"


def study(text: str, folder: Path) -> Study:
    return studies.load(written(folder, text))


@pytest.mark.parametrize("name", shipped.shipped())
def test_a_shipped_study_is_described_and_its_cells_are_valid(name: str) -> None:
    assert shipped.shipped()[name]
    loaded = studies.load(name)
    cells = loaded.cells({"data.root": "anywhere"})
    assert len(cells) == len(loaded.recipes) * len(loaded.seeds)
    assert all(cell.evaluations for cell in cells)
    assert len(loaded.cells({"data.root": "anywhere"}, controls=False)) == len(
        [cell for cell in cells if not cell.control]
    )


def test_cells_are_recipes_seed_by_seed(tmp_path: Path) -> None:
    cells = study(TWO, tmp_path).cells()
    assert [cell.name for cell in cells] == [
        "street-relational-seed0", "the-other-seed0", "street-relational-seed1", "the-other-seed1",
    ]  # fmt: skip
    assert [cell.recipe.seed for cell in cells] == [0, 0, 1, 1]
    assert [cell.recipe.loss.name for cell in cells[:2]] == ["relational", "similarity"]


def test_overrides_of_the_command_have_the_last_word_then_the_recipe_s_then_the_study_s(tmp_path: Path) -> None:
    text = """
    title: T
    recipes: [{recipe: street-relational, overrides: {training.steps: 2, training.batch_size: 3}}]
    overrides: {training.steps: 1, training.warmup_steps: 1}
    evaluations: [zero-shot]
    """
    (cell,) = study(text, tmp_path).cells({"training.batch_size": 4})
    training = cell.recipe.training
    assert (training.warmup_steps, training.steps, training.batch_size) == (1, 2, 4)


def test_what_the_first_cell_alone_is_asked(tmp_path: Path) -> None:
    text = """
    title: T
    recipes: [street-relational, {recipe: street-similarity, without: [probe]}]
    evaluations:
      - {protocol: linear-probe, name: probe, options: {baselines: false}, first_options: {baselines: true}}
      - {protocol: structure, first_only: true}
      - zero-shot
    """
    first, second = study(text, tmp_path).cells()
    assert [(one.title, one.options) for one in first.evaluations] == [
        ("probe", {"baselines": True}), ("structure", {}), ("zero-shot", {}),
    ]  # fmt: skip
    assert [one.title for one in second.evaluations] == ["zero-shot"]


def test_recipe_files_are_looked_for_beside_the_study(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("extends: street-relational\nvariants: {short: {training: {steps: 7}}}")
    text = "title: T\nrecipes: ['own.yaml:short']\nevaluations: [zero-shot]"
    (cell,) = study(text, tmp_path).cells()
    assert (cell.name, cell.recipe.training.steps) == ("short-seed0", 7)


REST = "\nrecipes: [street-relational]\nevaluations: [zero-shot]"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title: T\nrecipe: []" + REST, "there is no key 'recipe'; did you mean 'recipes'"),
        (REST.lstrip(), "'title' is missing"),
        ("title: T\nevaluations: [zero-shot]", "'recipes' is missing"),
        ("title: T\nrecipes: []\nevaluations: [zero-shot]", "recipes"),
        ("title: T\nrecipes: [{recipe: a, lable: b}]\nevaluations: [a]", "'recipes.0.lable'; did you mean 'label'"),
        ("title: T\nrecipes: [street-relatonal]\nevaluations: [zero-shot]", "did you mean 'street-relational'"),
        ("title: T\nseeds: [-1]" + REST, "seeds.0"),
        ("title: T\nseeds: [1, 1]" + REST, "more than one run would be called 'street-relational-seed1'"),
        ("title: T\nrecipes: [street-relational, street-relational]\nevaluations: [zero-shot]", "a label"),
        ("title: T\noverrides: {training.stesp: 1}" + REST, "did you mean 'steps'"),
        ("title: T\nrecipes: [street-relational]\nevaluations: [zero-shto]", "did you mean 'zero-shot'"),
        (
            "title: T\nrecipes: [street-relational]\nevaluations: [{protocol: zero-shot, options: {oclusion: 1}}]",
            "evaluation 'zero-shot': there is no key 'oclusion'; did you mean 'occlusion'",
        ),
        (
            "title: T\nrecipes: [street-relational]\nevaluations: [{protocol: zero-shot, task: segmentaton}]",
            "there is no task called 'segmentaton'",
        ),
        (
            "title: T\nrecipes: [street-relational]\nevaluations: [zero-shot, {protocol: zero-shot, name: again}]",
            "two evaluations are both 'zero-shot' on the same data",
        ),
        (
            "title: T\nrecipes: [street-relational]\nevaluations: [zero-shot, {protocol: zero-shot, split: test}]",
            "the same name",
        ),
        (
            "title: T\nrecipes: [{recipe: street-relational, without: [zeroshot]}]\nevaluations: [zero-shot]",
            "did you mean 'zero-shot'",
        ),
        ("- a", "keys and values"),
    ],
)
def test_mistakes_are_one_sentence_before_any_work(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=said) as caught:
        study(text, tmp_path).cells()
    assert "\n" not in str(caught.value)


def test_an_unknown_study_and_a_missing_file() -> None:
    with pytest.raises(RecipeError, match="there is no study called 'dmeo'.*did you mean 'demo'"):
        studies.load("dmeo")
    with pytest.raises(RecipeError, match=r"the study file none\.yaml cannot be read"):
        studies.load("none.yaml")
