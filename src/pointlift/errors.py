"""The one family of errors that a user's mistake raises: one clear sentence, exit code 2 on the command line."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable

_LONGEST = 1200


class PointliftError(Exception):
    """A mistake that the user can mend; the message names the file or key and what would be right.

    What a message quotes may be of any size, so the middle of a very long one is left out.
    """

    def __str__(self) -> str:
        text = super().__str__()
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 303]} … {text[-300:]}"


class DataError(PointliftError):
    """A file, folder or Scene that is missing, damaged or inconsistent."""


class RecipeError(PointliftError):
    """A recipe key, value or name that is not valid."""


class CheckpointError(PointliftError):
    """A checkpoint or run folder that cannot be written, read or continued."""


class PluginError(PointliftError):
    """A plug-in that cannot be imported, or a part whose name is taken or that does not keep its contract."""


class TrainingError(PointliftError):
    """Training that cannot go on, such as a loss that is no longer finite."""


class MemoryExhaustedError(PointliftError):
    """Memory of the machine or of a GPU that ran out."""


class InterruptedRunError(PointliftError):
    """Training that was asked to stop, and saved what it had.

    Args:
        message: where it stopped and how it goes on.
        signal: the number of the signal that asked.
    """

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal


def nearest(name: str, known: Iterable[str]) -> str:
    """A suffix such as ``"; did you mean 'relational'?"`` naming the nearest known name, else the known names."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known are: {', '.join(known)}" if known else ""


class _Brief(reprlib.Repr):
    """Shows of a value as much as fits into a sentence."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict, self.maxlist, self.maxtuple, self.maxset = 4, 8, 8, 8, 8
        self.maxstring, self.maxother, self.maxlong = 200, 200, 40


def brief(value: object) -> str:
    """The ``repr`` of a value, shortened where it is long: what somebody wrote may be of any size."""
    return _Brief().repr(value)
