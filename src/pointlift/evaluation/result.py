"""Result: what a protocol found, as data. Whoever shows it reads roles, units and directions, and never a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypedDict

import numpy as np

from pointlift.documents import shaped
from pointlift.errors import DataError, brief
from pointlift.tasks.metric import Column as Column
from pointlift.tasks.metric import Direction as Direction
from pointlift.tasks.metric import Unit as Unit

FORMAT = 2
"""Of the JSON; 1 is what was written before rows had roles."""

Role = Literal["student", "teacher", "baseline", "control"]
"""``student``: what was pretrained. ``teacher``: what it learned from. ``baseline``: owes nothing to the pretraining.
``control``: wrong on purpose."""


@dataclass
class Row:
    """What was measured of one contestant.

    Args:
        name: of the contestant, such as ``random network``.
        role: what it is in the comparison.
        metrics: values by the keys of the columns; None where undefined. What no column shows may be here too.
        subset: which of the test points it is scored on, such as ``visible points``; empty for all of them.
        classes: metrics of each class, by its name; empty for results without classes.
        details: what else there is to keep, such as a training curve.
    """

    name: str
    role: Role
    metrics: dict[str, Any]
    subset: str = ""
    classes: dict[str, dict[str, Any]] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Name and subset, as a heading."""
        return f"{self.name}, {self.subset}" if self.subset else self.name


@dataclass
class Result:
    """What a protocol found.

    Args:
        protocol: its registered name.
        columns: the metrics that a table shows, in order.
        rows: one for each contestant and subset.
        decides: key of the column that decides.
        settings: all that the numbers depend on, for machines.
        words: the same for people: the protocol block.
        task: registered name of the task, if the protocol ran on one.
        class_columns: the metrics of each class that a table shows, in order.
        run: which run was measured on which data, filled in by `pointlift.evaluate`.
    """

    protocol: str
    columns: tuple[Column, ...]
    rows: list[Row]
    decides: str
    settings: dict[str, Any] = field(default_factory=dict)
    words: dict[str, Any] = field(default_factory=dict)
    task: str | None = None
    class_columns: tuple[Column, ...] = ()
    run: dict[str, Any] = field(default_factory=dict)

    def row(self, name: str, subset: str = "") -> Row:
        """The row of a contestant; a `KeyError` if there is none."""
        for row in self.rows:
            if row.name == name and row.subset == subset:
                return row
        raise KeyError(f"there is no row '{name}'{f' at {subset}' if subset else ''}")

    def __getitem__(self, name: str) -> dict[str, Any]:
        """The metrics of a contestant over all test points."""
        return self.row(name).metrics

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def of_role(self, role: Role, subset: str = "") -> list[Row]:
        """The rows of a role that are scored on a subset, by default on all test points."""
        return [row for row in self.rows if row.role == role and row.subset == subset]

    @property
    def student(self) -> Row:
        """What was pretrained, over all test points."""
        return self.of_role("student")[0]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"format": FORMAT, **_plain(asdict(self))}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "this") -> Result:
        """The result that `to_dict` described; a `DataError` that begins with ``where`` if it is none."""
        if not isinstance(values, Mapping) or values.get("format") != FORMAT:
            raise DataError(f"{where} is not a result that this version of pointlift reads; measure again")
        try:
            return shaped(values, cls, "it").checked()
        except DataError as error:
            raise DataError(f"{where} is a damaged result ({error}); measure again") from error

    def checked(self) -> Result:
        """The result itself; a `DataError` if a value that tables show, or what it was measured on, is of no use."""
        shaped(self.run, _MeasuredOn, "'run'")
        shaped(self.settings, _Known, "'settings'")
        if self.decides not in (column.key for column in self.columns):
            raise DataError(f"'{self.decides}' decides, but is no column")
        for row in self.rows:
            _require_values(row.title, row.metrics, self.columns)
            for name, values in row.classes.items():
                if not isinstance(values, Mapping):
                    raise DataError(f"the class '{name}' of the row '{row.title}' has no values")
                _require_values(f"{row.title}, {name}", values, self.class_columns)
        return self


class _MeasuredOn(TypedDict, total=False):
    """What reports read of ``Result.run``."""

    recipe: str
    seed: int
    checkpoint: str
    split: str
    label_data: dict[str, Any] | None
    test_data: dict[str, Any] | None
    options: dict[str, Any] | None
    evaluation_seed: int | None


class _Known(TypedDict, total=False):
    """What reports read of ``Result.settings``."""

    seed: int
    data: dict[str, dict[str, Any]]
    occlusion: float | None
    min_depth: float
    classes: list[str]


def _require_values(title: str, values: Mapping[str, Any], columns: Iterable[Column]) -> None:
    for column in columns:
        value = values.get(column.key)
        if not isinstance(value, (int, float, np.number, np.bool_, type(None))):
            raise DataError(f"'{column.key}' of the row '{title}' is {brief(value)} and no number")


def _plain(value: Any) -> Any:
    """The same in what JSON knows: lists for tuples, None for what is not a number."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and value != value else value
