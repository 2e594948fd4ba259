"""Run folders made of hand-written numbers, in the format that training and protocols write."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pointlift import recipe as recipes
from pointlift.evaluation.naming import result_name
from pointlift.evaluation.result import Column, Result, Role, Row
from pointlift.run import Run

CLASSES = ("road", "car", "pole")
SEGMENTATION = (
    Column("miou", "mIoU", "share", "higher"),
    Column("miou_all", "mIoU, all classes", "share", "higher"),
    Column("accuracy", "accuracy", "share", "higher"),
    Column("points", "points", "count"),
)
OF_CLASSES = (Column("points", "points", "count"), Column("iou", "IoU", "share", "higher"))
SHARE = Column("share_of_teacher", "of the teacher's", "share", "higher")
STRUCTURE = (
    Column("uniformity", "U"),
    Column("uniformity_gap", "|ΔU|", better="lower"),
    Column("tolerance", "T"),
    Column("linear_cka", "CKA", better="higher"),
    Column("relational_gap", "relational gap", better="lower"),
    Column("points", "points", "count"),
)
VISIBLE = "visible points"


def row(
    name: str,
    miou: float,
    role: Role = "baseline",
    subset: str = "",
    ious: Sequence[float] = (),
    points: Sequence[int] = (900, 90, 10),
) -> Row:
    """A row of a segmentation, with these IoUs of the classes."""
    ious = ious or (miou,) * len(CLASSES)
    classes = {
        name: {"iou": iou, "accuracy": iou, "points": count, "predicted": count}
        for name, iou, count in zip(CLASSES, ious, points, strict=True)
    }
    metrics = {
        "miou": miou,
        "miou_all": miou / 2,
        "accuracy": min(1.0, miou + 0.2),
        "mean_accuracy": None,
        "points": sum(points),
        "min_points": 100,
    }
    return Row(name, role, metrics, subset, classes)


def zero_shot(student: float, visible: float, teacher: float = 0.8) -> Result:
    """A result of the protocol zero-shot."""
    seen = row("student", visible, "student", VISIBLE)
    seen.metrics["share_of_teacher"] = visible / teacher
    rows = [
        row("student", student, "student", "", (student, student / 2, 0.0)),
        row("random network", 0.03),
        row("majority class", 0.07, ious=(0.2, 0, 0)),
        row("teacher", teacher, "teacher", VISIBLE),
        seen,
        row("random network", 0.03, subset=VISIBLE),
        row("majority class", 0.08, subset=VISIBLE, ious=(0.24, 0, 0)),
    ]
    text = {"prompts": {name: [name] for name in CLASSES}, "templates": ["{}"], "ensemble": "mean"}
    return _result("zero-shot", rows, (*SEGMENTATION, SHARE), text)


def linear_probe(student: float, baselines: bool = True) -> Result:
    """A result of the protocol linear-probe."""
    rows = [row("student", student, "student"), row("student, decoder", student + 0.01, "student")]
    if baselines:
        rows += [row("random network", 0.2), row("raw features", 0.25), row("local geometry", 0.4)]
    return _result("linear-probe", [*rows, row("majority class", 0.07, ious=(0.2, 0, 0))], SEGMENTATION)


def structure(uniformity: float, tolerance: float) -> Result:
    """A result of the protocol structure; the teacher has U = 2 and T = 0.6."""
    student = {
        "uniformity": uniformity,
        "uniformity_gap": abs(uniformity - 2.0),
        "tolerance": tolerance,
        "linear_cka": 0.7,
        "relational_gap": 0.2 + abs(uniformity - 2.0) / 10,
        "points": 1000,
    }
    rows = [
        Row("teacher", "teacher", {"uniformity": 2.0, "tolerance": 0.6, "points": 1000}),
        Row("student", "student", student),
        Row("random network", "baseline", {**student, "uniformity": 1.0, "relational_gap": 0.6}),
    ]
    return Result("structure", STRUCTURE, rows, "relational_gap", task="segmentation")


def retrieval(loss: float, rank: float) -> Result:
    """A result of the protocol retrieval, which runs on no task and has no classes; its deciding column is a loss."""
    columns = (Column("loss", "loss", better="lower"), Column("rank", "median rank"), Column("other", "other"))
    rows = [
        Row("student", "student", {"loss": loss, "rank": rank}),
        Row("training mean", "baseline", {"loss": 0.00295, "rank": 1200.5}),
    ]
    return Result("retrieval", columns, rows, "loss")


def _result(
    protocol: str, rows: list[Row], columns: tuple[Column, ...], settings: dict[str, Any] | None = None
) -> Result:
    return Result(protocol, columns, rows, "miou", settings or {}, {}, "segmentation", OF_CLASSES)


def write_result(run: Run, result: Result, **measured_on: Any) -> Path:
    """Keep a result as `pointlift.evaluate` does, with ``measured_on`` beside the usual split, options and seed."""
    data = {"data set": "semantickitti", "scans": 5, "split": "val"}
    used = {"pretrained": data | {"scans": 28}, "labelled": data | {"scans": 28}, "test": data}
    result.settings = {"seed": 0, "occlusion": 0.05, "min_depth": 1.0, "data": used, **result.settings}
    result.words = {"test data": data, "seed": 0, "occlusion": 0.05}
    usual = {"split": "val", "label_data": {}, "test_data": {}, "options": {"occlusion": 0.05}, "evaluation_seed": 0}
    result.run = {"recipe": run.recipe.name, "seed": run.recipe.seed, **usual, **measured_on}
    path = run.folder / "evaluation" / f"{result_name(result.protocol, result.task, result.run)}.json"
    path.write_text(json.dumps(result.to_dict()))
    return path


def write_run(
    folder: Path,
    results: Sequence[Result] = (),
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
    run = Run(folder)
    for result in results:
        write_result(run, result)
    return run


def three_losses(folder: Path) -> list[Run]:
    """Two losses with three seeds each, one with one seed, and a control."""
    runs = []
    for loss, mious in (
        ("relational", (0.60, 0.62, 0.67)),
        ("contrastive", (0.50, 0.51, 0.52)),
        ("similarity", (0.58,)),
    ):
        for seed, miou in enumerate(mious):
            results = [
                zero_shot(miou, miou + 0.04),
                linear_probe(miou + 0.1, baselines=loss == "relational"),
                structure(1.5 + miou, 0.7 - 0.1 * seed),
            ]
            run = write_run(folder / f"{loss}{seed}", results, f"semantickitti-small-{loss}", {"seed": seed})
            runs.append(run)
    control = {"method.shuffle_pairs": True}
    runs.append(write_run(folder / "control", [zero_shot(0.05, 0.06)], overrides=control))
    return runs
