"""Holding out scans: options that every data set has, for logs that come without a split of their own.

``hold_out`` says which scans are kept from pretraining, as a share or by name; ``only_held_out`` asks for these
in place of the others. Recipe, resume and evaluation go through `pointlift.data.opening`, so all of them mean the same
scans.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import BeforeValidator

from pointlift.data.dataset import Dataset, Subset
from pointlift.errors import DataError, brief

HELD_OUT = "val"
"""The split by which an evaluation asks for what is held out."""
KEPT = "train"


def _checked(value: Any) -> float | list[str] | None:
    names = [value] if isinstance(value, str) else value
    if isinstance(names, (list, tuple)) and names and all(type(name) in (str, int) for name in names):
        return [str(name) for name in names]
    if value is None or (isinstance(value, (int, float)) and 0 < value < 1):
        return value  # type: ignore[return-value]
    raise ValueError("it should be a share such as 0.2, or names of sequences or scans, such as [run3, '2024-05-*']")


HoldOut = Annotated[Any, BeforeValidator(_checked)]
"""A share of the scans in (0, 1), names, or None."""
SHARED: dict[str, tuple[Any, Any]] = {"hold_out": (HoldOut, None), "only_held_out": (bool, False)}
"""Options of all data sets beside their own: annotation and default."""


def selected(scenes: Dataset, hold_out: float | Sequence[str] | None, only_held_out: bool) -> Dataset:
    """The scans that are held out, or all others; the data set itself where nothing is held out.

    Args:
        scenes: the data set.
        hold_out: a share: whole sequences from the end, see `split_by_sequence`. Or names: of scans, of sequences (an
            id up to one of its ``/``), with ``*`` for any characters; a number is a sequence however many zeros lead.
        only_held_out: which of the two.

    Raises:
        DataError: nothing would be held out or kept, a name is none, or the data set has epochs of its own.
    """
    if hold_out is None and only_held_out:
        raise DataError(f"{scenes.name}: only_held_out asks for scans that are held out, but hold_out says none")
    if hold_out is None:
        return scenes
    if type(scenes).epoch is not Dataset.epoch:
        raise DataError(
            f"{scenes.name}: hold_out belongs to each of its parts, such as data.parts.0.hold_out={brief(hold_out)}"
        )
    ids = scenes.ids
    if isinstance(hold_out, (int, float)):
        kept, held, _ = split_by_sequence(ids, hold_out)
    else:
        held = _named(scenes.name, ids, hold_out)
        kept = sorted({*range(len(ids))} - {*held})
        if not kept:
            raise DataError(f"{scenes.name}: hold_out leaves none of the {len(ids)} scans to pretrain on")
    return Subset(scenes, held if only_held_out else kept)


def _named(name: str, ids: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """The scans that any of the names means, ascending."""
    known = [tuple(_names_of(one)) for one in ids]
    for pattern in wanted:
        if not any(_means(pattern, one) for names in known for one in names):
            sequences = list(dict.fromkeys(names[1] if len(names) > 1 else names[0] for names in known))
            some = ", ".join(sequences[:6]) + (", …" if len(sequences) > 6 else "")
            raise DataError(f"{name}: hold_out names '{pattern}', but no scan or sequence is that; there are: {some}")
    return [index for index, names in enumerate(known) if any(_means(p, one) for p in wanted for one in names)]


def _names_of(identity: str) -> Iterator[str]:
    """The id, and the sequences that it lies in, from the inmost one on."""
    while identity:
        yield identity
        identity = identity.rpartition("/")[0]


def _means(pattern: str, name: str) -> bool:
    number = pattern.isdecimal() and name.isdecimal() and int(pattern) == int(name)  # YAML reads 08 as text and 07 as 7
    return number or fnmatchcase(name, pattern)


def split_by_sequence(ids: Sequence[str], share: float) -> tuple[list[int], list[int], str]:
    """Scans to keep, those held out, and the rule in words.

    Held out are the last whole sequences (the id up to its last ``/``) until they make up ``share`` of the scans, but
    never the first sequence: neighbouring scans are near-copies, so single scans would not be held out at all. If there
    is one sequence only, its last scans are held out.

    Raises:
        DataError: fewer than two scans.
    """
    if len(ids) < 2:
        raise DataError(f"at least two training scans are needed, to hold one out; there are {len(ids)}")
    wanted = max(1, math.ceil(share * len(ids) - 1e-9))
    sequences = [name.rpartition("/")[0] for name in ids]
    order = list(dict.fromkeys(sequences))
    out: list[str] = []
    while len(out) < len(order) - 1 and sum(name in out for name in sequences) < wanted:
        out.append(order[-1 - len(out)])
    if out:
        chosen = set(out)
        held = [index for index, name in enumerate(sequences) if name in chosen]
        rule = f"the {len(held)} scans of the last training sequence(s): {', '.join(sorted(out))}"
    else:
        held = list(range(len(ids) - min(wanted, len(ids) - 1), len(ids)))
        rule = f"the last {len(held)} of the {len(ids)} training scans, as they are one sequence"
    without = set(held)
    return [index for index in range(len(ids)) if index not in without], held, rule
