"""The demo: streets, three losses, their evaluation and a report, offline and in a few minutes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pointlift import api
from pointlift.files import write_atomically
from pointlift.progress import Progress
from pointlift.report import report, summarise
from pointlift.report.cells import to_text
from pointlift.report.summary import Summary
from pointlift.report.tables import all_tables
from pointlift.run import Run

RECIPES = ("street-relational", "street-contrastive", "street-similarity")
CONTROLS = ("street-shuffled-pairs", "street-random-teacher")
SPLIT = "test"
"""Settings were chosen on ``val``."""
VISIBLE = {"occlusion": 0.05}
"""Points hidden behind nearer ones are not asked of the teacher, in training and evaluation alike."""


def demo(
    out: Path,
    *,
    seeds: int = 1,
    controls: bool = False,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    cpu: bool = False,
) -> Summary:
    """Distil the embedded teacher on embedded streets with each loss, evaluate, and write the report.

    Everything is kept under ``out``: generated streets, teacher features, ``runs/``, ``results.json``, ``report.html``,
    and a test scan, ``scan.bin``.
    The same call again goes on where it was stopped.

    Args:
        out: folder of the demo.
        seeds: distillation seeds 0, 1, …; three give the spread.
        controls: also the controls, pairs shuffled between images and a randomly initialised teacher.
        overrides: of every recipe, such as ``training.steps=50``.
        progress: called with (what, done, total).
        cpu: stay on the CPU even where there is a GPU.

    Returns:
        The summary that is also in ``results.json``.
    """
    out = out.expanduser().resolve()  # the runs remember where their streets are, wherever they are used from
    runs: list[Run] = []
    recipes = RECIPES + (CONTROLS if controls else ())
    for seed in range(seeds):
        for name in recipes:
            own = {"seed": seed, "data.root": str(out / "streets"), "cache.folder": str(out / "features")}
            say = _named(progress, f"{name} {seed}" if seeds > 1 else name)
            run = api.pretrain(
                name, [f"{k}={v}" for k, v in own.items()] + list(overrides),
                out=out / "runs" / f"{name}-seed{seed}", progress=say, cpu=cpu,
            )  # fmt: skip
            for task, options in tasks(first=not runs).items():
                if not _is_measured(run, task, options):
                    api.evaluate(run, task, options, split=SPLIT, progress=say, cpu=cpu)
            runs.append(run)
    summary = summarise(runs)
    write_atomically(out / "results.json", json.dumps(summary.to_dict(), indent=1))
    _write_scan(runs[0], out / "scan.bin")
    report(runs, out / "report.html", title="pointlift on embedded streets", progress=progress, cpu=cpu)
    return summary


def _write_scan(run: Run, path: Path) -> None:
    """One test scan in KITTI's layout, to try `pointlift predict` on."""
    scene = run.parts.dataset(split=SPLIT)[0]
    write_atomically(path, np.hstack([scene.points, scene.features]).astype("<f4").tobytes())


def tasks(first: bool) -> dict[str, dict[str, Any]]:
    """The protocols with their options; the first run also measures what does not depend on the distillation."""
    return {
        "zero-shot": dict(VISIBLE),
        "linear-probe": {"baselines": first, "max_points": 200_000},
        "structure": dict(VISIBLE),
    }


def tables(summary: Summary) -> list[tuple[str, list[str], list[list[str]]]]:
    """What the demo found, as tables to print: (title, heading, rows)."""
    return [(title, *to_text(table)) for title, table in all_tables(summary, brief=True)]


def _is_measured(run: Run, task: str, options: dict[str, Any]) -> bool:
    """Whether the run has this very result; one that the user measured differently since is no result of the demo."""
    wanted = {"checkpoint": run.checkpoint.name, "split": SPLIT, "test_data": {}, "options": options}
    try:
        found = json.loads((run.folder / "evaluation" / f"{task}.json").read_text())
        return all(found[key] == value for key, value in wanted.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _named(progress: Progress | None, name: str) -> Progress | None:
    """Progress whose bars say which run they belong to, but for work that all runs share."""
    if progress is None:
        return None
    return lambda what, done, total: progress(f"{name}: {what}", done, total)
