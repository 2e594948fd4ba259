"""What contracts of parts are made of: questions to a class, asked when it is registered, and to what was built of it.

A part that does not keep its contract is one sentence where it is registered or built, and no traceback of whoever asks
it much later. Each kind's contract stands beside its base class, in words of these.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from pointlift.errors import PluginError

_ABSENT = object()


def check_options(what: str, factory: Callable[..., Any], fixed: Mapping[str, Any]) -> None:
    """A `ValueError` unless the keyword-only arguments of ``factory`` can be options, and the ``fixed`` exist."""
    options = _options(factory)
    for key, parameter in options.items():
        if parameter.annotation is inspect.Parameter.empty and key not in fixed:
            raise ValueError(f"{what} must say of which type its option '{key}' is, as in {key}: int = 1")
        if key == "name" or key.startswith("_"):
            raise ValueError(f"{what} must not call an option '{key}': name is the part's own, and _ begins no key")
    absent = sorted(set(fixed) - set(options))
    if absent:
        raise ValueError(f"{what} fixes '{absent[0]}', which is no keyword-only argument of it")


def derives(what: str, factory: Callable[..., Any], base: type, *methods: str) -> None:
    """A `ValueError` unless ``factory`` is a class derived from ``base`` that implements these methods of it."""
    said = f"{base.__module__}.{base.__qualname__}"
    if not (isinstance(factory, type) and issubclass(factory, base)):
        raise ValueError(f"{what} must be a class derived from {said}")
    lacking = [name for name in methods if not overrides(factory, base, name)]
    if lacking:
        raise ValueError(f"{what} must define {' and '.join(lacking)}, see {said}")


def overrides(kind: type, base: type, name: str) -> bool:
    """Whether a class, or one between it and ``base``, defines ``name`` itself."""
    return any(name in vars(one) for one in takewhile(lambda one: one is not base, kind.__mro__))


def takes(what: str, factory: Callable[..., Any], *wiring: str) -> None:
    """A `ValueError` unless ``factory`` can be called with these positional arguments and its options by keyword."""
    target = _target(factory)
    own = f"must be built with ({', '.join([*wiring, '*', 'options'])})"
    if wiring and target.__qualname__ in ("Module.__init__", "object.__init__"):  # they only seem to take everything
        raise ValueError(f"{what} {own}, but has no constructor")
    given = [*(["self"] if isinstance(factory, type) else []), *wiring]
    _bound(target, f"{what} {own}", given, _options(factory))


def asked_of_class(what: str, kind: type, **wanted: Sequence[str]) -> None:
    """A `ValueError` unless these are class methods that take such arguments, or by name every option for none."""
    for name, given in wanted.items():
        method = inspect.getattr_static(kind, name)
        if not isinstance(method, classmethod):
            raise ValueError(f"{what} must have '{name}' as a @classmethod, as it is asked before anything is built")
        said = f"({', '.join(given)})" if given else "every option by its name, as with **options"
        keywords = {} if given else _options(kind)
        _bound(method.__get__(None, kind), f"'{name}' of {what} must take {said}", given, keywords)


def plain(what: str, kind: type, **kinds: type | tuple[type, ...]) -> None:
    """A `ValueError` unless what a class has of these attributes are values of such kinds, and no properties."""
    for name, wanted in kinds.items():
        value = inspect.getattr_static(kind, name, None)
        if value is not None and not isinstance(value, wanted):
            raise ValueError(
                f"{what} must have a plain value as '{name}' of its class, {_in_words(wanted)}, and not "
                f"{type(value).__name__}, since it is asked before anything is built, or set by the registry"
            )


def names_options(what: str, kind: type, attribute: str, names: Sequence[str]) -> None:
    """A `ValueError` unless the ``names`` in an attribute are options of the class."""
    absent = [name for name in names if name not in _options(kind)]
    if absent:
        raise ValueError(f"{what} names '{absent[0]}' in '{attribute}', which is no option of it")


def has(what: str, built: Any, **kinds: type | tuple[type, ...]) -> None:
    """A `PluginError` unless something that was built has these attributes, of such kinds."""
    for name, wanted in kinds.items():
        value = getattr(built, name, _ABSENT)  # this asks whether a contract is kept, not what a part can do
        if value is _ABSENT:
            raise PluginError(f"{what} does not set '{name}', {_in_words(wanted)}")
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            raise PluginError(f"{what} has {value!r:.60} as '{name}', which must be {_in_words(wanted)}")


def has_names(what: str, built: Any, *attributes: str) -> None:
    """A `PluginError` unless these attributes are sequences of names."""
    for name in attributes:
        value = getattr(built, name, _ABSENT)
        listed = isinstance(value, Sequence) and not isinstance(value, str)
        if not listed or not all(isinstance(one, str) for one in value):  # type: ignore[attr-defined]
            said = "is not set" if value is _ABSENT else f"is {value!r:.60}"
            raise PluginError(f"{what} must have several names as '{name}', such as ('road', 'car'), but it {said}")


def _bound(target: Callable[..., Any], sentence: str, given: Sequence[str], keywords: Mapping[str, Any]) -> None:
    try:
        inspect.signature(target).bind(*given, **keywords)
    except TypeError as error:
        raise ValueError(f"{sentence}, but it does not: {error}") from error


def _target(factory: Callable[..., Any]) -> Any:
    return inspect.getattr_static(factory, "__init__") if isinstance(factory, type) else factory


def _options(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Keyword-only arguments by name."""
    parameters = inspect.signature(_target(factory)).parameters
    return {key: one for key, one in parameters.items() if one.kind is inspect.Parameter.KEYWORD_ONLY}


def _in_words(wanted: type | tuple[type, ...]) -> str:
    return " or ".join(one.__name__ for one in (wanted if isinstance(wanted, tuple) else (wanted,)))
