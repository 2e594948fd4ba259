"""Opening a data set: the one place where options become a data set."""

from __future__ import annotations

import logging
from typing import Any

from pydantic import BaseModel

from pointlift.data.dataset import Dataset, checked_dataset
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
    options = validated(DATASETS.options(name), {"name": name, **given}, what=f"data set '{name}'")
    dataset = checked_dataset(DATASETS.get(name)(**option_values(options)), name)
    dataset.settings = dataset.settings or settings(options)  # a mixture that stands for a part has the part's
    dropped = [f"{count:,} with {what}" for what, count in dataset.dropped_frames.items() if count]
    if dropped:
        _log.info("%s: frames are left out, %s", name, " and ".join(dropped))
    return dataset


def open_dataset(options: BaseModel, without: tuple[str, ...] = (), **changes: Any) -> Dataset:
    """The data set of validated options, as a recipe or a part of a mixture gives them, with changed ones.

    Options that thin out a split (a data set's ``subset_options``) hold for the split that they were given for only.

    Args:
        options: of the data set, as its registry validated them.
        without: keys of ``options`` that are not the data set's.
        changes: options that differ, such as ``split="val"``.
    """
    name = options.name  # type: ignore[attr-defined]
    given = {key: value for key, value in option_values(options).items() if key not in without}
    if changes.get("split", given.get("split")) != given.get("split"):
        kind: type[Dataset] = DATASETS.get(name).factory  # type: ignore[assignment]
        given = {key: value for key, value in given.items() if key not in kind.subset_options}
    return open_by_name(name, **{**given, **changes})
