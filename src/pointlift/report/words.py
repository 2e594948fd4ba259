"""What a page says in sentences, composed from the runs and their results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pointlift.evaluation.result import Column
from pointlift.options import controls
from pointlift.registry import PROTOCOLS
from pointlift.report import tables
from pointlift.report.cells import cell
from pointlift.report.summary import Group, Statistic, Summary
from pointlift.train.method import Trained


@dataclass(frozen=True)
class Headline:
    """One number at the top of the page: what it is, and what it is to be compared with."""

    value: str
    unit: str
    text: str


def joined(parts: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def default_title(summary: Summary) -> str:
    """The recipes' names, or their number if there are many."""
    names = list(dict.fromkeys(group.name for group in summary.groups))
    return joined(names) if len(names) <= 3 else f"{len(names)} recipes compared"


def introduction(summary: Summary) -> list[str]:
    """What was done, in three sentences."""
    return [_what(summary.proper), _how(summary), _measured(summary)]


def controls_in_words(summary: Summary) -> str:
    """What is wrong with the controls, as a sentence; empty if there are none."""
    why = [mark.why for group in summary.groups for mark in controls(group.members[0].recipe)]
    said = ", ".join(dict.fromkeys(why))
    return f"The controls are trained with something wrong on purpose: {said}." if said else ""


def way(protocol: str) -> str:
    """How a protocol reads features out, such as ``by text prompts alone``; its name if it does not say."""
    reads = PROTOCOLS.get(protocol).declared.get("reads") if protocol in PROTOCOLS.names() else None
    return str(reads or f"by {protocol}")


def about(protocol: str) -> str:
    """What a protocol is, in a line; empty for one from a plug-in that is not there."""
    return PROTOCOLS.summary(protocol).replace("``", "") if protocol in PROTOCOLS.names() else ""


def _what(groups: Sequence[Group]) -> str:
    kinds = dict.fromkeys(group.trains for group in groups)
    return " ".join(_of_kind(kind, [group for group in groups if group.trains == kind]) for kind in kinds)


def _of_kind(trains: Trained | None, groups: Sequence[Group]) -> str:
    """What groups whose methods train the same were taught."""
    students = _named("3D network", [group.student for group in groups])
    data = _named("data set", [group.data for group in groups])
    teachers = _named("frozen image network", [group.teacher for group in groups])
    gives = "gives" if len({group.teacher for group in groups}) == 1 else "give"
    if trains == "points":
        return (
            f"The {students} learned to give each point of the {data} the feature that the {teachers} {gives} the "
            "pixel on which the point falls; it sees points alone, and no label was used."
        )
    if trains == "tokens":
        return (
            f"The {students} learned to tell from the points of the {data} the token set that the {teachers} {gives} "
            "the image of the same moment; it sees points alone, and no label was used."
        )
    methods = _named("method", [group.method for group in groups])
    return f"The {students} learned from the points of the {data} by the {methods}; no label was used."


def _named(what: str, names: Sequence[str]) -> str:
    """``network a``, or ``networks a and b``."""
    different = list(dict.fromkeys(names))
    return f"{what}{'s' if len(different) > 1 else ''} {joined(different)}"


def _how(summary: Summary) -> str:
    groups = summary.proper
    losses = list(dict.fromkeys(group.loss for group in groups))
    scans = next((n for group in groups if (n := scans_of(group, "pretrained"))), None)
    steps = joined([f"{steps:,}" for steps in sorted({group.steps for group in groups})])
    how = f"with the {losses[0]} loss" if len(losses) == 1 else f"with each of the losses {joined(losses)}"
    seeds = sorted({len(group.seeds) for group in groups})
    said = f"{_between([str(n) for n in seeds])} seeds" if seeds != [1] else "one seed only, so without a spread"
    wrong = [group.label for group in summary.groups if group.control]
    beside = ""
    if wrong and len(wrong) < len(summary.groups):
        beside = f", and beside them the control{'s' if len(wrong) > 1 else ''} {joined(wrong)}"
    return f"It was distilled {how} for {steps} steps{f' on {scans:,} scans' if scans else ''}, {said}{beside}."


def _measured(summary: Summary) -> str:
    ways = [way(name) for name in dict.fromkeys(summary.first(name).protocol for name in _telling(summary))]
    if not ways:
        return "Its features were not yet used to tell classes apart; what was measured is below."
    scans = next((n for group in summary.groups if (n := scans_of(group, "test"))), None)
    where = f"{scans:,} held-out scans" if scans else "held-out scans"
    return f"What its features know of the classes is read out on {where} {joined(ways)}, beside baselines."


def scans_of(group: Group, which: str) -> int | None:
    """Number of scans in the ``pretrained``, ``labelled`` or ``test`` data of the first result that knows it."""
    for measured in group.results.values():
        scans = measured.settings.get("data", {}).get(which, {}).get("scans")
        if scans:
            return int(scans)
    return None


def headlines(summary: Summary) -> list[Headline]:
    """At most four numbers: the students' range, and what to compare it with."""
    found = []
    for name in (_telling(summary) or summary.names())[:3]:
        measured = summary.first(name)
        column = measured.deciding
        reached = [group.results[name].decided() for group in summary.proper if name in group.results]
        known = [one for one in reached if one is not None and one.mean is not None]
        if known:
            unit = f"% {column.heading}" if column.unit == "share" else column.heading
            text = f"{measured.title}, {_people(known)}{_against(summary, name, column)}"
            text += "; lower is better" if column.better == "lower" else ""
            found.append(Headline(_range(known, column), unit, text))
        shares = [
            100 * (line.cells[2].value.mean or 0.0) for line in _ceiling_lines(summary, name) if line.cells[2].value
        ]
        if shares:
            text = f"of the teacher’s own {measured.title} {column.heading}, at the points that it has"
            found.append(Headline(_between([f"{share:.0f}" for share in sorted(shares)]), "%", text))
    return found[:4]


def _telling(summary: Summary) -> list[str]:
    """The results that tell classes apart."""
    return [name for name in summary.names() if summary.first(name).class_columns]


def _ceiling_lines(summary: Summary, name: str) -> list[tables.Line]:
    table = tables.ceiling(summary, name)
    return [line for line in table.lines if summary.groups[line.group or 0] in summary.proper] if table else []


def _range(known: Sequence[Statistic], column: Column) -> str:
    if len(known) == 1:
        return str(cell(known[0], column.unit))
    ordered = sorted(known, key=lambda one: one.mean or 0.0)
    return _between([cell(one, column.unit).text for one in ordered])


def _between(ordered: Sequence[str]) -> str:
    """``a–b`` of values in order, or the one there is."""
    ends = list(dict.fromkeys([*ordered[:1], *ordered[-1:]]))
    return "–".join(ends)


def _people(known: Sequence[Statistic]) -> str:
    runs = {len(one.values) for one in known}
    what = "one recipe" if len(known) == 1 else f"lowest to highest of {len(known)} recipes"
    return f"{what}, {'one seed' if runs == {1} else f'mean of {_between([str(n) for n in sorted(runs)])} seeds'}"


def _against(summary: Summary, name: str, column: Column) -> str:
    """The best three baselines of a result."""
    table = tables.results(summary)
    place = summary.names().index(name) + 1  # after the number of seeds
    sections = (
        [section for section in table.sections if section.heading == tables.SECTIONS["baseline"]] if table else []
    )
    known = [
        (value.mean, f"{line.name} {line.cells[place].text}")
        for section in sections
        for line in section.lines
        if (value := line.cells[place].value) and value.mean is not None
    ]
    known.sort(key=lambda one: one[0], reverse=column.better != "lower")
    return f"; {' · '.join(said for _, said in known[:3])}" if known else ""
