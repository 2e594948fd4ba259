"""Evaluation: one module per protocol, each stating in words everything its numbers depend on."""

from pointlift.evaluate import exemplar, finetune, linear_probe, structure
from pointlift.evaluate.base import Trial
from pointlift.evaluate.metrics import Confusion
from pointlift.evaluate.table import class_rows, columns, markdown, rows

__all__ = [
    "Confusion",
    "Trial",
    "class_rows",
    "columns",
    "exemplar",
    "finetune",
    "linear_probe",
    "markdown",
    "rows",
    "structure",
]
