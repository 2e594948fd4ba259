"""Compare: a study from its description to one table and one report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pointlift import study as studies
from pointlift.files import require_writable, write_atomically
from pointlift.progress import Progress
from pointlift.report import report
from pointlift.study import Comparison, Measured, Study


def compare(
    study: Study | Path | str,
    out: Path,
    *,
    seeds: int | None = None,
    controls: bool = True,
    overrides: Mapping[str, Any] | None = None,
    parallel: int = 1,
    progress: Progress | None = None,
    cpu: bool = False,
) -> tuple[Comparison, list[Measured]]:
    """Pretrain and evaluate every cell of a study, and write ``comparison.json`` and ``report.html`` into ``out``.

    The same call again goes on where it was stopped; what is complete is not done again.

    Args:
        study: a shipped name, a YAML file, or what `pointlift.study.load` gave.
        out: folder of the study; runs are in ``runs/`` there.
        seeds: 0, 1, … this many, instead of the study's own.
        controls: also the recipes that are wrong on purpose.
        overrides: of every recipe, dotted keys and values.
        parallel: how many cells at a time, each in a process of its own.
        progress: called with (what, done, total).
        cpu: stay on the CPU even where there is a GPU.

    Returns:
        The table, and every cell with its run and results.

    Raises:
        PointliftError: of the description, before any work; or of a cell that cannot be done.
    """
    if not isinstance(study, Study):
        study = studies.load(study)
    if seeds is not None:
        study = study.model_copy(update={"seeds": list(range(seeds))})
    cells = study.cells(overrides, controls=controls)
    require_writable(out)
    measured = studies.run(cells, out, parallel=parallel, progress=progress, cpu=cpu)
    table = studies.comparison(study.title, measured)
    write_atomically(out / "comparison.json", json.dumps(table.to_dict(), indent=1))
    report([one.run for one in measured], out / "report.html", title=study.title, progress=progress, cpu=cpu)
    return table, measured
