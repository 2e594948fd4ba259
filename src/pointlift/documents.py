"""One reader of YAML and one of JSON, for what people write for pointlift and for what it wrote itself.

Whatever is in a file, the outcome is plain values of a bounded size, or one sentence that names the file: text that is
no UTF-8, keys that stand twice, whole numbers of thousands of digits, nesting without end and anchors that grow are
refused before anything is made of them. Dates stay text, since nothing here has a date and folders are often called so.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from pointlift.errors import DataError, PointliftError, RecipeError

DEEPEST = 60
"""Levels of nesting."""
MOST_VALUES = 200_000
"""Values in a YAML text, those that anchors repeat counted as often as they are repeated."""
MOST_BYTES = 4 << 20
"""Of a YAML text."""
LARGEST = 2**64
"""Whole numbers lie between this and its negative."""
_MOST_DIGITS = 20

Error = type[PointliftError]
Shape = TypeVar("Shape")


def yaml_of(text: str | bytes, where: str, error: Error = RecipeError) -> Any:
    """The value of a YAML text.

    Args:
        text: of at most `MOST_BYTES`; bytes are read as UTF-8.
        where: what to call it in messages.
        error: what is raised if it is not as it should be.
    """
    if len(text) > MOST_BYTES:
        raise error(f"{where} is too long: {len(text):,} bytes, and at most {MOST_BYTES:,} are read as YAML")
    try:
        return yaml.load(_decoded(text, where, error), Loader=_Loader)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        line = "" if mark is None else f" at line {mark.line + 1}"
        raise error(f"{where} is not valid YAML{line}{_said(problem)}") from problem
    except RecursionError as problem:  # several levels of Python's own stand behind each level of the text
        raise error(f"{where} is not valid YAML: it is nested too deeply") from problem
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as problem:
        # what PyYAML's own constructors raise, such as of !!bool maybe
        raise error(f"{where} is not valid YAML: a value is not of the type that its tag says") from problem


def read_yaml(path: Path, what: str, error: Error = RecipeError) -> Any:
    """The value of the YAML file that is a ``what``."""
    return yaml_of(_content(path, what, error), str(path), error)


def json_of(text: str | bytes, where: str, error: Error = DataError) -> Any:
    """The value of a JSON text; an ``error`` that begins with ``where`` if it is none."""
    try:
        value = json.loads(
            _decoded(text, where, error), object_pairs_hook=_unique, parse_int=_whole, parse_float=_number
        )
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
        return value
    except (ValueError, RecursionError) as problem:
        said = "it is nested too deeply" if isinstance(problem, RecursionError) else _brief(str(problem))
        raise error(f"{where}: the file is not JSON that can be read: {said}") from problem


def read_json(path: Path, what: str, error: Error = DataError) -> Any:
    """The value of the JSON file that is a ``what``."""
    return json_of(_content(path, what, error), str(path), error)


def shaped(value: Any, shape: type[Shape], where: str, error: Error = DataError) -> Shape:
    """A value of JSON or YAML as ``shape``, any type that msgspec knows; an ``error`` says what in it does not fit."""
    try:
        return msgspec.convert(value, shape)
    except (msgspec.ValidationError, RecursionError) as problem:
        raise error(f"{where} is not as it should be: {_brief(str(problem))}") from problem


def _content(path: Path, what: str, error: Error) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as problem:  # a path may hold what no file system knows
        raise error(f"the {what} {path} cannot be read: {getattr(problem, 'strerror', None) or problem}") from problem


def _decoded(text: str | bytes, where: str, error: Error) -> str:
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = text.count(b"\n", 0, problem.start) + 1
        raise error(f"{where} is not UTF-8 text (line {line}); save it as UTF-8") from problem


def _brief(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:200]}…"


def _said(problem: yaml.YAMLError) -> str:
    said = getattr(problem, "problem", None) or getattr(problem, "reason", None)
    return f": {_brief(str(said))}" if said else ""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        raise ValueError(f"the key '{twice}' stands twice")
    return found


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS + 1 or abs(int(text)) >= LARGEST:
        raise ValueError(f"a whole number of {len(text.lstrip('-'))} digits")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number that is too large")
    return value


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with bounds; dates stay text, keys are unique."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """A node, unless it is too deep or too large; an alias is as large as what it stands for."""
        event = self.peek_event()
        alias = isinstance(event, yaml.AliasEvent)
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._refused(f"it is nested more than {DEEPEST} deep", event.start_mark)
        node: Any = super().compose_node(parent, index)
        self._depth -= 1
        if alias and id(node) not in self._sizes:
            raise self._refused(f"the anchor '{event.anchor}' contains itself", event.start_mark)
        if not alias:
            self._sizes[id(node)] = self._size(node, event.start_mark)
        return node

    def compose_mapping_node(self, anchor: Any) -> Any:
        """A mapping whose keys differ."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            known = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
            if known is not None and known in seen:
                raise self._refused(f"the key '{_brief(key.value)}' stands twice", key.start_mark)
            seen.add(known)
        return node

    def construct_yaml_int(self, node: Any) -> int:
        """A whole number within `LARGEST`."""
        digits = len(self.construct_scalar(node))
        value: int = 2**64 if digits > 80 else super().construct_yaml_int(node)
        if abs(value) >= LARGEST:
            raise self._refused(f"a whole number of {digits} digits", node.start_mark)
        return value

    def _size(self, node: Any, mark: Any) -> int:
        if isinstance(node, yaml.ScalarNode):
            if "\0" in node.value or any("\ud800" <= character <= "\udfff" for character in node.value):
                raise self._refused("a text has a character that no text has", mark)
            return 1
        inner = [one for pair in node.value for one in pair] if isinstance(node, yaml.MappingNode) else node.value
        size = 1 + sum(self._sizes[id(one)] for one in inner)
        if size > MOST_VALUES:
            raise self._refused(f"it has more than {MOST_VALUES:,} values, as its anchors repeat them", mark)
        return size

    def _refused(self, said: str, mark: Any) -> yaml.MarkedYAMLError:
        return yaml.MarkedYAMLError(problem=said, problem_mark=mark)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
