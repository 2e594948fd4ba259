"""What a study says: its cells, and mistakes before any work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pointlift import recipe, trial
from pointlift import studies as shipped
from pointlift import study as studies
from pointlift.errors import RecipeError
from pointlift.evaluation.result import Result
from pointlift.study import Evaluation, Study

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
        # what a run could not be tested by, though it is a protocol
        (
            "title: T\nrecipes: [street-relational]\nevaluations: [retrieval]",
            "evaluation 'retrieval' of 'street-relational': the protocol 'retrieval' compares predicted token sets",
        ),
        (
            "title: T\nrecipes: [concept-rooms]\nevaluations: [{protocol: zero-shot, name: words}]",
            "'words' of 'concept",
        ),
        (
            "title: T\nrecipes: [{recipe: street-relational, label: A}]\nevaluations: [reconstruction]",
            "of 'A': the prot",
        ),
        (
            "title: T\nrecipes: [{recipe: street-relational, overrides: {teacher.name: dinov2}}]\n"
            "evaluations: [linear-probe, zero-shot]",
            "the teacher has no text encoder",
        ),
        # options of data
        (
            "title: T\nrecipes: [street-relational]\nevaluations: [{protocol: structure, label_data: {twon: coast}}]",
            "twon",
        ),
        (
            "title: T\nrecipes: [street-relational]\nevaluations: [{protocol: structure, test_data: {twon: coast}}]",
            "twon",
        ),
        (
            "title: T\nrecipes: [street-relational]\nevaluations: [{protocol: structure, split: tset}]",
            "'split' is 'tset'",
        ),
        (
            "title: T\nrecipes: [street-relational]\nevaluations: [{protocol: structure, test_data: {name: stret}}]",
            "no data set called 'stret'; did you mean 'street'",
        ),
        (
            "title: T\nrecipes: [street-relational]\nevaluations: [{protocol: structure, label_data: {name: romos}}]",
            "did you mean 'rooms'",
        ),
        (
            "title: T\nrecipes: [street-relational]\nevaluations: [{protocol: structure, test_data: {sequences: n}}]",
            "sequences' is 'n'",
        ),
        # options of the task
        (
            "title: T\nrecipes: [street-relational]\nevaluations: [{protocol: finetune, options: {task.lovasz: 1}}]",
            "evaluation 'finetune': task 'segmentation': there is no key 'lovasz'; did you mean 'lovasz_weight'",
        ),
        (
            "title: T\nrecipes: [street-relational]\nevaluations: [{protocol: finetune, first_options: {task.x: 1}}]",
            "there is no key 'x'",
        ),
        (
            "title: T\nrecipes: [street-relational]\n"
            "evaluations: [zero-shot, {protocol: zero-shot, name: again, task: segmentation}]",
            "two evaluations are both 'zero-shot' on the same data",
        ),
        # seeds
        ("title: T\noverrides: {seed: 7}" + REST, "'seed' cannot be overridden with 7.*--seeds COUNT"),
        (
            "title: T\nrecipes: [{recipe: street-relational, overrides: {seed: 1}}]\nevaluations: [zero-shot]",
            "'seed' cannot be overridden with 1",
        ),
    ],
)
def test_mistakes_are_one_sentence_before_any_work(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=said) as caught:
        study(text, tmp_path).cells()
    assert "\n" not in str(caught.value)


def test_a_seed_cannot_be_overridden_from_the_command(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="'seed' cannot be overridden with 7"):
        study(TWO, tmp_path).cells({"seed": 7})


def test_options_of_a_task_are_given_beside_those_of_a_protocol(tmp_path: Path) -> None:
    options = "{task.lovasz_weight: 0.5}"
    text = f"title: T\nrecipes: [street-relational]\nevaluations: [{{protocol: finetune, options: {options}}}]"
    (cell,) = study(text, tmp_path).cells()
    assert cell.evaluations[0].options == {"task.lovasz_weight": 0.5}


def test_data_of_another_name_are_known(tmp_path: Path) -> None:
    data = "label_data: {name: rooms}, test_data: {name: shapes}"
    text = f"title: T\nrecipes: [street-relational]\nevaluations: [{{protocol: finetune, {data}}}]"
    (cell,) = study(text, tmp_path).cells()
    pretrained, labelled, test = trial.data_options(
        cell.recipe, "val", cell.evaluations[0].label_data, cell.evaluations[0].test_data
    )
    assert [one.name for one in (pretrained, labelled, test)] == ["street", "rooms", "shapes"]


@pytest.mark.parametrize("name", ["none.yaml", "none.yml", "none.yaml:short", "inner/none.yaml"])
def test_a_missing_recipe_file_is_named_with_the_folder_of_what_names_it(name: str, tmp_path: Path) -> None:
    text = f"title: T\nrecipes: ['{name}']\nevaluations: [zero-shot]"
    file = str(tmp_path / name.split(":")[0])
    with pytest.raises(RecipeError, match=re.escape(file)):
        study(text, tmp_path).cells()
    (tmp_path / "own.yaml").write_text(f"name: own\nextends: '{name}'")
    with pytest.raises(RecipeError, match=re.escape(file)):
        recipe.load(tmp_path / "own.yaml")


def asked(task: str | None, protocol: str = "linear-probe") -> Evaluation:
    return Evaluation(protocol=protocol, task=task)


def answer(task: str | None, protocol: str = "linear-probe", **run: str) -> Result:
    data = {"checkpoint": "step-1", "split": "val", "label_data": {}, "test_data": {}, "options": {}}
    return Result(protocol, (), [], "miou", task=task, run={**data, "evaluation_seed": 0, "task": task, **run})


@pytest.mark.parametrize(
    ("task", "result", "same"),
    [
        (None, answer("segmentation"), True),
        (None, answer("segmentation", asked_task="segmentation"), True),
        ("segmentation", answer("segmentation", asked_task="segmentation"), True),
        (None, answer("obstacles"), False),
        (None, answer("obstacles", asked_task="obstacles"), False),
        ("obstacles", answer("segmentation"), False),
        ("obstacles", answer("segmentation", asked_task="segmentation"), False),
        ("obstacles", answer("obstacles", asked_task="obstacles"), True),
        # a class that says another's name, and a protocol that does not say on which task it ran
        (None, answer("segmentation", asked_task="obstacles"), False),
        (None, answer(None, asked_task="obstacles"), False),
        (None, answer(None), True),
    ],
)
def test_a_result_of_another_task_is_no_answer(task: str | None, result: Result, same: bool) -> None:
    assert asked(task).answered_by(result, "step-1", {"label_data": {}, "test_data": {}}) is same


def test_an_unknown_study_and_a_missing_file() -> None:
    with pytest.raises(RecipeError, match="there is no study called 'dmeo'.*did you mean 'demo'"):
        studies.load("dmeo")
    with pytest.raises(RecipeError, match=r"the study file none\.yaml cannot be read"):
        studies.load("none.yaml")
