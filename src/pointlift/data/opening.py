"""Opening a data set from its validated options, as a recipe or a part of a mixture gives them."""

from __future__ import annotations

import logging
from typing import Any

from pydantic import BaseModel

from pointlift.options import option_values
from pointlift.registry import DATASETS

_log = logging.getLogger(__name__)


def open_dataset(options: BaseModel, without: tuple[str, ...] = (), **changes: Any) -> Any:
    """The data set of these options, with changed ones such as ``split="val"``.

    Options that thin out a split (a data set's ``subset_options``) hold for the split that they were given for only.

    Args:
        options: of the data set, as its registry validated them.
        without: keys of ``options`` that are not the data set's.
        changes: options that differ.
    """
    name = options.name  # type: ignore[attr-defined]
    given = {key: value for key, value in option_values(options).items() if key not in without}
    if changes.get("split", given.get("split")) != given.get("split"):
        thinning = DATASETS.get(name).factory.subset_options  # type: ignore[attr-defined]
        given = {key: value for key, value in given.items() if key not in thinning}
    dataset = DATASETS.build(name, **{**given, **changes})
    dropped = [f"{count:,} with {what}" for what, count in getattr(dataset, "dropped_frames", {}).items() if count]
    if dropped:
        _log.info("%s: frames are left out, %s", name, " and ".join(dropped))
    return dataset
