"""What tests of studies share: a study of runs that take a second, and an evaluation that costs nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pointlift.evaluation.result import Column, Result, Row
from pointlift.progress import Progress
from pointlift.run import Run
from pointlift.study import Evaluation

TINY: dict[str, Any] = {
    "training.steps": 2,
    "training.warmup_steps": 1,
    "training.log_every": 1,
    "training.checkpoint_every": 1,
    "training.threads": 1,
    "data.sequences": 2,
    "data.cameras": ["front"],
    "data.image_size": [32, 64],
    "data.workers": 0,
    "student.width": 0.1,
    "student.voxel_size": 1.0,
    "method.pairs_per_scene": 16,
}
"""Overrides of the recipes on streets."""
VALUES = {"relational": 0.5, "contrastive": 0.4, "similarity": 0.3}


def places(folder: Path) -> dict[str, Any]:
    """Overrides that keep everything in a folder."""
    return {"data.root": str(folder / "streets"), "cache.folder": str(folder / "features")}


@dataclass
class Stub:
    """Stands in for an evaluation: 0.5, 0.4 or 0.3 by loss, 0.01 more for each seed; remembers what it was asked."""

    asked: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def __call__(self, run: Run, asked: Evaluation, progress: Progress | None, cpu: bool) -> Result:
        self.asked.append((run.folder.name, asked.title, dict(asked.options)))
        value = VALUES[run.recipe.loss.name] + run.recipe.seed / 100
        rows = [Row("student", "student", {"miou": value, "gap": 10 * value})]
        if asked.options.get("baselines", True):
            rows.append(Row("random network", "baseline", {"miou": 0.1, "gap": None}))
        rows.append(Row("teacher", "teacher", {"miou": 0.9, "gap": 0.0}, subset="visible points"))
        columns = (Column("miou", "mIoU", "share", "higher"), Column("gap", "gap", "number", "lower"))
        result = Result(asked.protocol, columns, rows, decides="gap" if asked.protocol == "structure" else "miou")
        result.run = {
            "checkpoint": run.checkpoint.name,
            "evaluation_seed": asked.seed,
            **asked.model_dump(include={"split", "label_data", "test_data", "options"}),
        }
        folder = run.folder / "evaluation"
        folder.mkdir(exist_ok=True)
        (folder / f"{asked.title}.json").write_text(json.dumps(result.to_dict()))
        return result
