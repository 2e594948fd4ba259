"""Stands in for `recipe.portable` until it is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pointlift.options import Local, marked
from pointlift.recipe import Recipe
from pointlift.run import of_any_part
from pointlift.train.options import BOOKKEEPING

_UNMARKED = {"data.root", "data.workers", "cache.folder", "teacher.source", "teacher.download"}


def portable(recipe: Recipe) -> dict[str, Any]:
    """Plain values that hold on any machine."""
    local = {key for key, _ in marked(recipe, Local)} | {f"training.{key}" for key in BOOKKEEPING}

    def kept(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in values.items():
            path = f"{prefix}{key}"
            public = path == "teacher.source" and value is not None and not Path(str(value)).is_absolute()
            if (path in local or of_any_part(path) in _UNMARKED) and not public:
                continue
            if isinstance(value, Mapping):
                found[key] = kept(value, f"{path}.")
            elif isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
                found[key] = [kept(one, f"{path}.{number}.") for number, one in enumerate(value)]
            else:
                found[key] = value
        return found

    return kept(recipe.to_dict(), "")
