"""Results of a protocol as rows of text, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SEGMENTATION = {"mIoU": "miou", "mIoU, all classes": "miou_all", "accuracy": "accuracy", "points": "points"}
STRUCTURE = {
    "U": "uniformity",
    "|ΔU|": "uniformity_gap",
    "T": "tolerance",
    "|ΔT|": "tolerance_gap",
    "modality gap": "modality_gap",
    "paired gap": "paired_gap",
    "CKA": "linear_cka",
    "relational gap": "relational_gap",
}
"""Headings of the structure measures, and their keys in a result."""
_PERCENT = frozenset({"miou", "miou_all", "accuracy", "mean_accuracy"})
ABSENT = "–"


def columns(result: Mapping[str, Any]) -> list[str]:
    """Headings of the table of ``result``; the first names the row."""
    return ["", *_columns(result)]


def rows(result: Mapping[str, Any]) -> list[list[str]]:
    """One row of text for each entry of ``result["results"]``: its name, then percentages, measures and counts."""
    keys = _columns(result).values()
    return [[name, *(_text(key, metrics.get(key)) for key in keys)] for name, metrics in result["results"].items()]


def class_rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the IoU per class in percent: classes downwards, the entries of the result across.

    Classes that no test point has are left out. Empty for results without classes.
    """
    entries = {name: metrics["classes"] for name, metrics in result["results"].items() if "classes" in metrics}
    if not entries:
        return [], []
    first = next(iter(entries.values()))
    body = []
    for class_name in first:
        counted = [classes[class_name] for classes in entries.values()]
        if any(one["points"] for one in counted):
            values = [_text("miou", one["iou"] if one["points"] else None) for one in counted]
            body.append([class_name, f"{counted[0]['points']:,}", *values])
    return ["class", "points", *entries], body


def markdown(result: Mapping[str, Any]) -> str:
    """The summary, the IoU per class and the protocol of ``result`` as Markdown."""
    parts = [_markdown_table(columns(result), rows(result))]
    heading, body = class_rows(result)
    if body:
        parts.append("IoU per class, %\n\n" + _markdown_table(heading, body))
    if "protocol" in result:
        parts.append("Protocol\n\n" + "\n".join(_listed(result["protocol"])))
    return "\n\n".join(parts) + "\n"


def _columns(result: Mapping[str, Any]) -> dict[str, str]:
    if "columns" in result:  # a protocol that names its own
        return dict(result["columns"])
    segmentation = any("miou" in metrics for metrics in result["results"].values())
    if not segmentation:
        return STRUCTURE | {"points": "points"}
    found = {"mIoU (≥ 100 points)" if heading == "mIoU" else heading: key for heading, key in _SEGMENTATION.items()}
    if any("plateaued" in metrics for metrics in result["results"].values()):
        found |= {"best step": "best_step", "plateaued": "plateaued"}
    return found


def _text(key: str, value: Any) -> str:
    if value is None or value != value:
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key in _PERCENT:
        return f"{100 * value:.1f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _markdown_table(heading: list[str], body: list[list[str]]) -> str:
    rule = ["---"] + ["---:"] * (len(heading) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in (heading, rule, *body))


def _listed(values: Mapping[str, Any], indent: str = "") -> list[str]:
    lines = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}- {key}:", *_listed(value, indent + "  ")]
        else:
            shown = ", ".join(map(str, value)) or "none" if isinstance(value, (list, tuple)) else value
            lines.append(f"{indent}- {key}: {shown}")
    return lines
