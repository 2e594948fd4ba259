"""The contract of metrics: states that are updated, add up, know their columns and give their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Unit = Literal["share", "number", "count", "steps", "yes/no"]
"""``share``: from 0 to 1, shown in percent. ``number``: of any size."""
Direction = Literal["higher", "lower"]


@dataclass(frozen=True)
class Column:
    """One value: its key, its heading, its unit, which direction is better if one is, and what a heading leaves out."""

    key: str
    heading: str
    unit: Unit = "number"
    better: Direction | None = None
    note: str = ""


class Metric:
    """What is counted of predictions; what was counted of parts of the data (scans, folds, processes) adds up.

    Attributes:
        columns: the values that a table shows, in order.
        decides: key of the column that decides.
        class_columns: the values of each class that a table shows, in order; empty where there are none.
        counted: how many things with a truth have been counted.
        words: what the values mean, for people.
    """

    columns: tuple[Column, ...]
    decides: str
    class_columns: tuple[Column, ...] = ()
    words: Mapping[str, str] = {}

    @property
    def counted(self) -> int:
        """How many things with a truth have been counted."""
        raise NotImplementedError

    def update(self, prediction: Any, truth: Any) -> None:
        """Count the prediction for one scene, or for a part of it; ``truth`` is what `Task.targets` gives for it."""
        raise NotImplementedError

    def __add__(self, other: Any) -> Any:
        """The metric, of the same kind, of what either has counted."""
        raise NotImplementedError

    def values(self) -> dict[str, Any]:
        """Values by key, those of the columns among them, as JSON knows them; None where undefined."""
        raise NotImplementedError

    def classes(self) -> dict[str, dict[str, Any]]:
        """Values of each class by its name; empty where there are none."""
        return {}

    def score(self) -> float:
        """The value that decides, over however little was counted; NaN for nothing. It says when training may end."""
        raise NotImplementedError

    @classmethod
    def deciding(cls) -> Column:
        """The column that decides."""
        return next(column for column in cls.columns if column.key == cls.decides)
