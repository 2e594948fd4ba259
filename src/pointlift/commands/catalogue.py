"""What there is to choose from: names and one-line summaries of every kind of part, in no time."""

from __future__ import annotations

from pointlift.errors import RecipeError, nearest
from pointlift.registry import REGISTRIES


def catalogue(kind: str) -> dict[str, str]:
    """Names and one-line summaries of everything of one kind: "datasets", …, "recipes"."""
    if kind == "recipes":
        from pointlift.recipe import shipped

        return shipped()
    if kind not in REGISTRIES:
        known = nearest(kind, [*REGISTRIES, "recipes"])
        raise RecipeError(f"there is no kind called '{kind}'{known}")
    registry = REGISTRIES[kind]
    return {name: registry.summary(name) for name in registry.names()}
