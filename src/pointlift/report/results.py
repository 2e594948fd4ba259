"""The results of a run as they lie in its folder, and what a result is called in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pointlift.documents import read_json
from pointlift.errors import DataError
from pointlift.evaluation import legacy
from pointlift.evaluation.naming import result_name
from pointlift.evaluation.result import Result
from pointlift.run import Run
from pointlift.tasks.base import DEFAULT


def results_of(run: Run) -> dict[str, Result]:
    """The results of a run by their names, see `result_name`, whatever the files are called.

    Of two files with the same result the one that has its name counts.

    Raises:
        DataError: a file is no result, or one that this version cannot read.
    """
    found: dict[str, Result] = {}
    for path in sorted((run.folder / "evaluation").glob("*.json")):
        result = read(path)
        name = result_name(result.protocol, result.task, result.run)
        if name not in found or path.stem == name:
            found[name] = result
    return found


def read(path: Path) -> Result:
    """The result in a file; a `DataError` names the file if it holds none."""
    try:
        values = read_json(path, "result")
    except DataError as error:
        raise DataError(f"{path}: the result cannot be read ({error}); evaluate the run again") from error
    return legacy.read(values, str(path))


def spoken(protocol: str, task: str | None, run: Mapping[str, Any], split: bool = False) -> str:
    """A result in a heading or a sentence: its protocol, and how task and data differ from the usual ones.

    Args:
        protocol: its registered name.
        task: registered name of the task, if it ran on one.
        run: of a `Result`.
        split: whether to name the split that was measured.
    """
    said = [] if task in (None, DEFAULT) else [str(task)]
    said += [f"{run['split']} split"] if split and "split" in run else []
    said += [f"labels: {_option(key, value)}" for key, value in sorted((run.get("label_data") or {}).items())]
    said += [_option(key, value) for key, value in sorted((run.get("test_data") or {}).items())]
    return f"{protocol} ({', '.join(said)})" if said else protocol


def as_yaml(value: Any) -> str:
    """A value in one line of YAML, as options are given on the command line."""
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()


def _option(key: str, value: Any) -> str:
    if value is None or value is False:
        return f"no {key}"
    return str(value) if key in ("name", "split") else f"{key}={as_yaml(value)}"
