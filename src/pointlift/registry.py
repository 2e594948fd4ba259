"""Names to parts: one decorator adds a data set, teacher, student, loss, method, task or protocol.

The signature of what is registered is its list of options: recipes validate against it, the command line's help and
the tests enumerate it. So an option is added by adding a keyword argument. What a part must be, its contract, is
checked when it is registered.

The parts of the package itself are found by reading its source, not by importing it: a module with a decorator is all
that a new part needs, names and summaries take no time, and a part's module is imported when the part is asked for.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pointlift import plugins
from pointlift.contract import check_options
from pointlift.errors import PluginError, RecipeError, nearest
from pointlift.options import option_values, signature_options, validated


@dataclass(frozen=True)
class Part:
    """What is registered under a name.

    Args:
        name: in recipes and on the command line.
        factory: the class or function.
        summary: what it is, in a line.
        fixed: keyword arguments that make this part of what several share; they are no options.
        declared: what it says of itself at registration, as its kind's contract asks.
        module: that registered it.
        place: file and line of its registration, for messages.
    """

    name: str
    factory: Callable[..., Any]
    summary: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    declared: Mapping[str, Any] = field(default_factory=dict)
    module: str = field(default="", compare=False)
    place: str = field(default="", compare=False)

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Build it."""
        return self.factory(*args, **self.fixed, **options)

    @property
    def definition(self) -> str:
        """The full name of what is registered."""
        return f"{self.factory.__module__}.{self.factory.__qualname__}"

    @property
    def where(self) -> str:
        """What is registered, and where."""
        return f"{self.definition} ({self.place})"


class Registry:
    """Parts of one kind by name.

    Args:
        kind: what they are, in the singular ("data set"), for messages.
        variable: the registry's own name, by which decorators in the source are recognised.
        package: that holds the built-in ones.
        contract: ``module:name`` of what they must be: a function that is given a `Part` and raises a `ValueError`.
        shared: ``module:name`` of options that all parts have beside their own, see `signature_options`; whoever builds
            a part knows what they mean, and the part does not.
    """

    def __init__(self, kind: str, variable: str, package: str, contract: str, shared: str | None = None) -> None:
        self.kind = kind
        self._variable, self._package, self._contract, self._shared = variable, package, contract, shared
        self._parts: dict[str, Part] = {}
        self._options: dict[str, type[BaseModel]] = {}

    def register(
        self, name: str, summary: str = "", *, fixed: Mapping[str, Any] | None = None, **declared: Any
    ) -> Callable[[Any], Any]:
        """Decorator that registers a class or function under ``name``.

        Args:
            name: in recipes and on the command line.
            summary: in a line; by default the first line of the docstring.
            fixed: keyword arguments that make this part of what several share.
            declared: what the kind's contract asks a part to say of itself, such as the scope of a loss.

        Raises:
            PluginError: another part has this name.
            ValueError: what is registered does not keep the contract.
        """

        def add(factory: Any) -> Any:
            said = summary or (inspect.getdoc(factory) or "").split("\n", 1)[0]
            if not (inspect.isclass(factory) or inspect.isroutine(factory)):
                raise ValueError(f"the {self.kind} '{name}' must be a class or a function, not {factory!r}")
            part = Part(name, factory, said, dict(fixed or {}), declared, *_caller())
            self._check_name(part)
            self._check_contract(part)
            plugins.note(part.module, partial(self._put, name, self._parts.get(name)))
            self._put(name, part)
            return factory

        return add

    def names(self) -> list[str]:
        """All names, sorted, those of plug-ins that were imported included."""
        return sorted({*self._source, *self._parts})

    def get(self, name: str) -> Part:
        """The part called ``name``; a `RecipeError` suggests the nearest name if there is none."""
        if name in self._source and name not in self._parts:
            import_module(self._source[name][0])
        if name not in self._parts:
            plugins.load_entry_points()
        if name not in self._parts:
            raise RecipeError(
                f"there is no {self.kind} called '{name}'{nearest(name, self.names())} (if it comes from a plug-in, "
                "give --import FILE)"
            )
        return self._parts[name]

    def summary(self, name: str) -> str:
        """What ``name`` is, in a line."""
        return self._parts[name].summary if name in self._parts else self._source[name][1]

    def options(self, name: str) -> type[BaseModel]:
        """Strict pydantic model of the options of ``name``, see `signature_options`."""
        if name not in self._options:
            part = self.get(name)
            self._options[name] = signature_options(name, self.kind, part.factory, tuple(part.fixed), self.shared)
        return self._options[name]

    def checked(self, name: str, options: Mapping[str, Any], what: str | None = None) -> dict[str, Any]:
        """The keyword arguments of ``name``, from options that are checked against its signature."""
        given = {"name": name, **options}
        values = option_values(validated(self.options(name), given, what=what or f"{self.kind} '{name}'"))
        return {key: value for key, value in values.items() if key not in self.shared}

    @cached_property
    def shared(self) -> Mapping[str, tuple[Any, Any]]:
        """The options that all parts have beside their own: annotation and default."""
        module, _, name = (self._shared or "").partition(":")
        return vars(import_module(module))[name] if module else {}

    def build(self, name: str, *args: Any, **options: Any) -> Any:
        """Build the part called ``name`` with options that are checked against its signature first."""
        return self.get(name)(*args, **self.checked(name, options))

    def _put(self, name: str, part: Part | None) -> None:
        self._options.pop(name, None)
        if part is None:
            self._parts.pop(name, None)
        else:
            self._parts[name] = part

    def _check_contract(self, part: Part) -> None:
        check_options(f"the {self.kind} '{part.name}'", part.factory, part.fixed)
        module, _, name = self._contract.partition(":")
        vars(import_module(module))[name](part)

    def _check_name(self, part: Part) -> None:
        other = self._parts.get(part.name)
        own = part.module.startswith(f"{self._package}.")
        if other is not None:
            taken = None if _again(other, part) else other.where
        else:
            taken = self._source[part.name][0] if not own and part.name in self._source else None
        if taken is not None:
            raise PluginError(f"two parts are called {self.kind} '{part.name}': {taken} and {part.where}")

    @cached_property
    def _source(self) -> dict[str, tuple[str, str]]:
        """Module and summary of every part of the package itself, by name."""
        found: dict[str, tuple[str, str]] = {}
        for name, said in _decorated(self._package, self._variable):
            if name in found:
                raise PluginError(f"two parts are called {self.kind} '{name}': in {found[name][0]} and in {said[0]}")
            found[name] = said
        return found


def _caller() -> tuple[str, str]:
    """Module of the code that applies a decorator, and its file and line."""
    frame = sys._getframe(2)
    return frame.f_globals.get("__name__", "?"), f"{frame.f_code.co_filename}, line {frame.f_lineno}"


def _again(old: Part, new: Part) -> bool:
    """Whether ``new`` is ``old`` once more: the same object, or its module was loaded again, changed or not."""
    if old == new or old.where == new.where:
        return True
    if (old.module, old.definition) != (new.module, new.definition) or old.factory is new.factory:
        return False
    (before, _, _), (file, _, _) = (one.place.rpartition(", line ") for one in (old, new))
    if before != file:
        return new.module == "__main__"  # a cell of a notebook, run again
    linecache.checkcache(file)
    name = new.factory.__name__
    tree = ast.parse("".join(linecache.getlines(file)))
    definitions = [one for one in ast.walk(tree) if isinstance(one, (ast.ClassDef, ast.FunctionDef))]
    return sum(one.name == name for one in definitions) < 2


def _decorated(package: str, variable: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Name, module and summary of everything in the source of a package that ``@VARIABLE.register`` decorates."""
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for file in sorted(Path(folder).rglob("*.py")):
            text = file.read_text(encoding="utf-8")
            if f"@{variable}.register(" not in text:
                continue
            inside = file.relative_to(folder).with_suffix("").parts
            module = ".".join((package, *(part for part in inside if part != "__init__")))
            for node in ast.parse(text).body:
                if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                    for name, summary in _registered(node, variable):
                        yield name, (module, summary or (ast.get_docstring(node) or "").split("\n", 1)[0])


def _registered(node: ast.ClassDef | ast.FunctionDef, variable: str) -> Iterator[tuple[str, str]]:
    """Name and summary in each ``@VARIABLE.register(NAME, SUMMARY)`` above a definition."""
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == f"{variable}.register":
            first, *rest = (ast.literal_eval(argument) for argument in decorator.args)
            yield first, rest[0] if rest else ""


DATASETS = Registry(
    "data set",
    "DATASETS",
    "pointlift.datasets",
    "pointlift.data.dataset:check_dataset",
    shared="pointlift.data.selection:SHARED",
)
TEACHERS = Registry("teacher", "TEACHERS", "pointlift.teachers", "pointlift.teachers.base:check_teacher")
STUDENTS = Registry("student", "STUDENTS", "pointlift.students", "pointlift.students.base:check_student")
LOSSES = Registry("loss", "LOSSES", "pointlift.losses", "pointlift.losses.base:check_loss")
METHODS = Registry("method", "METHODS", "pointlift.methods", "pointlift.train.method:check_method")
TASKS = Registry("task", "TASKS", "pointlift.tasks", "pointlift.tasks.base:check_task")
PROTOCOLS = Registry(
    "protocol", "PROTOCOLS", "pointlift.evaluation.protocols", "pointlift.evaluation.base:check_protocol"
)

REGISTRIES = {
    "datasets": DATASETS,
    "teachers": TEACHERS,
    "students": STUDENTS,
    "losses": LOSSES,
    "methods": METHODS,
    "tasks": TASKS,
    "protocols": PROTOCOLS,
}
"""By what `pointlift list` calls them."""
