"""A mixture: several data sets as one, each visited as often as its weight says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, BeforeValidator, Field, SerializeAsAny, create_model

from pointlift.data.dataset import Dataset, Subset, known
from pointlift.data.opening import open_dataset
from pointlift.data.scene import Scene, View
from pointlift.errors import DataError, RecipeError, nearest
from pointlift.options import DATA_ROOT, validated
from pointlift.progress import Progress
from pointlift.registry import DATASETS


def _checked(values: Any) -> list[BaseModel]:
    """The options of every part, checked by the data set that it names."""
    if not isinstance(values, (list, tuple)) or not values:
        raise RecipeError("mixture: 'parts' should list data sets: [{name: …, root: …, weight: 1}, …]")
    parts: list[BaseModel] = []
    for index, value in enumerate(values):
        if isinstance(value, BaseModel):
            parts.append(value)
            continue
        if not isinstance(value, Mapping) or "name" not in value:
            raise RecipeError(f"mixture: 'parts.{index}' needs a name, one of: {', '.join(_possible())}")
        if value["name"] not in _possible():
            raise RecipeError(
                f"mixture: 'parts.{index}.name' is {value['name']!r}{nearest(str(value['name']), _possible())}"
            )
        parts.append(validated(_part_options(str(value["name"])), value, what="mixture", prefix=f"parts.{index}."))
    return parts


def _possible() -> list[str]:
    return [name for name in DATASETS.names() if name != "mixture"]


@cache
def _part_options(name: str) -> type[BaseModel]:
    weight = (Annotated[float, Field(gt=0)], 1.0)
    return create_model(f"part:{name}", __base__=DATASETS.options(name), weight=weight)  # type: ignore[call-overload, arg-type]


PartOptions = Annotated[list[SerializeAsAny[BaseModel]], BeforeValidator(_checked)]


def _unique(names: Sequence[str]) -> list[str]:
    """The names, with ``#2`` and so on behind those that stood before."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return found


class Mixture(Dataset):
    """Data sets one after the other, of which an epoch visits each scene about as often as the weight of its part.

    With weight w a part of n scenes has round(w · n) places in every epoch: each scene ⌊w⌋, and scenes drawn anew for
    every epoch one more. Scenes are called ``PART:ID``. Where the parts have different classes, the mixture has none,
    and its scenes no labels; so it is with the classes of boxes and of objects.

    Args:
        parts: the data sets by name.
        weights: one for each.
        alone: there is one part, and the mixture stands for it: its name, ids and all else are the part's.
    """

    name = "mixture"

    def __init__(self, parts: Mapping[str, Dataset], weights: Sequence[float], *, alone: bool = False) -> None:
        self.parts, self.weights = dict(parts), tuple(weights)
        self.feature_names = _same_features(self.parts)
        counts = [len(data) for data in self.parts.values()]
        self._starts = np.cumsum([0, *counts])
        self._places = [int(np.floor(w * count + 0.5)) for w, count in zip(weights, counts, strict=True)]
        for name, count, places in zip(self.parts, counts, self._places, strict=True):
            if places == 0:
                why = f"its weight is too small for {count} scenes" if count else "it has no scenes"
                raise DataError(f"mixture: no epoch would visit the part '{name}': {why}")
        self._alone = alone
        first = next(iter(self.parts.values()))
        if alone:
            vars(self).update(known(first))
            return
        self.mixed = tuple(self.parts)
        self.min_depth = min(data.min_depth for data in self.parts.values())
        self.dropped_frames = dict(sum((Counter(data.dropped_frames) for data in self.parts.values()), Counter()))
        self._set_classes(first)

    def _set_classes(self, first: Dataset) -> None:
        """Names that all parts share, and the labels that they name."""
        self.class_names = _common([data.class_names for data in self.parts.values()])
        self.box_names = _common([data.box_names for data in self.parts.values()])
        self.object_names = _common([data.object_names for data in self.parts.values()])
        if self.class_names:
            self.class_colors, self.prompts, self.parts_of = first.class_colors, first.prompts, first.parts_of
        named = {"points": self.class_names, "boxes": self.box_names, "objects": self.object_names}
        named["parts"] = self.class_names if self.object_names else ()
        self.labels = frozenset(kind for data in self.parts.values() for kind in data.labels if named[kind])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> Scene:  # type: ignore[override]
        name, data, place = self._find(index)
        scene = data[place]
        if self._alone:
            return scene
        return replace(
            scene,
            id=f"{name}:{scene.id}",
            labels=scene.labels if self.class_names else None,
            box_labels=scene.box_labels if self.box_names else None,
            object_class=scene.object_class if self.object_names else None,
        )

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        """Scenes of one epoch in order: every part's share of them, shuffled together."""
        shares = []
        for start, stop, places in zip(self._starts[:-1], self._starts[1:], self._places, strict=True):
            times, rest = divmod(places, stop - start)
            shares += [np.tile(np.arange(start, stop), times), start + rng.permutation(stop - start)[:rest]]
        return rng.permutation(np.concatenate(shares))

    @property
    def ids(self) -> list[str]:
        """The id of every scene, without reading any."""
        if self._alone:
            return next(iter(self.parts.values())).ids
        return [f"{name}:{one}" for name, data in self.parts.items() for one in data.ids]

    def views(self, index: int) -> list[View]:
        """The views of scene ``index``, without reading its points where its data set can do that."""
        _, data, place = self._find(index)
        return data.views(place)

    def image_paths(self, index: int) -> Sequence[Path | None]:
        """The image files of scene ``index``, without its cameras where its data set can do that."""
        _, data, place = self._find(index)
        return data.image_paths(place)

    def pose(self, index: int) -> np.ndarray | None:
        """The pose of scene ``index``, in the frame of its part's sequence."""
        _, data, place = self._find(index)
        return data.pose(place)

    def prepare(self, progress: Progress | None = None) -> None:
        """Let the parts make what they make on first use."""
        for data in self.parts.values():
            data.prepare(progress)

    def _find(self, index: int) -> tuple[str, Dataset, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"scene {index} of {len(self)}")
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        name, data = list(self.parts.items())[number]
        return name, data, index - int(self._starts[number])


@DATASETS.register("mixture")
class OpenedMixture(Mixture):
    """Several data sets in one pretraining run, each with a weight of its own.

    Args:
        parts: the data sets: each with its ``name``, its own options (such as ``root``), and a ``weight``, how often an
            epoch visits each of its scenes on average; 1 is once.
        features: keep only these point features of every part, in this order; by default all parts must have the same.
        part: stand for this part alone, with its classes and prompts, as an evaluation needs it; of parts with equal
            names the second is ``NAME#2``.
        split: of every part, instead of its own.
        root: where the data of ``part`` lie now; parts have roots of their own.

    Raises:
        RecipeError: an option of a part is wrong, there is no such part, or a root is given for all of them.
        DataError: the parts have different features, or a part's data cannot be opened.
    """

    def __init__(
        self,
        *,
        parts: PartOptions,
        features: list[str] | None = None,
        part: str | None = None,
        split: str | None = None,
        root: Annotated[Path | None, DATA_ROOT] = None,
    ) -> None:
        checked = _checked(parts)
        names: list[str] = [one.name for one in checked]  # type: ignore[attr-defined]
        options = dict(zip(_unique(names), checked, strict=True))
        if root is not None and part is None:
            raise RecipeError(
                "mixture: there is no 'root' for all, each part has its own: --set data.parts.0.root=FOLDER and so on"
            )
        if part is not None and part not in options:
            raise RecipeError(f"mixture: there is no part called '{part}'{nearest(part, options)}")
        changes = {key: value for key, value in (("split", split), ("root", root)) if value is not None}
        chosen = options if part is None else {part: options[part]}
        opened = {name: open_dataset(one, without=("weight",), **changes) for name, one in chosen.items()}
        if features is not None:
            opened = {name: _narrowed(name, data, tuple(features)) for name, data in opened.items()}
        super().__init__(opened, [options[name].weight for name in opened], alone=part is not None)  # type: ignore[attr-defined]


def _common(names: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The names that all parts have; none if they differ."""
    return names[0] if all(one == names[0] for one in names) else ()


def _same_features(parts: Mapping[str, Dataset]) -> tuple[str, ...]:
    names = {name: tuple(data.feature_names) for name, data in parts.items()}
    first, *others = names.values()
    if any(other != first for other in others):
        said = "; ".join(f"{name}: {', '.join(found) or 'none'}" for name, found in names.items())
        common = ", ".join(one for one in first if all(one in other for other in others))
        raise DataError(
            f"mixture: the parts have different point features ({said}); set features=[{common}] to keep these"
        )
    return first


def _narrowed(name: str, data: Dataset, features: tuple[str, ...]) -> Dataset:
    own = tuple(data.feature_names)
    for one in features:
        if one not in own:
            raise DataError(
                f"mixture: the part '{name}' has no point feature '{one}'; it has: {', '.join(own) or 'none'}"
            )
    return data if own == features else Narrowed(data, features)


class Narrowed(Subset):
    """A data set with only some of its point features; everything else is its own."""

    def __init__(self, scenes: Dataset, feature_names: tuple[str, ...]) -> None:
        super().__init__(scenes, range(len(scenes)))
        self.feature_names = feature_names
        self._columns = [list(scenes.feature_names).index(name) for name in feature_names]

    def __getitem__(self, index: int) -> Scene:  # type: ignore[override]
        return super().__getitem__(index).with_features(self._columns)

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        """As the data set has it."""
        return self.scenes.epoch(rng)
