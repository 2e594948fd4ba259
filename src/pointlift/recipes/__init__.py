"""Recipe files: what a name stands for, before any of it is checked. Reads YAML and nothing else, so that it is quick.

A file holds a base, and under ``variants`` names with what differs from it::

    name: street-relational            # the base is a recipe too if it has a name
    summary: what it is, in a line
    loss: {name: relational}
    variants:
      street-similarity:
        summary: the similarity loss in its place
        loss: {name: similarity}
      street-{loss}-{student}:         # every combination of a matrix; a choice's summary stands in the summary
        summary: "{loss} into {student}"
        matrix:
          loss: {contrastive: {loss: {name: contrastive}}, …}
          student: {wide: {student: {width: 1.0}}, …}

``extends: NAME`` puts another recipe underneath. What is merged: mappings key by key, but a section that names another
part, such as another loss, replaces the section whole.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pointlift.documents import read_yaml, yaml_of
from pointlift.errors import RecipeError, brief, nearest

SUFFIXES = (".yaml", ".yml")
FILE_KEYS = ("extends", "summary", "variants")
"""What a file says beside the keys of a recipe."""
Values = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """A recipe of a file: what it is, in a line, and what is merged over the base, in this order."""

    summary: str
    changes: tuple[Values, ...] = ()


@dataclass(frozen=True)
class RecipeFile:
    """What a file holds.

    Args:
        where: what to call it in messages.
        extends: the recipe underneath, if any.
        base: what all its recipes share.
        recipes: by name; without variants none or one, the base itself.
        alone: there are no variants.
    """

    where: str
    extends: str | None
    base: Values
    recipes: Mapping[str, Variant]
    alone: bool

    def chosen(self, name: str | None) -> tuple[Values, ...]:
        """What makes a recipe of this file, in the order in which it is merged; without name the only one."""
        if name is None and self.alone:
            return (self.base,)
        if name is None and len(self.recipes) == 1:
            name = next(iter(self.recipes))
        if name is None:
            known = ", ".join(f"{self.where}:{one}" for one in self.recipes)
            raise RecipeError(f"{self.where} holds {len(self.recipes)} recipes; choose one of them: {known}")
        if name not in self.recipes:
            raise RecipeError(f"{self.where} holds no recipe called '{name}'{nearest(name, self.recipes)}")
        return (self.base, *self.recipes[name].changes, {"name": name})


@cache
def shipped() -> dict[str, str]:
    """The recipes that come with the package, sorted: name to what it is, in a line."""
    return {name: file.recipes[name].summary for name, file in sorted(_by_name().items())}


def values(source: str | Path, sections: Collection[str]) -> Values:
    """The plain values of a recipe, merged and not yet checked.

    Args:
        source: a shipped name, a YAML file, or ``FILE:NAME`` for one of the recipes of a file.
        sections: the keys that a recipe may have.

    Raises:
        RecipeError: there is no such recipe, or its file is not as it should be.
    """
    return copy.deepcopy(_values(source, sections, ()))  # what is shipped is read once


def _values(source: str | Path, sections: Collection[str], above: tuple[str, ...]) -> Values:
    path, name = _split(source)
    if path is not None:
        file = _file(str(path), from_file(path))
    elif name in _by_name():
        file = _by_name()[name]
    else:
        raise RecipeError(f"there is no recipe called '{name}' (a file ends in .yaml){nearest(str(name), shipped())}")
    # one file has many names, such as ../recipes/a.yaml
    own = str(source) if path is None else f"{path.resolve()}:{name or ''}"
    if own in above:
        raise RecipeError(f"{file.where} extends itself, by way of {', '.join(_short(one) for one in above)}")
    _check_keys(file, sections)
    parts = file.chosen(name)
    if file.extends is not None:
        parts = (_values(beside(path, file.extends), sections, (*above, own)), *parts)
    result: Values = {}
    for part in parts:
        result = merged(result, part)
    return result


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Values:
    """``base`` with ``changes``: mappings key by key, but one that names another part replaces the old one whole."""
    result = dict(base)
    for key, value in changes.items():
        old = base.get(key)
        same = isinstance(old, dict) and isinstance(value, dict) and value.get("name") in (None, old.get("name"))
        result[key] = merged(old, value) if same else value  # type: ignore[arg-type]
    return result


def _split(source: str | Path) -> tuple[Path | None, str | None]:
    """File and name of a source: a name has no file, and a file perhaps no name."""
    if str(source).endswith(SUFFIXES):
        return Path(source), None
    path, colon, name = str(source).rpartition(":")
    return (Path(path), name) if colon and path.endswith(SUFFIXES) else (None, str(source))


def beside(path: Path | None, source: str) -> str:
    """What a recipe named in the file at ``path`` is: a file beside it, unless there is one here alone."""
    inner, _ = _split(source)
    if path is None or inner is None:
        return source
    here_alone = inner.is_file() and not (path.parent / inner).is_file()
    return source if here_alone else str(path.parent / source)


def from_file(path: Path, what: str = "recipe") -> Values:
    """The keys and values of a YAML file; a `RecipeError` if it holds none."""
    return _keyed(read_yaml(path, f"{what} file"), str(path))


def mapping(where: str, text: str) -> Values:
    """The keys and values of a YAML text; a `RecipeError` names ``where`` and the line if it holds none."""
    return _keyed(yaml_of(text, where), where)


def _keyed(found: Any, where: str) -> Values:
    if not isinstance(found, dict):
        raise RecipeError(f"{where} should hold keys and values, such as 'name: my-recipe'")
    for key in found:
        if not isinstance(key, str):
            raise RecipeError(f"{where}: the key {brief(key)} should be a word, such as 'name'")
    return found


def _short(own: str) -> str:
    """What a source is called in a message, without its folder."""
    return own.rpartition("/")[2].removesuffix(":")


@cache
def _by_name() -> dict[str, RecipeFile]:
    """The file of every recipe that is shipped."""
    found: dict[str, RecipeFile] = {}
    for resource in resources.files(__name__).iterdir():
        if resource.name.endswith(SUFFIXES):
            file = _read(f"recipes/{resource.name}", resource.read_text(encoding="utf-8"))
            found.update(dict.fromkeys(file.recipes, file))
    return found


def _read(where: str, text: str) -> RecipeFile:
    return _file(where, mapping(where, text))


def _file(where: str, base: Values) -> RecipeFile:
    extends, summary, variants = (base.pop(key, None) for key in FILE_KEYS)
    if not isinstance(variants, (dict, type(None))):
        raise RecipeError(f"{where}: 'variants' should map names to what differs, such as 'mine: {{loss: {{p: 2}}}}'")
    recipes: dict[str, Variant] = {}
    named = [(str(base["name"]), Variant(str(summary or "")))] if "name" in base else []
    for name, variant in itertools.chain(named, _variants(where, variants or {})):
        if name in recipes:
            raise RecipeError(f"{where}: two of its recipes are called '{name}'")
        recipes[name] = variant
    return RecipeFile(where, None if extends is None else str(extends), base, recipes, alone=not variants)


def _variants(where: str, variants: Mapping[Any, Any]) -> Iterator[tuple[str, Variant]]:
    """Every variant with its name, those of a matrix one by one."""
    for pattern, content in variants.items():
        changes = _changes(f"{where}: the variant '{pattern}'", content)
        summary, matrix = str(changes.pop("summary", "")), changes.pop("matrix", {})
        axes = _axes(f"{where}: the matrix of '{pattern}'", matrix)
        if sorted(axes) != sorted(re.findall(r"{(\w+)}", str(pattern))):
            said = f"'{{{'}} and {{'.join(axes)}}}'" if axes else "no braces, since it has no matrix"
            raise RecipeError(f"{where}: the name of the variant '{pattern}' should have {said}")
        for chosen in itertools.product(*(choices.items() for choices in axes.values())):
            words = {axis: choice.summary or key for axis, (key, choice) in zip(axes, chosen, strict=True)}
            keys = {axis: key for axis, (key, _) in zip(axes, chosen, strict=True)}
            steps = (changes, *(one for _, choice in chosen for one in choice.changes))
            yield _filled(str(pattern), keys), Variant(_filled(summary, words), steps)


def _axes(where: str, matrix: Any) -> dict[str, dict[str, Variant]]:
    """The choices of each axis of a matrix."""
    axes: dict[str, dict[str, Variant]] = {}
    for axis, choices in _changes(where, matrix).items():
        axes[str(axis)] = {}
        for key, content in _changes(f"{where}, {axis},", choices).items():
            changes = _changes(f"{where}, {axis}, {key},", content)
            axes[str(axis)][str(key)] = Variant(str(changes.pop("summary", "")), (changes,))
    return axes


def _changes(where: str, content: Any) -> Values:
    """A copy of a mapping; nothing is an empty one."""
    if not isinstance(content, (dict, type(None))):
        raise RecipeError(f"{where} should hold keys and values, not {brief(content)}")
    return {str(key): value for key, value in (content or {}).items()}


def _filled(pattern: str, words: Mapping[str, str]) -> str:
    return re.sub(r"{(\w+)}", lambda found: words.get(found[1], found[0]), pattern)


def _check_keys(file: RecipeFile, sections: Collection[str]) -> None:
    """A `RecipeError` for the first key, of the base or a variant, that no recipe has."""
    for key in file.base:
        if key not in sections:
            raise RecipeError(f"{file.where}: there is no key '{key}'{nearest(str(key), {*sections, *FILE_KEYS})}")
    for name, recipe in file.recipes.items():
        for key in (key for changes in recipe.changes for key in changes):
            if key == "name":
                raise RecipeError(f"{file.where}: the variant '{name}' is called as its key says; leave out 'name'")
            if key not in sections:
                known = {*sections, "summary", "matrix"} - {"name"}
                raise RecipeError(f"{file.where}: there is no key '{key}' in '{name}'{nearest(str(key), known)}")
