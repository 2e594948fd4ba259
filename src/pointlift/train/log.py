"""metrics.jsonl and TensorBoard events of one run, cut back to the checkpoint when a run is resumed."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from pointlift.files import write_atomically, write_errors_named

_log = logging.getLogger(__name__)


class MetricLog:
    """Appends one line per logged step; lines after step ``first`` from an interrupted run are dropped."""

    def __init__(self, folder: Path | None, first: int) -> None:
        self._file = None
        self._board = None
        if folder is None:
            return
        self._path = path = folder / "metrics.jsonl"
        kept = [line for line in read(folder) if line["step"] <= first]
        write_atomically(path, "".join(json.dumps(line) + "\n" for line in kept))
        with write_errors_named(folder):
            self._file = path.open("a")
            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=first + 1)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Add the values of one step."""
        if self._file is None or self._board is None:
            return
        with write_errors_named(self._path):
            self._file.write(json.dumps({"step": step, **values}) + "\n")
            self._file.flush()
            for key, value in values.items():
                self._board.add_scalar(key, value, step)

    def __enter__(self) -> MetricLog:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None and self._board is not None:
            with write_errors_named(self._path):
                self._file.close()
                self._board.close()


def read(folder: Path) -> list[dict[str, float]]:
    """The logged steps of a run folder, in order; damaged lines are left out with a warning."""
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return []
    found, damaged = [], []
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        if not line.endswith(b"\n") or not line.strip():  # a killed process can leave half of the last one
            continue
        values = _parsed(line)
        if values is None:
            damaged.append(number)
        else:
            found.append(values)
    if damaged:
        _log.warning("%s: line %s cannot be read and is left out", path, ", ".join(map(str, damaged[:5])))
    return found


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A line's values; None unless they are numbers by name, with the step among them."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    numbers = isinstance(values, dict) and all(type(value) in (int, float) for value in values.values())
    return values if numbers and type(values.get("step")) is int else None
