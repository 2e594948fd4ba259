"""Recipes as they were while each was a file of its own: every name is still there and says the same."""

from __future__ import annotations

import json

import pytest

from pointlift import recipe
from tests.frozen.recipes import FILE, checksum, resolved

THEN = json.loads(FILE.read_text())


@pytest.mark.parametrize("name", THEN["checksums"])
def test_a_recipe_says_what_it_said(name: str) -> None:
    assert checksum(resolved(name), THEN["known"]) == THEN["checksums"][name]


def test_every_name_is_still_shipped() -> None:
    assert set(THEN["checksums"]) <= set(recipe.shipped())


def test_a_changed_value_is_noticed_and_a_new_option_is_not() -> None:
    name = "street-relational"
    values = resolved(name)
    values["student"]["an option of later"] = 3
    assert checksum(values, THEN["known"]) == THEN["checksums"][name]
    values["student"]["width"] = 0.75
    assert checksum(values, THEN["known"]) != THEN["checksums"][name]
