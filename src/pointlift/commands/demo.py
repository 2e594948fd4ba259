"""The demo: streets, three losses, their evaluation and a report, offline and in a few minutes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pointlift import study as studies
from pointlift.commands.compare import compare
from pointlift.files import write_atomically
from pointlift.progress import Progress
from pointlift.recipe import parse_overrides
from pointlift.report import summarise
from pointlift.report.cells import to_text
from pointlift.report.summary import Summary
from pointlift.report.tables import all_tables
from pointlift.run import Run

STUDY = "demo"


def demo(
    out: Path,
    *,
    seeds: int = 1,
    controls: bool = False,
    overrides: Sequence[str] = (),
    parallel: int = 1,
    progress: Progress | None = None,
    cpu: bool = False,
) -> Summary:
    """Distil the embedded teacher on embedded streets with each loss, evaluate, and write the report.

    It is the shipped study of this name. Everything is kept under ``out``: generated streets, teacher features,
    ``runs/``, ``results.json``, ``comparison.json``, ``report.html``, and a test scan, ``scan.bin``.
    The same call again goes on where it was stopped.

    Args:
        out: folder of the demo.
        seeds: distillation seeds 0, 1, …; three give the spread.
        controls: also the controls, pairs shuffled between images and a randomly initialised teacher.
        overrides: of every recipe, such as ``training.steps=50``.
        parallel: how many runs at a time, each in a process of its own.
        progress: called with (what, done, total).
        cpu: stay on the CPU even where there is a GPU.

    Returns:
        The summary that is also in ``results.json``.
    """
    out = out.expanduser().resolve()  # the runs remember where their streets are, wherever they are used from
    study = studies.load(STUDY)
    own = {"data.root": str(out / "streets"), "cache.folder": str(out / "features")} | parse_overrides(overrides)
    _, measured = compare(
        study, out, seeds=seeds, controls=controls, overrides=own, parallel=parallel, progress=progress, cpu=cpu
    )
    runs = [one.run for one in measured]
    summary = summarise(runs)
    write_atomically(out / "results.json", json.dumps(summary.to_dict(), indent=1))
    _write_scan(runs[0], study.evaluations[0].split, out / "scan.bin")
    return summary


def _write_scan(run: Run, split: str, path: Path) -> None:
    """One test scan in KITTI's layout, to try `pointlift predict` on."""
    scene = run.parts.dataset(split=split)[0]
    write_atomically(path, np.hstack([scene.points, scene.features]).astype("<f4").tobytes())


def tables(summary: Summary) -> list[tuple[str, list[str], list[list[str]]]]:
    """What the demo found, as tables to print: (title, heading, rows)."""
    return [(title, *to_text(table)) for title, table in all_tables(summary, brief=True)]
