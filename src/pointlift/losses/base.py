"""The contract of losses that recipes name: a function of two feature matrices that says over what it is a mean."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from pointlift.registry import Part

Scope = Literal["rows", "batch"]
"""``rows``: a mean over rows, each against all columns, so that the batch's loss is the mean of its parts' and can be
computed part by part. ``batch``: a function of the whole batch, for which all rows are gathered."""


def check_loss(part: Part) -> None:
    """A `ValueError` unless the loss declares its scope and takes what that scope asks for."""
    scopes = get_args(Scope)
    if set(part.declared) != {"scope"} or part.declared["scope"] not in scopes:
        raise ValueError(f"the loss '{part.name}' must declare its scope, {' or '.join(map(repr, scopes))}")
    wanted = ["student", "teacher", "normalize", *(["rows"] if part.declared["scope"] == "rows" else [])]
    parameters = inspect.signature(part.factory).parameters.values()
    found = [one.name for one in parameters if one.kind is not inspect.Parameter.KEYWORD_ONLY]
    if found[: len(wanted)] != wanted:
        raise ValueError(f"the loss '{part.name}' must take ({', '.join(wanted)}, …), not ({', '.join(found)}, …)")
