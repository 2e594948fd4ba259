"""Opening a data set: the one place where options become a data set."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from pointlift.data.dataset import Dataset, checked_dataset
from pointlift.data.selection import HELD_OUT, KEPT, selected
from pointlift.errors import DataError
from pointlift.options import option_values, settings, validated
from pointlift.registry import DATASETS

_log = logging.getLogger(__name__)


def open_by_name(name: str, **given: Any) -> Dataset:
    """The data set called ``name`` with options that are checked first, and kept as its ``settings``.

    Raises:
        RecipeError: there is no such data set, or an option is wrong.
        DataError: the data cannot be opened.
        PluginError: the data set does not keep its contract.
    """
    return _opened(_checked(name, given))


def _checked(name: str, given: Mapping[str, Any]) -> BaseModel:
    return validated(DATASETS.options(name), {"name": name, **given}, what=f"data set '{name}'")


def _opened(options: BaseModel) -> Dataset:
    name = options.name  # type: ignore[attr-defined]
    values = option_values(options)
    chosen = {key: values.pop(key) for key in DATASETS.shared}
    dataset = selected(checked_dataset(DATASETS.get(name)(**values), name), **chosen)
    said = settings(options)
    usual = [key for key, (_, default) in DATASETS.shared.items() if said[key] == default]
    said = {key: value for key, value in said.items() if key not in usual}
    dataset.settings = dataset.settings or said  # a mixture that stands for a part has the part's
    dropped = [f"{count:,} with {what}" for what, count in dataset.dropped_frames.items() if count]
    if dropped:
        _log.info("%s: frames are left out, %s", name, " and ".join(dropped))
    return dataset


def open_split(name: str, split: str, **given: Any) -> Dataset:
    """The data set called ``name`` with these options, and of it what a split means where scans are held out.

    Raises:
        RecipeError: there is no such data set, or an option is wrong.
        DataError: the data cannot be opened, or have no such split.
    """
    options = validated(DATASETS.options(name), {"name": name, **given}, what=f"data set '{name}'")
    return open_by_name(name, **_of_split(name, option_values(options), {"split": split, **given}))


def open_dataset(options: BaseModel, without: tuple[str, ...] = (), **changes: Any) -> Dataset:
    """The data set of validated options, as a recipe or a part of a mixture gives them, with changed ones.

    What is given, and how it may be wrong, is as for `changed_options`, which opens nothing.
    """
    return _opened(changed_options(options, without, **changes))


def changed_options(options: BaseModel, without: tuple[str, ...] = (), **changes: Any) -> BaseModel:
    """The options of a data set with changed ones, checked.

    Options that thin out a split (a data set's ``subset_options``) hold for the split that they were given for only.
    Where scans are held out (``hold_out``), the split ``val`` is these, and ``train`` the others, whatever splits the
    data set has of its own.

    Args:
        options: of the data set, as its registry validated them.
        without: keys of ``options`` that are not the data set's.
        changes: options that differ, such as ``split="val"``.

    Raises:
        RecipeError: an option is wrong.
        DataError: the data have no such split.
    """
    name = options.name  # type: ignore[attr-defined]
    given = {key: value for key, value in option_values(options).items() if key not in without}
    return _checked(name, _of_split(name, given, changes))


def _of_split(name: str, given: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """All options, given and changed, once it is clear what the split that is asked for means."""
    split, rest = changes.get("split"), {key: value for key, value in changes.items() if key != "split"}
    if split is None:
        return {**given, **rest}
    if {**given, **rest}.get("hold_out") is not None and split in (HELD_OUT, KEPT):
        return {**given, "only_held_out": split == HELD_OUT, **rest}
    if "split" not in given:
        if split == KEPT:
            return {**given, **rest}
        raise DataError(
            f"the data set '{name}' has no split '{split}', as it has none at all: hold out scans by a share or by "
            "name, in the recipe: --set data.hold_out=0.2 (or ask for --split train, what it was pretrained on)"
        )
    if split != given["split"]:
        kind: type[Dataset] = DATASETS.get(name).factory  # type: ignore[assignment]
        thin = (*kind.subset_options, *DATASETS.shared)
        given = {key: value for key, value in given.items() if key not in thin}
    return {**given, **changes}
