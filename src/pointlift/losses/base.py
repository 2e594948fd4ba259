"""The contract of losses: a function of two feature matrices, over what it is a mean, and what else it asks of a pair.

A registered function takes ``(student (N, D), teacher (N, D), normalize, …, *, options)``; with the scope ``rows`` it
takes ``rows`` after ``normalize``. Between these and the options stand its *extras*: tensors with one row for each
pair, such as the region or the weight of it, which travel with the pairs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

from torch import Tensor

from pointlift.errors import RecipeError
from pointlift.losses.distributed import loss_of_batch, loss_of_rows
from pointlift.registry import LOSSES

if TYPE_CHECKING:
    from pointlift.registry import Part

Scope = Literal["rows", "batch"]
"""``rows``: a mean over rows, each against all columns, so that the batch's loss is the mean of its parts' and can be
computed part by part. ``batch``: a function of the whole batch, for which all rows are gathered."""


class Loss:
    """A loss with its options, called with the pairs that this process has: the loss of the global batch.

    What a method calls: whether the batch is spread over processes, and over what the loss is a mean, is not its
    concern. Value and gradient are those of one process with the whole batch (`pointlift.losses.distributed`).

    Args:
        function: a paired loss; any ``(student, teacher) -> scalar`` will do as a function of the whole batch.
        scope: over what it is a mean; a function of ``rows`` must take them.
        of_classes: whether the teacher's features must be class probabilities, a channel a class.
        options: keyword arguments of the function.
    """

    def __init__(
        self, function: Callable[..., Tensor], scope: Scope = "batch", of_classes: bool = False, **options: Any
    ) -> None:
        self.function, self.scope, self.of_classes, self.options = function, scope, of_classes, options
        beside = [one for one in _positional(function)[2:] if one.name not in ("normalize", "rows")]
        self.extras = tuple(one.name for one in beside)
        self._needed = {one.name for one in beside if one.default is inspect.Parameter.empty}

    def __call__(self, student: Tensor, teacher: Tensor, **extras: Tensor) -> Tensor:
        """The loss of the pairs of all processes, a scalar that is the same on each of them.

        Args:
            student: (n, D), this process's rows; n may differ between processes, and may be 0.
            teacher: (n, D).
            extras: what else is known of each pair, (n, …); the loss takes those that it declares. Numbers that name
                something, such as regions, must not mean different things on different processes.

        Raises:
            ValueError: if the shapes do not fit.
        """
        taken = {name: extras[name] for name in self.extras if name in extras}
        for name, values in taken.items():
            if len(values) != len(student):
                raise ValueError(f"there are {len(student)} pairs, but {len(values)} rows of '{name}'")
        of_all = loss_of_rows if self.scope == "rows" else loss_of_batch
        return of_all(partial(self.function, **self.options), student, teacher, taken)

    def require(self, given: Collection[str] = (), *, classes: bool = False) -> None:
        """A `RecipeError` if the loss needs other extras than those given with each pair, or classes where none are.

        Args:
            given: extras that the method gives with each pair.
            classes: whether what it gives as the teacher's features are class probabilities.
        """
        if self.of_classes and not classes:
            raise RecipeError(
                "this loss is of class probabilities, and this teacher's features are none: choose teacher.name "
                "labelmaps or segmenter without text_source, or another loss.name"
            )
        lacking = sorted(self._needed - set(given))
        if lacking:
            raise RecipeError(
                f"the loss needs {' and '.join(lacking)} with each pair, which this method does not give; choose "
                "another loss.name or method.name"
            )


def build(name: str, **options: Any) -> Loss:
    """The loss that is registered under ``name``, with options that are checked against its signature first."""
    part = LOSSES.get(name)
    return Loss(part.factory, **part.declared, **part.fixed, **LOSSES.checked(name, options))


def check_loss(part: Part) -> None:
    """A `ValueError` unless the loss declares its scope, at most ``of_classes`` beside it, and takes what that asks."""
    scopes = get_args(Scope)
    if not {"scope"} <= set(part.declared) <= {"scope", "of_classes"} or part.declared["scope"] not in scopes:
        raise ValueError(f"the loss '{part.name}' must declare its scope, {' or '.join(map(repr, scopes))}")
    of_rows = part.declared["scope"] == "rows"
    wanted = ["student", "teacher", "normalize", *(["rows"] if of_rows else [])]
    found = [one.name for one in _positional(part.factory)]
    if found[: len(wanted)] != wanted:
        raise ValueError(f"the loss '{part.name}' must take ({', '.join(wanted)}, …), not ({', '.join(found)}, …)")
    if not of_rows and "rows" in inspect.signature(part.factory).parameters:
        raise ValueError(f"the loss '{part.name}' is a function of the whole batch, so it must not take 'rows'")


def _positional(function: Callable[..., Any]) -> list[inspect.Parameter]:
    parameters = inspect.signature(function).parameters.values()
    return [one for one in parameters if one.kind is not inspect.Parameter.KEYWORD_ONLY]
