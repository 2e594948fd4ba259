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


def chosen_protocol(protocol: str | None, task: str | None) -> str:
    """The protocol that was asked for; a `RecipeError` says what to write where none was, or a protocol as the task."""
    protocols = REGISTRIES["protocols"].names()
    if task in protocols:
        raise RecipeError(f"'{task}' is a protocol: --protocol {task} (--task says what is predicted)")
    if protocol is None:
        raise RecipeError(f"how shall the run be tested? give --protocol, one of: {', '.join(protocols)}")
    return protocol
