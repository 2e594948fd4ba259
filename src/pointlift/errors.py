"""The one family of errors that a user's mistake raises: one clear sentence, exit code 2 on the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PointliftError(Exception):
    """A mistake that the user can mend; the message names the file or key and what would be right."""


class DataError(PointliftError):
    """A file, folder or Scene that is missing, damaged or inconsistent."""


class RecipeError(PointliftError):
    """A recipe key, value or name that is not valid."""


class CheckpointError(PointliftError):
    """A checkpoint or run folder that cannot be written, read or continued."""


class PluginError(PointliftError):
    """A plug-in that cannot be imported, or that brings a part whose name is taken."""


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
