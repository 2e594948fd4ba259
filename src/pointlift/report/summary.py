"""The figures of several runs: of each recipe, what every contestant reached, with its spread over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from pointlift.evaluation.result import Column, Role
from pointlift.run import Run
from pointlift.train.method import Trained


@dataclass(frozen=True)
class Statistic:
    """A metric over seeds.

    Args:
        mean: over the runs that have it; None if there is none.
        std: of the sample; None for fewer than two values.
        values: one a run, None where absent.
    """

    mean: float | None
    std: float | None
    values: list[float | None]

    @property
    def fixed(self) -> Statistic:
        """Without its spread if that is only rounding: what does not depend on the run is the same in every run."""
        return replace(self, std=None) if self.std is not None and self.std < 1e-9 else self


@dataclass
class Contestant:
    """A row of a result over seeds; ``classes`` has the statistics of each class by its name."""

    name: str
    role: Role
    subset: str
    metrics: dict[str, Statistic]
    classes: dict[str, dict[str, Statistic]]

    @property
    def title(self) -> str:
        """Name and subset, as a heading."""
        return f"{self.name}, {self.subset}" if self.subset else self.name


@dataclass
class Measured:
    """What one protocol found of a recipe on one kind of data.

    Args:
        title: what it is called in headings and sentences.
        protocol, task: registered names.
        decides, columns, class_columns: as in `Result`.
        rows: the contestants.
        settings, words, run: of the first run's result.
        differs: keys of the words in which other runs' differ from them.
        settings_differ: keys of the settings in which other runs' differ.
    """

    title: str
    protocol: str
    task: str | None
    decides: str
    columns: list[Column]
    class_columns: list[Column]
    rows: list[Contestant]
    settings: dict[str, Any]
    words: dict[str, Any]
    run: dict[str, Any]
    differs: list[str]
    settings_differ: list[str]

    def of_role(self, role: Role, subset: str | None = "") -> list[Contestant]:
        """The rows of a role that are scored on a subset, by default on all test points; None: on any."""
        return [row for row in self.rows if row.role == role and subset in (None, row.subset)]

    def student(self, subset: str = "") -> Contestant | None:
        """What was pretrained, the first row of it; None if it was not scored on this subset."""
        return next(iter(self.of_role("student", subset)), None)

    @property
    def deciding(self) -> Column:
        """The column that decides."""
        return next(column for column in self.columns if column.key == self.decides)

    def decided(self, subset: str = "") -> Statistic | None:
        """The student's value of the metric that decides."""
        student = self.student(subset)
        return student.metrics.get(self.decides) if student else None


@dataclass
class Group:
    """Runs of one recipe that differ in their seed alone.

    Args:
        name: of the recipe.
        label: unique among the groups, and short.
        control: what is wrong on purpose; None for a proper recipe.
        recipe: all that determines a run except its seed, with dotted keys.
        loss, method, teacher, student, data: registered names.
        seeds, runs: of the members; ``runs`` are their folders.
        steps: of training.
        results: what was measured, by `result_name`.
        members: the runs, in the order of their seeds.
    """

    name: str
    label: str
    control: str | None
    recipe: dict[str, Any]
    loss: str
    method: str
    teacher: str
    student: str
    data: str
    seeds: list[int]
    steps: int
    runs: list[str]
    results: dict[str, Measured]
    members: list[Run] = field(repr=False)

    @property
    def trains(self) -> Trained | None:
        """What the method trained beside the encoder, see `Method.trains`."""
        return self.members[0].parts.trains


@dataclass
class Summary:
    """The groups, controls last; and what should be known of the grouping, as sentences."""

    groups: list[Group]
    notes: list[str]

    @property
    def proper(self) -> list[Group]:
        """The groups that are no controls, or all if there are only such."""
        return [group for group in self.groups if not group.control] or self.groups

    def having(self, name: str) -> list[tuple[int, Group]]:
        """The groups that have this result, each with its number."""
        return [(number, group) for number, group in enumerate(self.groups) if name in group.results]

    def names(self) -> list[str]:
        """All results in the order in which they are shown.

        First come those that tell classes apart, and of these the ones in which the teacher itself takes part.
        """
        found = {name: measured for group in reversed(self.groups) for name, measured in group.results.items()}

        def place(name: str) -> tuple[bool, bool, str]:
            return not found[name].class_columns, not found[name].of_role("teacher", None), name

        return sorted(found, key=place)

    def first(self, name: str) -> Measured:
        """A result as the first group has it that has it at all."""
        return self.having(name)[0][1].results[name]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        kept = [one.name for one in fields(Group) if one.name not in ("members", "results")]
        groups = [
            {key: getattr(group, key) for key in kept}
            | {"results": {name: asdict(measured) for name, measured in group.results.items()}}
            for group in self.groups
        ]
        return {"groups": groups, "notes": self.notes}


def statistic(values: Iterable[float | int | bool | None]) -> Statistic:
    """Mean and sample standard deviation of the values that are there."""
    listed = [float(value) if isinstance(value, bool) else value for value in values]
    known = [value for value in listed if value is not None]
    mean = statistics.fmean(known) if known else None
    return Statistic(mean, statistics.stdev(known) if len(known) > 1 else None, listed)
