"""Opening a data set: the one place where options become a data set."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from pointlift.data.dataset import Dataset
from pointlift.options import option_values, settings, validated
from pointlift.registry import DATASETS

_log = logging.getLogger(__name__)


def open_by_name(name: str, **given: Any) -> Dataset:
    """The data set called ``name`` with options that are checked first, and kept as its ``settings``.

    Raises:
        RecipeError: there is no such data set, or an option is wrong.
        DataError: the data cannot be opened.
    """
    return _opened(_checked(name, given))


def _checked(name: str, given: Mapping[str, Any]) -> BaseModel:
    return validated(DATASETS.options(name), {"name": name, **given}, what=f"data set '{name}'")


def _opened(options: BaseModel) -> Dataset:
    name = options.name  # type: ignore[attr-defined]
    dataset: Dataset = DATASETS.get(name)(**option_values(options))
    dataset.settings = dataset.settings or settings(options)  # a mixture that stands for a part has the part's
    dropped = [f"{count:,} with {what}" for what, count in dataset.dropped_frames.items() if count]
    if dropped:
        _log.info("%s: frames are left out, %s", name, " and ".join(dropped))
    return dataset


def open_dataset(options: BaseModel, without: tuple[str, ...] = (), **changes: Any) -> Dataset:
    """The data set of validated options, as a recipe or a part of a mixture gives them, with changed ones.

    What is given, and how it may be wrong, is as for `changed_options`, which opens nothing.
    """
    return _opened(changed_options(options, without, **changes))


def changed_options(options: BaseModel, without: tuple[str, ...] = (), **changes: Any) -> BaseModel:
    """The options of a data set with changed ones, checked.

    Options that thin out a split (a data set's ``subset_options``) hold for the split that they were given for only.

    Args:
        options: of the data set, as its registry validated them.
        without: keys of ``options`` that are not the data set's.
        changes: options that differ, such as ``split="val"``.

    Raises:
        RecipeError: there is no such data set, or an option is wrong.
    """
    name = options.name  # type: ignore[attr-defined]
    given = {key: value for key, value in option_values(options).items() if key not in without}
    if changes.get("split", given.get("split")) != given.get("split"):
        kind: type[Dataset] = DATASETS.get(name).factory  # type: ignore[assignment]
        given = {key: value for key, value in given.items() if key not in kind.subset_options}
    return _checked(name, {**given, **changes})
