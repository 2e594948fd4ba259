"""Options: a signature becomes a strict model, marks say what an option is, and messages name the key that is wrong.

Registry and recipe share this: the keyword-only arguments of a part are its options, wherever they are given.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

from pointlift.errors import PluginError, RecipeError, brief, nearest

Model = TypeVar("Model", bound=BaseModel)


class Local:
    """Marks an option that changes nothing of what comes out, only how it is done here: it may differ at resume."""


class Place(Local):
    """Marks an option that says where something lies on this machine, such as a folder of data or of weights.

    It may differ at resume, is replaced by ``flag``, and is never printed on a page for others.

    Args:
        flag: the option of the command line that gives it, for messages; None if there is none.
        named: whether it may also be a public name, which says to others what it is.
    """

    def __init__(self, flag: str | None = None, named: bool = False) -> None:
        self.flag, self.named = flag, named


class Control:
    """Marks an option that, when it is true, makes a run wrong on purpose, as a control of others.

    Args:
        words: what is wrong, for labels, such as ``pairs shuffled``.
        why: what that takes away, as a clause.
    """

    def __init__(self, words: str, why: str) -> None:
        self.words, self.why = words, why


LOCAL = Local()
DATA_ROOT = Place("--data-root FOLDER")
TEACHER_SOURCE = Place("--teacher WEIGHTS", named=True)
PLACE = Place()
NAMED_PLACE = Place(named=True)
RANDOM_TEACHER = Control("random teacher", "a random teacher has learned nothing")


def signature_options(
    name: str,
    kind: str,
    factory: Callable[..., Any],
    fixed: Sequence[str] = (),
    shared: Mapping[str, tuple[Any, Any]] | None = None,
) -> type[BaseModel]:
    """Strict pydantic model of the keyword-only arguments of ``factory`` but the ``fixed`` ones, ``name`` among them.

    Positional arguments (a student's ``in_channels``, a method's ``teacher``) are wiring and not options. ``shared``
    are options that all parts of the kind have, annotation and default, of which the factory knows nothing.

    Raises:
        PluginError: an annotation names what its module does not have, or no type that a recipe can give.
    """
    try:
        return _signature_model(name, kind, factory, fixed, shared)
    except PluginError:
        raise
    except Exception as error:  # whatever evaluating an annotation of somebody else raises
        said = " ".join(str(error).split("\n")[0].split())
        raise PluginError(f"the options of the {kind} '{name}' cannot be read from its signature: {said}") from error


def _signature_model(
    name: str,
    kind: str,
    factory: Callable[..., Any],
    fixed: Sequence[str],
    shared: Mapping[str, tuple[Any, Any]] | None,
) -> type[BaseModel]:
    target = factory.__init__ if inspect.isclass(factory) else factory  # type: ignore[misc]
    hints = get_type_hints(target, include_extras=True)
    fields: dict[str, Any] = {"name": (Literal[name], name)}
    for key, parameter in inspect.signature(target).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and key not in fixed:
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            fields[key] = (hints[key], default)
    for key, option in (shared or {}).items():
        if key in fields:
            raise PluginError(f"the {kind} '{name}' must not have the option '{key}', which every {kind} has already")
        fields[key] = option
    return create_model(
        f"{kind}:{name}",
        __config__=ConfigDict(extra="forbid", protected_namespaces=(), allow_inf_nan=False),
        **fields,
    )


def option_values(options: BaseModel) -> dict[str, Any]:
    """The keyword arguments that a validated options model stands for."""
    return {key: getattr(options, key) for key in type(options).model_fields if key != "name"}


def marks(model: type[BaseModel], key: str) -> tuple[Local, ...]:
    """The marks of one option."""
    return tuple(mark for mark in model.model_fields[key].metadata if isinstance(mark, Local))


def value_marks(options: BaseModel, key: str) -> tuple[Local, ...]:
    """The marks that hold for the value of an option: those of the option, and of the members of a union that it is of.

    So ``Annotated[Path, PLACE] | list[float]`` is a place where it is given as a path.
    """
    found = list(marks(type(options), key))
    for one in _alternatives(type(options).model_fields[key].annotation):
        kind, *said = get_args(one) if get_origin(one) is Annotated else (one,)
        own = [mark for mark in said if isinstance(mark, Local)]
        found += own if own and isinstance(getattr(options, key), kind) else []
    return tuple(found)


def settings(options: BaseModel) -> dict[str, Any]:
    """What decides on what comes out, as plain data: all options but ``name`` and those that are `Local`, also within.

    An option that is a model, or a list of them, keeps their names. A path is left out even if nobody marked it.
    """
    return {key: value for key, value in _unmarked(options).items() if key != "name"}


def _unmarked(value: Any) -> Any:
    if isinstance(value, BaseModel):
        kept = [key for key in type(value).model_fields if not value_marks(value, key)]
        return {key: _unmarked(own) for key in kept if not isinstance(own := getattr(value, key), Path)}
    return [_unmarked(one) for one in value] if isinstance(value, (list, tuple)) else value


def marked(options: BaseModel, mark: type[Local] = Local, prefix: str = "") -> Iterator[tuple[str, Local]]:
    """Dotted keys of all options that bear ``mark``, with it: of the model, of models within it and lists of them."""
    for key in type(options).model_fields:
        for one in value_marks(options, key):
            if isinstance(one, mark):
                yield f"{prefix}{key}", one
        value = getattr(options, key)
        within = enumerate(value) if isinstance(value, list) else ((None, value),)
        for place, inner in within:
            if isinstance(inner, BaseModel):
                yield from marked(inner, mark, f"{prefix}{key}." if place is None else f"{prefix}{key}.{place}.")


def controls(options: BaseModel) -> Iterator[Control]:
    """The marks of all true options that make a run wrong on purpose, of the model and of models within it."""
    for key, field in type(options).model_fields.items():
        value = getattr(options, key)
        if isinstance(value, BaseModel):
            yield from controls(value)
        elif value is True:
            yield from (mark for mark in field.metadata if isinstance(mark, Control))


def validated(model: type[Model], values: Mapping[str, Any], what: str = "recipe", prefix: str = "") -> Model:
    """``model`` from ``values``; a `RecipeError` names the first bad key, and the right one if a key is mistyped."""
    from pydantic import ValidationError

    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        # a mistyped key is often what makes the right one missing, so it is said first
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        key = prefix + ".".join(str(part) for part in first["loc"])
        raise RecipeError(_explanation(first, key, model, what)) from error


def _explanation(first: Any, key: str, model: type[BaseModel], what: str) -> str:
    if first["type"] == "extra_forbidden":
        known = _model_at(model, first["loc"][:-1])
        return f"{what}: there is no key '{key}'{nearest(str(first['loc'][-1]), known.model_fields if known else ())}"
    if first["type"] == "missing":
        holder = _model_at(model, first["loc"][:-1])
        flags = () if holder is None else marks(holder, str(first["loc"][-1]))
        flag = next((mark.flag for mark in flags if isinstance(mark, Place) and mark.flag), None)
        return f"{what}: the key '{key}' is missing{f'; give {flag}' if flag else ''}"
    return f"{what}: '{key}' is {brief(first['input'])}: {first['msg'][0].lower()}{first['msg'][1:]}"


def _model_at(model: type[BaseModel], path: Sequence[Any]) -> type[BaseModel] | None:
    """The model within ``model`` at a path of keys."""
    for part in (part for part in path if not isinstance(part, int)):  # a number is a place in a list
        field = model.model_fields.get(part)
        options = () if field is None else _alternatives(field.annotation)
        inner = next((one for one in options if isinstance(one, type) and issubclass(one, BaseModel)), None)
        if inner is None:
            return None
        model = inner
    return model


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """An annotation, and those that a union of it names."""
    return (annotation, *(annotation.__args__ if hasattr(annotation, "__args__") else ()))
