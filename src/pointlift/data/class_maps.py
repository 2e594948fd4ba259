"""Class lists, and maps from one to another: small YAML files, shipped or a user's own.

A list is ``classes: {0: road, 1: [sidewalk, pavement]}`` (id: name, or name and other names) and ``ignored: [255]``.
A map is ``source`` and ``target`` (lists: a shipped name, a file, or written out in place) and ``map: {road: road,
sky: null}``, which gives every class of the source a class of the target, or null to leave it out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from pointlift.documents import read_yaml, yaml_of
from pointlift.errors import RecipeError, brief, nearest

NOTHING = -1
"""In `ClassMap.table`: an id that is ignored, or of a class without target."""
UNKNOWN = -2
"""In `ClassMap.table`: an id that the source list does not have."""


@dataclass(frozen=True)
class ClassList:
    """Classes by id.

    Attributes:
        where: the file or model they come from, for messages.
        names: in the order of the ids.
        ids: (C,) values in label maps.
        aliases: plain form (see `plain`) of every name, main or other, to the class's index.
        ignored: ids that stand for no class.
    """

    where: str
    names: tuple[str, ...]
    ids: tuple[int, ...]
    aliases: Mapping[str, int]
    ignored: tuple[int, ...] = (255,)

    def index(self, name: str) -> int | None:
        """Position of the class that is called ``name``, in capitals or not, with spaces, hyphens or underscores."""
        return self.aliases.get(plain(name))


@dataclass(frozen=True)
class ClassMap:
    """From the classes of ``source`` to those of ``target``: ``targets (S,)`` holds an index or None for each."""

    where: str
    source: ClassList
    target: ClassList
    targets: tuple[int | None, ...]

    def table(self) -> np.ndarray:
        """Index in the target (256,) int64 for every id that 8 bits hold; else `NOTHING` or `UNKNOWN`."""
        table = np.full(256, UNKNOWN, dtype=np.int64)
        table[[number for number in self.source.ignored if number < len(table)]] = NOTHING
        for number, target in zip(self.source.ids, self.targets, strict=True):
            if number < len(table):  # a list of a network's classes may go beyond what label maps hold
                table[number] = NOTHING if target is None else target
        return table

    def matrix(self) -> np.ndarray:
        """(S, T) float32, 1 where a source class goes to a target class; rows of zeros for those without target."""
        matrix = np.zeros((len(self.targets), len(self.target.names)), np.float32)
        for row, target in enumerate(self.targets):
            if target is not None:
                matrix[row, target] = 1.0
        return matrix


def plain(name: str) -> str:
    """A name in lower case, with single spaces for hyphens, underscores and spaces."""
    return re.sub(r"[-_\s]+", " ", name.lower()).strip()


def class_list(names: Sequence[str], where: str) -> ClassList:
    """The list of these names with ids 0, 1, …; a `RecipeError` if two are alike."""
    return _class_list({"classes": dict(enumerate(names))}, where)


def load_class_list(source: str) -> ClassList:
    """A shipped class list by name, or one from a YAML file.

    Raises:
        RecipeError: naming the file and what is wrong in it.
    """
    values, where = _read(source, "class list")
    if "map" in values:
        raise RecipeError(f"{where} is a map between class lists; a class list has 'classes'")
    return _class_list(values, where)


def load_class_map(source: str, classes: ClassList | None = None) -> ClassMap:
    """A shipped class map by name, or one from a YAML file.

    Args:
        source: name or file.
        classes: what is to be mapped, in place of the file's own source; every class must occur in the map.

    Raises:
        RecipeError: naming the file and the class that is unknown or lacks a mapping.
    """
    values, where = _read(source, "class map")
    if "map" not in values:
        raise RecipeError(f"{where} is a class list; a class map has 'source', 'target' and 'map'")
    _require_keys(values, ("source", "target", "map"), where)
    own = _part(values["source"], f"{where}: source", where)
    target = _part(values["target"], f"{where}: target", where)
    return _class_map(values["map"], own if classes is None else classes, own, target, where)


def identity(classes: ClassList) -> ClassMap:
    """The map of a list to itself."""
    return ClassMap(classes.where, classes, classes, tuple(range(len(classes.names))))


def shipped() -> list[str]:
    """Names of the class lists and maps that come with the package."""
    folder = resources.files("pointlift.data") / "class_maps"
    return sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))


def _class_map(given: Any, classes: ClassList, own: ClassList, target: ClassList, where: str) -> ClassMap:
    """``given`` names classes of ``own``; those of ``classes`` are looked up in it by any of their names."""
    if not isinstance(given, dict):
        raise RecipeError(f"{where}: 'map' must give a class of the target, or null, for each class of the source")
    chosen: dict[int, int | None] = {}
    for name, wanted in given.items():
        index = own.index(str(name))
        if index is None:
            raise RecipeError(
                f"{where}: map: the source {own.where} has no class '{name}'{nearest(str(name), own.names)}"
            )
        if index in chosen:
            raise RecipeError(f"{where}: map: the class '{own.names[index]}' is mapped twice")
        chosen[index] = None if wanted is None else target.index(str(wanted))
        if wanted is not None and chosen[index] is None:
            raise RecipeError(
                f"{where}: map: '{name}' goes to '{wanted}', which the target {target.where} does not have"
                f"{nearest(str(wanted), target.names)}"
            )
    targets = []
    for name in classes.names:
        index = own.index(name)
        if index is None or index not in chosen:
            raise RecipeError(f"{where}: map: the class '{name}' of {classes.where} has no mapping; give one, or null")
        targets.append(chosen[index])
    return ClassMap(where, classes, target, tuple(targets))


def _part(value: Any, where: str, file: str) -> ClassList:
    """A list within a map: a shipped name, a file (beside the map, if its name is relative) or written out."""
    if isinstance(value, dict):
        return _class_list(value, where)
    if not isinstance(value, str):
        raise RecipeError(f"{where} must be the name of a class list, a YAML file, or 'classes' written out")
    beside = Path(file).parent / value
    return load_class_list(str(beside) if beside.is_file() else value)


def _class_list(values: dict[str, Any], where: str) -> ClassList:
    _require_keys(values, ("classes",), where, ("ignored",))
    given = values["classes"]
    given = dict(enumerate(given)) if isinstance(given, list) else given
    if not isinstance(given, dict) or not given:
        raise RecipeError(f"{where}: 'classes' must give the name of each id, such as 0: road")
    ignored = values.get("ignored", [255])
    ignored = ignored if isinstance(ignored, list) else [ignored]
    for number in (*given, *ignored):
        if type(number) is not int or not 0 <= number <= 65535:
            raise RecipeError(f"{where}: the id {brief(number)} is not a whole number from 0 on")
    names, aliases = _names(dict(sorted(given.items())), where)
    both = sorted(set(given) & set(ignored)) if "ignored" in values else []
    if both:
        raise RecipeError(f"{where}: the id {both[0]} is both that of '{given[both[0]]}' and ignored")
    return ClassList(where, names, tuple(sorted(given)), aliases, tuple(n for n in ignored if n not in given))


def _names(given: Mapping[int, Any], where: str) -> tuple[tuple[str, ...], dict[str, int]]:
    """Main names, and all names by their plain form."""
    names: list[str] = []
    aliases: dict[str, int] = {}
    for number, value in given.items():
        of_class = value if isinstance(value, list) else [value]
        if not of_class or not all(isinstance(name, str) and plain(name) for name in of_class):
            raise RecipeError(f"{where}: the id {number} needs a name, or a list of names, not {brief(value)}")
        for name in of_class:
            other = aliases.setdefault(plain(name), len(names))
            if other != len(names):
                raise RecipeError(f"{where}: '{name}' stands for two classes, '{names[other]}' and '{of_class[0]}'")
        names.append(of_class[0])
    return tuple(names), aliases


def _require_keys(values: Mapping[str, Any], needed: Sequence[str], where: str, optional: Iterable[str] = ()) -> None:
    for key in needed:
        if key not in values:
            raise RecipeError(f"{where}: the key '{key}' is missing")
    known = [*needed, *optional]
    for key in values:
        if key not in known:
            raise RecipeError(f"{where}: there is no key '{key}'{nearest(str(key), known)}")


def _read(source: str, what: str) -> tuple[dict[str, Any], str]:
    """Content of a shipped file by name or of a user's own, and what to call it."""
    path = Path(source).expanduser()
    if path.suffix in (".yaml", ".yml"):
        values, where = read_yaml(path, what), str(path)
    elif source in shipped():
        text = (resources.files("pointlift.data") / "class_maps" / f"{source}.yaml").read_text(encoding="utf-8")
        values, where = yaml_of(text, source), source
    else:
        raise RecipeError(f"there is no {what} called '{source}' (a file ends in .yaml){nearest(source, shipped())}")
    if not isinstance(values, dict):
        raise RecipeError(f"{where} should hold keys and values, such as 'classes:' with 0: road below it")
    return values, where
