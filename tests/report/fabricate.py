"""Run folders made of hand-written numbers, in the format that training and protocols write."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pointlift import recipe as recipes
from pointlift.run import Run

CLASSES = ("road", "car", "pole")


def segmentation(miou: float, ious: Sequence[float] = (), points: Sequence[int] = (900, 90, 10)) -> dict[str, Any]:
    """Metrics of a row as `Confusion.result` gives them, with these IoUs of the classes."""
    ious = ious or (miou,) * len(CLASSES)
    classes = {
        name: {"iou": iou, "accuracy": iou, "points": count, "predicted": count}
        for name, iou, count in zip(CLASSES, ious, points, strict=True)
    }
    return {
        "miou": miou,
        "miou_all": miou / 2,
        "accuracy": min(1.0, miou + 0.2),
        "mean_accuracy": None,
        "points": sum(points),
        "min_points": 100,
        "evaluated_classes": ["road"],
        "classes": classes,
    }


def zero_shot(student: float, visible: float, teacher: float = 0.8) -> dict[str, Any]:
    """The rows of the protocol zero-shot."""
    return {
        "student": segmentation(student, (student, student / 2, 0.0)),
        "random network": segmentation(0.03),
        "majority class": segmentation(0.07),
        "teacher, visible points": segmentation(teacher),
        "student, visible points": segmentation(visible),
        "random network, visible points": segmentation(0.03),
        "majority class, visible points": segmentation(0.08),
    }


def linear_probe(student: float, baselines: bool = True) -> dict[str, Any]:
    """The rows of the protocol linear-probe."""
    rows = {
        "student": segmentation(student),
        "student, decoder": segmentation(student),
        "majority class": segmentation(0.07),
    }
    if baselines:
        rows |= {
            "random network": segmentation(0.2),
            "raw features": segmentation(0.25),
            "local geometry": segmentation(0.4),
        }
    return rows


def structure(uniformity: float, tolerance: float) -> dict[str, Any]:
    """The rows of the protocol structure; the teacher has U = 2 and T = 0.6."""
    student = {
        "uniformity": uniformity,
        "uniformity_gap": abs(uniformity - 2.0),
        "tolerance": tolerance,
        "tolerance_gap": abs(tolerance - 0.6),
        "modality_gap": 0.3,
        "paired_gap": 0.4,
        "linear_cka": 0.7,
        "relational_gap": 0.2,
        "points": 1000,
        "pair_points": 500,
    }
    return {
        "teacher": {"uniformity": 2.0, "tolerance": 0.6, "points": 1000},
        "student": student,
        "random network": student,
    }


def write_run(
    folder: Path,
    results: Mapping[str, Mapping[str, Any]],
    recipe: str = "semantickitti-small-relational",
    overrides: Mapping[str, Any] | None = None,
    losses: Sequence[float] = (3.0, 2.0, 1.5, 1.25),
) -> Run:
    """A run folder without a checkpoint."""
    values = recipes.load(recipe, {"data.root": "/nowhere/data", **(overrides or {})}).to_dict()
    (folder / "evaluation").mkdir(parents=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    lines = [json.dumps({"step": 10 * k, "loss": loss, "learning_rate": 0.1}) for k, loss in enumerate(losses, start=1)]
    (folder / "metrics.jsonl").write_text("".join(line + "\n" for line in lines))
    for task, rows in results.items():
        data = {"data set": "semantickitti", "scans": 5, "split": "val"}
        protocol = {
            "task": task,
            "training data": data | {"scans": 28},
            "test data": data,
            "seed": 0,
            "occlusion": 0.05,
        }
        if task == "zero-shot":
            protocol |= {"prompts": {name: [name] for name in CLASSES}, "templates": ["{}"], "ensemble": "mean"}
        result = {"task": task, "split": "val", "checkpoint": "step-00000040", "options": {"occlusion": 0.05}}
        result |= {"protocol": protocol, "results": rows}
        (folder / "evaluation" / f"{task}.json").write_text(json.dumps(result))
    return Run(folder)


def three_losses(folder: Path) -> list[Run]:
    """Two losses with three seeds each, one with one seed, and a control."""
    runs = []
    for loss, mious in (
        ("relational", (0.60, 0.62, 0.67)),
        ("contrastive", (0.50, 0.51, 0.52)),
        ("similarity", (0.58,)),
    ):
        for seed, miou in enumerate(mious):
            results = {
                "zero-shot": zero_shot(miou, miou + 0.04),
                "linear-probe": linear_probe(miou + 0.1, baselines=loss == "relational"),
                "structure": structure(1.5 + miou, 0.7 - 0.1 * seed),
            }
            run = write_run(folder / f"{loss}{seed}", results, f"semantickitti-small-{loss}", {"seed": seed})
            runs.append(run)
    control = {"method.shuffle_pairs": True}
    runs.append(write_run(folder / "control", {"zero-shot": zero_shot(0.05, 0.06)}, overrides=control))
    return runs
