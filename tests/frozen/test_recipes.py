"""Recipes as they were while each was a file of its own: every name is still there and says the same.

Where a recipe says something else on purpose, `CHANGED` names the value that it had and why it changed.
"""

from __future__ import annotations

import json
from fnmatch import fnmatch
from typing import Any

import pytest

from pointlift import recipe
from tests.frozen.recipes import FILE, checksum, resolved

THEN = json.loads(FILE.read_text())
CHANGED: dict[str, dict[str, Any]] = {
    # SLidR's configurations all say 3, and the recipe's label names SLidR.
    "nuscenes-*": {"student.stem_kernel": 5},
    # ScaLR's cosine ends at 1e-5 of 2e-3, and the recipe's label names ScaLR.
    "nuscenes-[!p]*": {"training.final_learning_rate": 0.0},
    # Ten epochs of however many pairs there are (training.warmup_epochs), and not of 100 k pairs that the split lacks.
    "concept-scannet*": {"training.warmup_steps": 7800},
}


def as_then(name: str) -> dict[str, Any]:
    """The values of a recipe, with those that changed on purpose as they were."""
    values = resolved(name)
    for pattern, former in CHANGED.items():
        for key, value in former.items() if fnmatch(name, pattern) else ():
            section, option = key.split(".")
            assert values[section][option] != value, f"{name}: {key} did not change"
            values[section][option] = value
    return values


@pytest.mark.parametrize("name", THEN["checksums"])
def test_a_recipe_says_what_it_said(name: str) -> None:
    assert checksum(as_then(name), THEN["known"]) == THEN["checksums"][name]


def test_every_name_is_still_shipped() -> None:
    assert set(THEN["checksums"]) <= set(recipe.shipped())


def test_a_changed_value_is_noticed_and_a_new_option_is_not() -> None:
    name = "street-relational"
    values = resolved(name)
    values["student"]["an option of later"] = 3
    assert checksum(values, THEN["known"]) == THEN["checksums"][name]
    values["student"]["width"] = 0.75
    assert checksum(values, THEN["known"]) != THEN["checksums"][name]
