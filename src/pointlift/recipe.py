"""The typed description of a run: strict models built from the registries, YAML in, dotted overrides."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny

from pointlift import recipes as files
from pointlift.data.augmentation import ImageAugmentation, PointAugmentation
from pointlift.documents import yaml_of
from pointlift.errors import RecipeError
from pointlift.options import DATA_ROOT, PLACE, Place, marked, marks, validated
from pointlift.registry import DATASETS, LOSSES, METHODS, STUDENTS, TEACHERS
from pointlift.train.options import TrainOptions

COMPONENTS = {"data": DATASETS, "teacher": TEACHERS, "student": STUDENTS, "loss": LOSSES, "method": METHODS}
"""The sections of a recipe that name a part, and where its parts are registered."""


def _component(key: str) -> Any:
    registry = COMPONENTS[key]

    def resolve(value: Any) -> Any:
        if isinstance(value, BaseModel):
            return value
        if not isinstance(value, Mapping) or "name" not in value:
            raise RecipeError(f"recipe: '{key}' needs a name, one of: {', '.join(registry.names())}")
        return validated(registry.options(str(value["name"])), value, prefix=f"{key}.")

    return Annotated[SerializeAsAny[BaseModel], BeforeValidator(resolve)]


class CacheOptions(BaseModel):
    """Where the teacher's features are kept, computed once per image."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = True
    folder: Annotated[Path | None, PLACE] = Field(None, description="null: ~/.cache/pointlift/features")
    image_size: tuple[int, int] | None = Field(
        None, description="height, width given to the teacher; null: the image's own, to multiples of the stride"
    )
    scale: float = Field(1.0, gt=0, description="factor on that size; above 1 gives finer features")


class Recipe(BaseModel):
    """Everything that determines a run; saved with it."""

    model_config = ConfigDict(extra="forbid")

    name: str
    seed: int = Field(0, ge=0)
    data: _component("data")  # type: ignore[valid-type]
    teacher: _component("teacher")  # type: ignore[valid-type]
    student: _component("student")  # type: ignore[valid-type]
    loss: _component("loss")  # type: ignore[valid-type]
    method: _component("method")  # type: ignore[valid-type]
    points: PointAugmentation | None = None
    image: ImageAugmentation | None = None
    cache: CacheOptions = CacheOptions()
    training: TrainOptions = TrainOptions()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they are written to ``recipe.yaml``."""
        return self.model_dump(mode="json")


def shipped() -> dict[str, str]:
    """The recipes that come with the package: name to what it is, in a line."""
    return files.shipped()


def load(source: str | Path, overrides: Mapping[str, Any] | Sequence[str] = ()) -> Recipe:
    """The recipe called ``source``, with overrides such as ``loss.temperature=0.1``.

    Args:
        source: a shipped name, a YAML file, or ``FILE:NAME`` where a file holds several, see `pointlift.recipes`.
        overrides: dotted keys and values, or texts of the form ``KEY=VALUE``.

    Raises:
        RecipeError: there is no such recipe, or something in it is not as it should be.
    """
    return from_values(files.values(source, Recipe.model_fields), overrides)


def from_values(values: Mapping[str, Any], overrides: Mapping[str, Any] | Sequence[str] = ()) -> Recipe:
    """The recipe with these plain values and overrides."""
    changes = overrides if isinstance(overrides, Mapping) else parse_overrides(overrides)
    merged = dict(values)
    # A changed name comes first: it empties its component, whose options belonged to the old name.
    for key in sorted(changes, key=lambda key: not key.endswith(".name")):
        merged = _with(merged, key.split("."), changes[key], key)
    return validated(Recipe, merged)


def parse_overrides(texts: Sequence[str]) -> dict[str, Any]:
    """Overrides such as ``loss.temperature=0.1`` as keys and values; the values are read as YAML."""
    return dict(_parse(text) for text in texts)


def _parse(text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise RecipeError(f"the override '{text}' should look like loss.temperature=0.1")
    try:
        return key, yaml_of(value, f"the value of {key}")
    except RecipeError as error:
        raise RecipeError(
            f"the value in the override '{text[:200]}' is not valid YAML; put text with braces into quotes, as in "
            f"--set '{key}=\"{value}\"'"
        ) from error


def _with(values: Mapping[str, Any], path: list[str], value: Any, key: str) -> dict[str, Any]:
    first, *rest = path
    changed = dict(values)
    if not rest:
        changed[first] = value
        return (
            changed
            if first != "name" or len(key.split(".")) == 1
            else {"name": value, **_kept(key.split(".")[0], value, values)}
        )
    inner = changed.get(first)
    if isinstance(inner, list):  # such as data.parts.0.root: a number is the place in the list
        numbered = {str(place): one for place, one in enumerate(inner)}
        if rest[0] not in numbered:
            raise RecipeError(
                f"the override '{key}' should name one of the {len(inner)} entries of '{first}', from 0 on"
            )
        changed[first] = list(_with(numbered, rest, value, key).values())
        return changed
    if inner is not None and not isinstance(inner, Mapping):
        raise RecipeError(f"the override '{key}' goes inside '{first}', which is a single value")
    changed[first] = _with(inner or {}, rest, value, key)
    return changed


def _kept(section: str, name: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """What outlives a change of name: where the data lie."""
    if section not in COMPONENTS or not values:
        return {}
    try:
        options = COMPONENTS[section].options(str(name))
    except RecipeError:  # when the whole recipe is checked, it is said where this name stands
        return {}
    roots = {key for key in options.model_fields if DATA_ROOT in marks(options, key)}
    return {key: value for key, value in values.items() if key in roots}


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings, and lists of them, as one mapping with dotted keys such as ``data.parts.0.root``."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found.update(flat(value, f"{prefix}{key}."))
        elif isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
            found.update(flat(dict(enumerate(value)), f"{prefix}{key}."))  # type: ignore[arg-type]
        else:
            found[f"{prefix}{key}"] = value
    return found


def differences(old: Recipe, new: Recipe) -> dict[str, tuple[Any, Any]]:
    """Dotted keys in which two recipes differ, with both values; what is marked as local to a machine may differ."""
    was, now = (flat(_without(one.to_dict(), {key for key, _ in marked(one)})) for one in (old, new))
    keys = sorted(key for key in was.keys() | now.keys() if was.get(key) != now.get(key))
    return {key: (was.get(key), now.get(key)) for key in keys}


def portable(recipe: Recipe) -> dict[str, Any]:
    """Plain values that hold on any machine: without what is local to one, such as places and numbers of workers.

    A teacher's source, or a class map, stays where it is a public name and not a path, since it says which it is.
    """
    named = {key for key, mark in marked(recipe) if isinstance(mark, Place) and mark.named}
    public = {key for key in named if not _is_path(value_at(recipe, key))}
    return shortened(_without(recipe.to_dict(), {key for key, _ in marked(recipe)} - public))


def shortened(value: Any) -> Any:
    """Plain values in which an absolute path is the name of its file or folder alone, whatever it is an option of."""
    if isinstance(value, Mapping):
        return {key: shortened(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [shortened(one) for one in value]
    text = str(value) if isinstance(value, (str, Path)) else ""
    return Path(text).name if text.startswith("~") or Path(text).is_absolute() else value


def value_at(options: BaseModel, key: str) -> Any:
    """The value at a dotted key."""
    value: Any = options
    for part in key.split("."):
        value = value[int(part)] if isinstance(value, list) else getattr(value, part)
    return value


def _is_path(source: Any) -> bool:
    text = str(source)
    as_file = text.startswith((".", "~")) or text.endswith((".yaml", ".yml")) or Path(text).is_absolute()
    return source is None or as_file or Path(text).exists()


def _without(values: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Plain values but for those at dotted keys."""
    result = copy.deepcopy(dict(values))
    for key in keys:
        *path, last = key.split(".")
        holder: Any = result
        for part in path:
            holder = holder[int(part)] if isinstance(holder, list) else holder[part]
        del holder[last]
    return result
