"""metrics.jsonl and TensorBoard events of one run, cut back to the checkpoint when a run is resumed."""

from __future__ import annotations

import json
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from pointlift.files import write_atomically


class MetricLog:
    """Appends one line per logged step; lines after step ``first`` from an interrupted run are dropped."""

    def __init__(self, folder: Path | None, first: int) -> None:
        self._file = None
        self._board = None
        if folder is None:
            return
        path = folder / "metrics.jsonl"
        kept = [line for line in _lines(path) if json.loads(line)["step"] <= first]
        write_atomically(path, "".join(kept))
        self._file = path.open("a")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=first + 1)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Add the values of one step."""
        if self._file is None or self._board is None:
            return
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        for key, value in values.items():
            self._board.add_scalar(key, value, step)

    def __enter__(self) -> MetricLog:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None and self._board is not None:
            self._file.close()
            self._board.close()


def read(folder: Path) -> list[dict[str, float]]:
    """The logged steps of a run folder, in order."""
    return [json.loads(line) for line in _lines(folder / "metrics.jsonl")]


def _lines(path: Path) -> list[str]:
    """Complete lines only: a killed process can leave half of the last one."""
    if not path.is_file():
        return []
    return [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n") and line.strip()]
