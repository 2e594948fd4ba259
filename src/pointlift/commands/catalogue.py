"""What there is to choose from: names and one-line summaries of every kind of part, in no time."""

from __future__ import annotations

from pointlift import recipes, studies
from pointlift.errors import RecipeError, nearest
from pointlift.registry import REGISTRIES

FILES = {"recipes": recipes.shipped, "studies": studies.shipped}
KINDS = (*REGISTRIES, *FILES)
"""What `pointlift list` knows."""


def catalogue(kind: str) -> dict[str, str]:
    """Names and one-line summaries of everything of one kind: "datasets", …, "studies"."""
    if kind in FILES:
        return FILES[kind]()
    if kind not in REGISTRIES:
        raise RecipeError(f"there is no kind called '{kind}'{nearest(kind, KINDS)}")
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
