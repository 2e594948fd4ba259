"""What a result is called in files: by its protocol, its task, and the data it was measured on."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import yaml

from pointlift.tasks.base import DEFAULT

USUAL_SPLIT = "val"
"""What a run is measured on if nothing else is said; names do not mention it."""
_LONGEST = 120


def result_name(protocol: str, task: str | None, run: Mapping[str, Any]) -> str:
    """One name for each protocol, task and data, as a file's stem: other data never have the same.

    What is as usual is not mentioned. A task is ``+TASK``, all else ``-KEY=VALUE``, where ``label.KEY`` are options of
    the data that give labels. The name does not depend on the protocol's options: measuring again replaces a result.

    Args:
        protocol: its registered name.
        task: registered name of the task; None if the protocol runs on none.
        run: of a `Result`; of it ``split``, ``label_data`` and ``test_data`` matter, each as usual where it is absent.
    """
    first = protocol if task in (None, DEFAULT) else f"{protocol}+{task}"
    items: dict[str, Any] = {}
    if run.get("split", USUAL_SPLIT) != USUAL_SPLIT:
        items["split"] = run["split"]
    items |= {f"label.{key}": value for key, value in sorted((run.get("label_data") or {}).items())}
    items |= dict(sorted((run.get("test_data") or {}).items()))
    name = "-".join([first, *(f"{key}={_as_text(value)}" for key, value in items.items())])
    if len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{name[: _LONGEST - len(digest) - 1].rstrip('%')}~{digest}"


def _as_text(value: Any) -> str:
    """A value in characters that every file system takes, different for every value: words bare, all else as JSON."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w.]*", value, re.ASCII) and yaml.safe_load(value) == value:
        return value
    return quote(json.dumps(value, separators=(",", ":"), sort_keys=True, default=str), safe="[],")
