"""The typed description of a run: strict models built from the registries, YAML in, dotted overrides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny

from pointlift.data.augmentation import ImageAugmentation, PointAugmentation
from pointlift.errors import RecipeError, nearest
from pointlift.options import validated
from pointlift.registry import DATASETS, LOSSES, METHODS, STUDENTS, TEACHERS, Registry
from pointlift.train.options import TrainOptions


def _component(registry: Registry, key: str) -> Any:
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
    folder: Path | None = Field(None, description="null: ~/.cache/pointlift/features")
    image_size: tuple[int, int] | None = Field(
        None, description="height, width given to the teacher; null: the image's own, to multiples of the stride"
    )
    scale: float = Field(1.0, gt=0, description="factor on that size; above 1 gives finer features")


class Recipe(BaseModel):
    """Everything that determines a run; saved with it."""

    model_config = ConfigDict(extra="forbid")

    name: str
    seed: int = Field(0, ge=0)
    data: _component(DATASETS, "data")  # type: ignore[valid-type]
    teacher: _component(TEACHERS, "teacher")  # type: ignore[valid-type]
    student: _component(STUDENTS, "student")  # type: ignore[valid-type]
    loss: _component(LOSSES, "loss")  # type: ignore[valid-type]
    method: _component(METHODS, "method")  # type: ignore[valid-type]
    points: PointAugmentation | None = None
    image: ImageAugmentation | None = None
    cache: CacheOptions = CacheOptions()
    training: TrainOptions = TrainOptions()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they are written to ``recipe.yaml``."""
        return self.model_dump(mode="json")


def shipped() -> dict[str, str]:
    """The recipes that come with the package: name to the first line of their comment."""
    found = {}
    for file in (resources.files("pointlift") / "recipes").iterdir():
        if file.name.endswith(".yaml"):
            first = file.read_text().lstrip().split("\n", 1)[0]
            found[file.name.removesuffix(".yaml")] = first.lstrip("# ") if first.startswith("#") else ""
    return dict(sorted(found.items()))


def load(source: str | Path, overrides: Mapping[str, Any] | Sequence[str] = ()) -> Recipe:
    """The recipe called ``source`` (a shipped name or a YAML file), with overrides such as ``loss.temperature=0.1``.

    A recipe may name another one under ``extends`` and give only what differs. Raises `RecipeError`.
    """
    return from_values(_read(source), overrides)


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
        return key, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError(
            f"the value in the override '{text}' is not valid YAML; put text with braces into quotes, as in "
            f"--set '{key}=\"{value}\"'"
        ) from error


def _with(values: Mapping[str, Any], path: list[str], value: Any, key: str) -> dict[str, Any]:
    first, *rest = path
    changed = dict(values)
    if not rest:
        changed[first] = value
        return changed if first != "name" or len(key.split(".")) == 1 else {"name": value, **_kept(values)}
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


def _kept(values: Mapping[str, Any]) -> dict[str, Any]:
    """What outlives a change of name: where the data lie."""
    return {key: values[key] for key in ("root",) if key in values}


def _read(source: str | Path) -> dict[str, Any]:
    text, where = _text(source)
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        raise RecipeError(f"{where} is not valid YAML{'' if line is None else f' at line {line + 1}'}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{where} should hold keys and values, such as 'name: my-recipe'")
    parent = values.pop("extends", None)
    if parent is None:
        return values
    beside = Path(source).parent / str(parent)
    return _merged(_read(beside if beside.is_file() else str(parent)), values)


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in changes.items():
        old = base.get(key)
        same = isinstance(old, dict) and isinstance(value, dict) and value.get("name") in (None, old.get("name"))
        result[key] = _merged(old, value) if same else value  # type: ignore[arg-type]
    return result


def _text(source: str | Path) -> tuple[str, str]:
    path = Path(source)
    if path.suffix in (".yaml", ".yml"):
        try:
            return path.read_text(), str(path)
        except OSError as error:
            raise RecipeError(f"the recipe file {path} cannot be read: {error.strerror or error}") from error
    names = shipped()
    if str(source) not in names:
        raise RecipeError(f"there is no recipe called '{source}' (a file ends in .yaml){nearest(str(source), names)}")
    return (resources.files("pointlift") / "recipes" / f"{source}.yaml").read_text(), f"recipe {source}"
