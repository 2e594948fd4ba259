"""Results that were written before rows had roles (format 1), read as a `Result`.

What is written here is frozen: it says what rows and columns of then were, whatever protocols give now.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pointlift.errors import DataError
from pointlift.evaluation.result import Column, Result, Role, Row

_VISIBLE = ", visible points"
_ROLES: dict[str, Role] = {
    "student": "student",
    "student, decoder": "student",
    "pretrained": "student",
    "teacher": "teacher",
    "random network": "baseline",
    "random network, decoder": "baseline",
    "raw features": "baseline",
    "raw features, MLP": "baseline",
    "local geometry": "baseline",
    "local geometry, MLP": "baseline",
    "from scratch": "baseline",
    "majority class": "baseline",
    "training mean": "baseline",
    "patch centres": "baseline",
}
_SEGMENTATION = (
    Column("miou", "mIoU", "share", "higher", note="≥ 100 points"),
    Column("miou_all", "mIoU, all classes", "share", "higher"),
    Column("accuracy", "accuracy", "share", "higher"),
    Column("points", "points", "count"),
)
_CLASSES = (Column("points", "points", "count"), Column("iou", "IoU", "share", "higher"))
_SHARE = Column("share_of_teacher", "of the teacher's", "share", "higher")
_TUNED = (Column("best_step", "best step", "steps"), Column("plateaued", "plateaued", "yes/no"))
_STRUCTURE = (
    Column("uniformity", "U", note="uniformity"),
    Column("uniformity_gap", "|ΔU|", better="lower"),
    Column("tolerance", "T", note="tolerance"),
    Column("tolerance_gap", "|ΔT|", better="lower"),
    Column("modality_gap", "modality gap", better="lower"),
    Column("paired_gap", "paired gap", better="lower"),
    Column("linear_cka", "CKA", better="higher"),
    Column("relational_gap", "relational gap", better="lower"),
    Column("points", "points", "count"),
)
_RETRIEVAL = (
    Column("loss", "loss", better="lower"),
    Column("loss_standardised", "loss, standardised", better="lower"),
    Column("share_of_mean", "of the mean's", better="lower"),
    Column("r2", "R²", better="higher"),
    Column("recall_1", "recall@1", "share", "higher"),
    Column("recall_5", "recall@5", "share", "higher"),
    Column("median_rank", "median rank", better="lower"),
)
_RECONSTRUCTION = (
    Column("untrained", "Chamfer, random decoder", better="lower"),
    Column("trained", "trained decoder", better="lower"),
    Column("own", "the run's decoder", better="lower"),
)
_COLUMNS = {
    "zero-shot": (*_SEGMENTATION, _SHARE),
    "exemplar": (*_SEGMENTATION, _SHARE),
    "linear-probe": _SEGMENTATION,
    "finetune": (*_SEGMENTATION, *_TUNED),
    "structure": _STRUCTURE,
    "retrieval": _RETRIEVAL,
    "reconstruction": _RECONSTRUCTION,
}
_DECIDES = {"structure": ("relational_gap",), "retrieval": ("recall_1",), "reconstruction": ("trained", "untrained")}
_DETAILS = ("curve", "recall")
"""What metrics of then held beside single values."""
_RUN = ("recipe", "seed", "checkpoint", "split", "test_data", "options", "evaluation_seed")
_SETTINGS = ("prompts", "templates", "ensemble", "min_depth", "occlusion", "samples_per_class", "classes", "seed")
"""Keys of the protocol block of then that were meant for machines too."""


def read(values: Any, where: str = "this") -> Result:
    """The result in a JSON of this or of the former format.

    Raises:
        DataError: it is none, or one whose protocol or rows are not known any more; it begins with ``where``.
    """
    if not isinstance(values, Mapping) or "format" in values:
        return Result.from_dict(values, where)
    protocol, found = values.get("task"), values.get("results")
    if protocol not in _COLUMNS or not isinstance(found, Mapping):
        raise DataError(f"{where} is not a result that this version of pointlift reads; measure again")
    if not all(isinstance(values.get(key, {}), Mapping) for key in ("protocol", "options")):
        raise DataError(f"{where} is a damaged result; measure again")
    rows = [_row(name, metrics, where) for name, metrics in found.items()]
    for row in rows:
        if row.role == "student" and row.subset and "share_of_teacher" in values:
            row.metrics["share_of_teacher"] = values["share_of_teacher"]
    known = {key for row in rows for key in row.metrics}
    decides = next((key for key in _DECIDES.get(protocol, ("miou",)) if key in known), None)
    if decides is None:
        raise DataError(f"{where} has no value that decides; measure again")
    of_classes = any(row.classes for row in rows)
    result = Result(
        protocol,
        tuple(column for column in _COLUMNS[protocol] if column.key in known),
        rows,
        decides,
        _settings(values),
        dict(values.get("protocol", {})),
        "segmentation" if protocol not in ("retrieval", "reconstruction") else None,
        _CLASSES if of_classes else (),
        {**{key: values[key] for key in _RUN if key in values}, "label_data": {}},
    )
    try:
        return result.checked()
    except DataError as error:
        raise DataError(f"{where} is a damaged result ({error}); measure again") from error


def _row(name: str, metrics: Any, where: str) -> Row:
    of, subset = (name.removesuffix(_VISIBLE), "visible points") if name.endswith(_VISIBLE) else (name, "")
    if of not in _ROLES or not isinstance(metrics, Mapping) or not isinstance(metrics.get("classes", {}), Mapping):
        raise DataError(f"{where} has a row '{name}' that this version of pointlift does not know; measure again")
    values = {key: value for key, value in metrics.items() if key not in (*_DETAILS, "classes")}
    details = {key: metrics[key] for key in _DETAILS if key in metrics}
    return Row(of, _ROLES[of], values, subset, dict(metrics.get("classes", {})), details)


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the protocol block and the options say, as later results keep it."""
    block = values.get("protocol", {})
    found = {**values.get("options", {}), **{key: block[key] for key in _SETTINGS if key in block}}
    data = {which: block[key] for which, key in (("labelled", "training data"), ("test", "test data")) if key in block}
    if "labelled" in data:
        data["pretrained"] = data["labelled"]  # they were the same
    return {**found, "data": data} if data else found
