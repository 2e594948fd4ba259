"""What a study compares: its description in YAML, and the cells that follow from it.

For example::

    title: Two losses
    recipes: [street-relational, street-similarity, {recipe: street-random-teacher, control: true}]
    seeds: [0, 1, 2]
    evaluations: [{protocol: zero-shot, split: test}]
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pointlift import recipe as recipe_module
from pointlift import recipes, studies, trial
from pointlift.errors import RecipeError, nearest
from pointlift.evaluation.result import Result
from pointlift.options import validated
from pointlift.recipe import Recipe
from pointlift.tasks.base import DEFAULT

STRICT = ConfigDict(extra="forbid")


class Evaluation(BaseModel):
    """One way in which every cell is measured.

    Args:
        protocol: registered name.
        name: in tables; by default the protocol's.
        task: what is predicted; by default the usual one.
        split: of the test data.
        options: of the protocol, and under ``task.OPTION`` of the task.
        label_data: options in which the data that give labels differ from the recipe's.
        test_data: options in which the test data differ from those.
        seed: of whatever the protocol draws.
        first_only: measured on the first cell only, since it says the same of every one.
        first_options: options in which the first cell differs, such as baselines that owe nothing to any recipe.
    """

    model_config = STRICT

    protocol: str
    name: str = ""
    task: str | None = None
    split: str = "val"
    options: dict[str, Any] = {}
    label_data: dict[str, Any] = {}
    test_data: dict[str, Any] = {}
    seed: int = Field(0, ge=0)
    first_only: bool = False
    first_options: dict[str, Any] = {}

    @property
    def title(self) -> str:
        """What it is called in tables."""
        return self.name or self.protocol

    @property
    def asked_task(self) -> str:
        """The name of the task, also where the usual one is meant."""
        return self.task or DEFAULT

    @property
    def what(self) -> dict[str, Any]:
        """Task and data, as `trial.check_asked` and `trial.evaluate` take them."""
        return self.model_dump(include={"task", "split", "label_data", "test_data"})

    def of_cell(self, first: bool) -> Evaluation:
        """What one cell is asked, the first or another one."""
        return self.model_copy(update={"options": self.options | (self.first_options if first else {})})

    def answered_by(self, result: Result, newest: str, data: Mapping[str, Any]) -> bool:
        """Whether a result is of this very measurement, of the checkpoint ``newest``, and of `data_in_results`."""
        wanted = {
            "checkpoint": newest,
            "split": self.split,
            **data,
            "options": self.options,
            "evaluation_seed": self.seed,
        }
        alike = all(result.run.get(key, {}) == value for key, value in wanted.items())
        # results of before do not say which task was asked for; one without task is of a protocol that runs on none
        task = result.run.get("asked_task", result.task or self.asked_task)
        return alike and result.protocol == self.protocol and task == self.asked_task


class Contestant(BaseModel):
    """One recipe of a study.

    Args:
        recipe: a shipped name or a file, beside the study's own if there is one.
        label: in tables and of its folders; by default the recipe's name.
        overrides: of this recipe alone.
        control: wrong on purpose.
        without: titles of evaluations that it cannot answer.
    """

    model_config = STRICT

    recipe: str
    label: str | None = None
    overrides: dict[str, Any] = {}
    control: bool = False
    without: list[str] = []


def _spelled_out(key: str) -> BeforeValidator:
    """In a list, a bare text stands for a mapping with this one key."""

    def each(values: Any) -> Any:
        listed = isinstance(values, list)
        return [{key: one} if isinstance(one, str) else one for one in values] if listed else values

    return BeforeValidator(each)


class Study(BaseModel):
    """What is compared.

    Args:
        title: of the report.
        summary: what it is, in a line.
        recipes: what is pretrained.
        seeds: of every recipe.
        overrides: of every recipe.
        evaluations: how every cell is measured.
    """

    model_config = STRICT

    title: str
    summary: str = ""
    recipes: Annotated[list[Contestant], _spelled_out("recipe")] = Field(min_length=1)
    seeds: list[Annotated[int, Field(ge=0)]] = Field([0], min_length=1)
    overrides: dict[str, Any] = {}
    evaluations: Annotated[list[Evaluation], _spelled_out("protocol")] = Field(min_length=1)

    def cells(self, overrides: Mapping[str, Any] | None = None, *, controls: bool = True) -> list[Cell]:
        """All that is to be done, in order, seed by seed; everything in it is checked.

        Args:
            overrides: of every recipe, the last word.
            controls: also what is wrong on purpose.

        Raises:
            RecipeError: a recipe, an option or a name is not as it should be, or an evaluation could not measure a
                recipe's run.
        """
        self._check_evaluations()
        _check_seeds(self, overrides or {})
        chosen = [one for one in self.recipes if controls or not one.control]
        cells: list[Cell] = []
        for seed in self.seeds:
            for one in chosen:
                changes = {**self.overrides, **one.overrides, **(overrides or {}), "seed": seed}
                loaded = recipe_module.load(one.recipe, changes)
                asked = self._asked(one, first=not cells)
                cells.append(Cell(one.label or loaded.name, one.control, loaded, asked))
        _check_names(cells)
        for cell in cells:
            cell.check()
        return cells

    def _asked(self, one: Contestant, first: bool) -> tuple[Evaluation, ...]:
        """What a cell of a contestant is measured by."""
        able = (each for each in self.evaluations if each.title not in one.without)
        return tuple(each.of_cell(first) for each in able if first or not each.first_only)

    def _check_evaluations(self) -> None:
        kept: set[str] = set()
        for one in self.evaluations:
            for options in (one.options, one.options | one.first_options):
                trial.check_options(one.protocol, options, one.task, f"study: evaluation '{one.title}'")
            # a run keeps one result for each protocol, task and data
            place = json.dumps([one.protocol, one.asked_task, one.split, one.label_data, one.test_data], sort_keys=True)
            if place in kept:
                raise RecipeError(
                    f"study: two evaluations are both '{one.protocol}' on the same data; keep one of them"
                )
            kept.add(place)
        titles = [one.title for one in self.evaluations]
        if len(set(titles)) < len(titles):
            raise RecipeError("study: two evaluations have the same name; give each a name of its own")
        for name in (name for one in self.recipes for name in one.without if name not in titles):
            raise RecipeError(f"study: 'without' names no evaluation '{name}'{nearest(name, titles)}")


@dataclass(frozen=True)
class Cell:
    """One recipe with one seed, and what it is asked.

    Args:
        label: of its recipe in the study.
        control: wrong on purpose.
        recipe: with its seed and all overrides.
        evaluations: what it is measured by.
    """

    label: str
    control: bool
    recipe: Recipe
    evaluations: tuple[Evaluation, ...]

    @property
    def name(self) -> str:
        """Of its run folder."""
        return f"{re.sub(r'[^A-Za-z0-9_.+-]+', '-', self.label)}-seed{self.recipe.seed}"

    def check(self) -> None:
        """A `RecipeError` if an evaluation could not measure the run, as far as that is known before there is one."""
        for one in self.evaluations:
            try:
                trial.check_asked(self.recipe, one.protocol, one.options, **one.what)
            except RecipeError as error:
                raise RecipeError(f"study: evaluation '{one.title}' of '{self.label}': {error}") from error


def load(source: str | Path) -> Study:
    """The study called ``source``: a shipped name or a YAML file; a `RecipeError` says what is wrong with it."""
    if str(source).endswith(recipes.SUFFIXES):
        path = Path(source)
        values = recipes.from_file(path, "study")
        study = validated(Study, values, what=str(path))
        for one in study.recipes:
            one.recipe = recipes.beside(path, one.recipe)
        return study
    if str(source) not in studies.texts():
        known = nearest(str(source), studies.texts())
        raise RecipeError(f"there is no study called '{source}' (a file ends in .yaml){known}")
    return validated(Study, recipes.mapping(f"study {source}", studies.texts()[str(source)]), what=f"study {source}")


def _check_seeds(study: Study, overrides: Mapping[str, Any]) -> None:
    """A `RecipeError` if an override is a seed, which every cell has of its own."""
    for where in (overrides, study.overrides, *(one.overrides for one in study.recipes)):
        if "seed" in where:
            raise RecipeError(
                f"study: 'seed' cannot be overridden with {where['seed']!r}, since each run has a seed of its own; "
                "list seeds under 'seeds' of the study, or give --seeds COUNT"
            )


def _check_names(cells: Sequence[Cell]) -> None:
    """A `RecipeError` if two cells would have the same folder."""
    names = [cell.name for cell in cells]
    for cell in cells:
        if names.count(cell.name) > 1:
            raise RecipeError(
                f"study: more than one run would be called '{cell.name}'; give each recipe a label, and each seed once"
            )
