"""Makes the frozen runs beside this file: run folders as commit 1a2c826 wrote them, which later versions must read.

They were made once, with that commit checked out, by ``python make.py FOLDER`` from a copy of this file, and are never
made again: what they hold is what users' disks hold. Each run was stopped half-way; ``expected.json`` says what the
other half logged, what the evaluations gave, and what the specs of generated frames were made from.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

from pointlift import api, recipe, run
from pointlift.students import point_transformer

HALF, WHOLE = 2, 4
COMMON: dict[str, Any] = {
    "cache.folder": "features",
    "training.steps": WHOLE,
    "training.warmup_steps": 1,
    "training.log_every": 1,
    "training.checkpoint_every": HALF,
    "training.keep_checkpoints": 1,
    "training.threads": 1,
    "training.learning_rate": 0.001,
}
SMALLEST = (1, 12, 3, (8, 8, 16))
"""The point transformer that stands in for size tiny: depth, width, heads, widths of the patch embedding."""
RUNS: dict[str, tuple[str, dict[str, Any], dict[str, tuple[dict[str, Any], dict[str, Any]]]]] = {
    "points": (
        "street-relational",
        {
            "data.root": "streets",
            "data.sequences": 3,
            "data.cameras": ["front"],
            "data.image_size": [64, 128],
            "data.workers": 0,
            "student.width": 0.01,
            "student.voxel_size": 1.0,
            "method.pairs_per_scene": 128,
        },
        {
            "zero-shot": ({"occlusion": 0.05, "normalization_scans": 1}, {}),
            "linear-probe": (
                {"max_points": 2000, "minimum_steps": 20, "classifier_epochs": 1, "normalization_scans": 1},
                {"sequences": 2, "frames": 1},
            ),
            "structure": (
                {"normalization_scans": 1, "pair_points": 500, "points_per_class": 100},
                {"sequences": 2, "frames": 1},
            ),
        },
    ),
    "tokens": (
        "concept-rooms",
        {
            "data.root": "rooms",
            "data.rooms": 2,
            "data.frames": 2,
            "data.image_size": [48, 64],
            "data.workers": 0,
            "student.points": 64,
            "student.groups": 8,
            "student.group_size": 8,
            "method.concept_tokens": 2,
            "training.batch_size": 2,
        },
        {"retrieval": ({}, {"rooms": 2, "frames": 2})},
    ),
}


class StoppedError(Exception):
    """Half of the run is done."""


def stop(step: int, method: Any, metrics: dict[str, float]) -> None:
    if step == HALF + 1:  # its checkpoint is that of the step before
        raise StoppedError


def main(folder: Path) -> None:
    folder.mkdir(parents=True)
    os.chdir(folder)
    torch.set_num_threads(1)
    point_transformer.SIZES["tiny"] = point_transformer.Size(*SMALLEST)
    expected: dict[str, Any] = {}
    for name, (source, changes, protocols) in RUNS.items():
        values = recipe.load(source, {**COMMON, **changes})
        whole = run.train(values, Path("whole") / name, cpu=True)
        logged = [line for line in whole.metrics() if line["step"] > HALF]
        with contextlib.suppress(StoppedError):
            run.train(values, Path(name), callbacks=[stop], cpu=True)
        half = run.Run(name)
        results = {}
        for protocol, (options, test_data) in protocols.items():
            found = api.evaluate(half, protocol, options, split="val", test_data=test_data, cpu=True)
            results[protocol] = found["results"]
        teacher = half.parts.pixel_features.teacher.fingerprint
        expected[name] = {"logged": logged, "results": results, "teacher": teacher}
    expected["specs"] = {}
    for name in ("street", "rooms", "shapes"):
        scenes = api.DATASETS.build(name, root=Path("nowhere"))
        first = scenes._specs[0][0] if name == "rooms" else scenes._specs[0]
        expected["specs"][name] = {"made_from": first.made_from, "folder": str(first.folder)}
    Path("expected.json").write_text(json.dumps(expected, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
