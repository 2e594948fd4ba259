"""Names to factories: one decorator adds a data set, teacher, student, loss, method or protocol.

The signature of what is registered is its list of options: recipes validate against it, the command line's help and
the tests enumerate it. So an option is added by adding a keyword argument.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

from pointlift.errors import RecipeError, nearest


class Registry:
    """Factories of one kind by name.

    Args:
        kind: what the entries are, in the singular ("teacher"), for messages.
        module: the package whose import registers the built-in entries.
    """

    def __init__(self, kind: str, module: str) -> None:
        self.kind = kind
        self._module = module
        self._entries: dict[str, Callable[..., Any]] = {}

    def register(self, name: str) -> Callable[[Callable[..., Any]], Any]:
        """Decorator that registers a class or function under ``name``."""

        def add(factory: Callable[..., Any]) -> Callable[..., Any]:
            if name in self._entries:
                raise ValueError(f"the {self.kind} '{name}' is registered twice")
            self._entries[name] = factory
            return factory

        return add

    def names(self) -> list[str]:
        """All registered names, sorted."""
        import_module(self._module)
        return sorted(self._entries)

    def get(self, name: str) -> Callable[..., Any]:
        """The factory called ``name``; a `RecipeError` suggests the nearest name if there is none."""
        if name not in self.names():
            raise RecipeError(f"there is no {self.kind} called '{name}'{nearest(name, self._entries)}")
        return self._entries[name]

    def summary(self, name: str) -> str:
        """First line of the docstring of ``name``."""
        return (inspect.getdoc(self.get(name)) or "").split("\n", 1)[0]

    def options(self, name: str) -> type[BaseModel]:
        """Strict pydantic model of the keyword-only arguments of ``name``, with its ``name`` as discriminator.

        Positional arguments (a student's ``in_channels``, a method's ``teacher``) are wiring and not options.
        """
        return _options(self, name)

    def build(self, name: str, *args: Any, **options: Any) -> Any:
        """Call the factory with options that are checked against its signature first."""
        from pointlift.recipe import validated  # late: recipe knows the registries

        checked = validated(self.options(name), {"name": name, **options}, what=f"{self.kind} '{name}'")
        return self.get(name)(*args, **option_values(checked))


def option_values(options: BaseModel) -> dict[str, Any]:
    """The keyword arguments that a validated options model stands for."""
    return {key: getattr(options, key) for key in type(options).model_fields if key != "name"}


@cache
def _options(registry: Registry, name: str) -> type[BaseModel]:
    factory = registry.get(name)
    target = factory.__init__ if inspect.isclass(factory) else factory  # type: ignore[misc]
    hints = get_type_hints(target, include_extras=True)
    fields: dict[str, Any] = {"name": (Literal[name], name)}
    for key, parameter in inspect.signature(target).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            fields[key] = (hints[key], default)
    return create_model(
        f"{registry.kind}:{name}",
        __config__=ConfigDict(extra="forbid", protected_namespaces=(), allow_inf_nan=False),
        **fields,
    )


DATASETS = Registry("data set", "pointlift.datasets")
TEACHERS = Registry("teacher", "pointlift.teachers")
STUDENTS = Registry("student", "pointlift.students")
LOSSES = Registry("loss", "pointlift.losses")
METHODS = Registry("method", "pointlift.methods")
PROTOCOLS = Registry("protocol", "pointlift.evaluation")
