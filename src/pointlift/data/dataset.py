"""Dataset: the contract of every data set, each attribute with its default; and data sets made of others.

A data set is a sequence of Scenes, read on demand. Whoever writes one derives from `Dataset`, implements ``__len__``
and ``__getitem__``, and overrides what it knows better than the default does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from pointlift.contract import derives, has, has_names, names_options, plain, takes
from pointlift.data.scene import Scene, View
from pointlift.data.values import check_values
from pointlift.errors import PluginError
from pointlift.progress import Progress

if TYPE_CHECKING:
    from pointlift.registry import Part

LabelKind = Literal["points", "parts", "objects", "boxes"]
"""What labels there are: a class of each point; classes of points that are parts of an object of a known class (with
``points``, as they are classes too); a class of each whole object; boxes. Single scenes may lack what others have."""


class Dataset(Sequence[Scene]):
    """A sequence of Scenes, read on demand, and what is known of all of them.

    Attributes:
        name: of the data set, as it is registered, where it does not set one itself when it is opened.
        class_names: names of the classes of points, in the order of their labels; empty where there are none.
        class_colors: RGB of each class; None lets colours be chosen.
        feature_names: what ``Scene.features`` has in its columns.
        box_names: names of the classes of boxes.
        object_names: names of the classes of whole objects.
        labels: which kinds of labels the scenes have; a task declares which it needs.
        parts_of: of each class of objects, the classes of points that are its parts.
        prompts: names of each class for text encoders; a class that has none here is called by its own name.
        min_depth: metres from which its cameras see.
        subset_options: names of options that thin out a split, and hold for the split that they were given for only.
        dropped_frames: how many frames were left out at opening, by what they lack.
        mixed: names of the parts of a mixture, of which an evaluation chooses one; empty for all else.
        settings: the options it was opened with, by name and as plain data, but for places and what is local: whoever
            opens the same data elsewhere with these gets the same scenes. Empty for what was not opened by its name.
    """

    name: str = "scenes"
    class_names: tuple[str, ...] = ()
    class_colors: tuple[tuple[int, int, int], ...] | None = None
    feature_names: tuple[str, ...] = ()
    box_names: tuple[str, ...] = ()
    object_names: tuple[str, ...] = ()
    labels: frozenset[LabelKind] = frozenset()
    parts_of: Mapping[str, Sequence[int]] = {}
    prompts: Mapping[str, Sequence[str]] = {}
    min_depth: float = 1.0
    subset_options: tuple[str, ...] = ()
    dropped_frames: Mapping[str, int] = {}
    mixed: tuple[str, ...] = ()
    settings: Mapping[str, Any] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        """Let every scene of every data set pass the rules about values, whoever reads it."""
        super().__init_subclass__(**options)
        if (read := vars(cls).get("__getitem__")) is not None:

            @wraps(read)
            def checked(self: Dataset, index: int) -> Scene:
                return check_values(read(self, index), self.feature_names)

            cls.__getitem__ = checked  # type: ignore[assignment, method-assign]

    @classmethod
    def usual_colors(cls) -> dict[str, Sequence[int]]:
        """Colours of the classes that it has whatever it is opened with; none where they depend on that."""
        names, colors = cls.class_names, cls.class_colors
        known = isinstance(names, Sequence) and isinstance(colors, Sequence)  # and no properties
        return dict(zip(names, colors, strict=False)) if known and colors else {}

    def __getitem__(self, index: int) -> Scene:  # type: ignore[override]
        """Scene ``index``, from 0 on, its values checked by `pointlift.data.values`; `IndexError` beyond the last."""
        raise NotImplementedError  # pragma: no cover - every data set defines it

    @property
    def ids(self) -> list[str]:
        """The id of every scene; by default the scenes are read for it."""
        return [self[index].id for index in range(len(self))]

    def views(self, index: int) -> list[View]:
        """The views of scene ``index``; by default its points are read for it."""
        return self[index].views

    def image_paths(self, index: int) -> Sequence[Path | None]:
        """The image files of scene ``index``, None for images that are no files; by default its views are made."""
        return [view.path for view in self.views(index)]

    def pose(self, index: int) -> np.ndarray | None:
        """(4, 4) float64 from the points of scene ``index`` to a frame that its sequence shares; None if unknown."""
        return None

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        """Indices of the scenes of one epoch in order, always equally many; by default each once, in random order."""
        return rng.permutation(len(self))

    def prepare(self, progress: Progress | None = None) -> Any:
        """Make what is made on first use, all at once and in parallel; by default there is nothing to make."""


def known(scenes: Dataset) -> dict[str, Any]:
    """All attributes of a data set that `Dataset` writes down, by name."""
    return {key: getattr(scenes, key) for key in Dataset.__annotations__}


class Scenes(Dataset):
    """Scenes in memory as a data set; what else is known of them is given by name.

    Args:
        scenes: in their order.
        known: any attributes of `Dataset`, such as ``class_names``.
    """

    def __init__(self, scenes: Sequence[Scene], **known: Any) -> None:
        self._scenes = list(scenes)
        for key, value in known.items():
            if key not in Dataset.__annotations__:
                raise TypeError(f"a data set has no attribute '{key}'; it has: {', '.join(Dataset.__annotations__)}")
            setattr(self, key, value)

    def __len__(self) -> int:
        return len(self._scenes)

    def __getitem__(self, index: int) -> Scene:  # type: ignore[override]
        return self._scenes[index]


class Subset(Dataset):
    """Some scenes of a data set, in a given order; all else is the data set's.

    Args:
        scenes: the data set.
        indices: of the scenes; one may stand twice.
    """

    def __init__(self, scenes: Dataset, indices: Sequence[int] | np.ndarray) -> None:
        self.scenes, self.indices = scenes, [int(index) for index in indices]
        vars(self).update(known(scenes))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Scene:  # type: ignore[override]
        return self.scenes[self.indices[index]]

    @property
    def ids(self) -> list[str]:
        """The ids of the chosen scenes."""
        every = self.scenes.ids
        return [every[index] for index in self.indices]

    def views(self, index: int) -> list[View]:
        """The views of the chosen scene."""
        return self.scenes.views(self.indices[index])

    def image_paths(self, index: int) -> Sequence[Path | None]:
        """The image files of the chosen scene."""
        return self.scenes.image_paths(self.indices[index])

    def pose(self, index: int) -> np.ndarray | None:
        """The pose of the chosen scene."""
        return self.scenes.pose(self.indices[index])

    def prepare(self, progress: Progress | None = None) -> Any:
        """Let the data set make what it makes on first use."""
        return self.scenes.prepare(progress)


def as_dataset(scenes: Sequence[Scene]) -> Dataset:
    """The data set itself, or scenes in a list as one."""
    return scenes if isinstance(scenes, Dataset) else Scenes(scenes)


def check_dataset(part: Part) -> None:
    """A `ValueError` unless what is registered is a data set that can be asked what its class is asked."""
    what, kind = f"the data set '{part.name}'", part.factory
    derives(what, kind, Dataset, "__getitem__", "__len__")
    assert isinstance(kind, type)
    takes(what, kind)
    plain(what, kind, name=str, subset_options=(tuple, list), settings=Mapping)
    names_options(what, kind, "subset_options", kind.subset_options)  # type: ignore[attr-defined]


def checked_dataset(data: Dataset, name: str) -> Dataset:
    """A data set that was opened, under its registered name unless it has set its own.

    Raises:
        PluginError: an attribute of `Dataset` is not what it must be.
    """
    what = f"the data set '{name}'"
    if "name" not in vars(data):
        data.name = name
    has_names(what, data, "class_names", "feature_names", "box_names", "object_names", "subset_options", "mixed")
    has(what, data, name=str, min_depth=(int, float), prompts=Mapping, parts_of=Mapping, dropped_frames=Mapping)
    kinds = get_args(LabelKind)
    wrong = [one for one in ([data.labels] if isinstance(data.labels, str) else data.labels) if one not in kinds]
    if wrong or isinstance(data.labels, str):
        said = ", ".join(map(repr, kinds))
        raise PluginError(f"{what} has {data.labels!r:.80} as 'labels', which must be a set of kinds among {said}")
    if data.class_colors is not None and len(data.class_colors) != len(data.class_names):
        raise PluginError(f"{what} has {len(data.class_colors)} class_colors for {len(data.class_names)} class_names")
    strange = sorted(set(data.prompts) - set(data.class_names))
    if strange:
        raise PluginError(f"{what} has prompts for '{strange[0]}', which is none of its class_names")
    return data
