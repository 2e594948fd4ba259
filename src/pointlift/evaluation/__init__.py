"""Evaluation: one module per protocol, each stating in words everything its numbers depend on."""

from pointlift.evaluation.base import Trial
from pointlift.evaluation.metrics import Confusion
from pointlift.evaluation.protocols import (
    exemplar,
    finetune,
    linear_probe,
    reconstruction,
    retrieval,
    structure,
    zero_shot,
)
from pointlift.evaluation.table import class_rows, columns, markdown, rows

__all__ = [
    "Confusion",
    "Trial",
    "class_rows",
    "columns",
    "exemplar",
    "finetune",
    "linear_probe",
    "markdown",
    "reconstruction",
    "retrieval",
    "rows",
    "structure",
    "zero_shot",
]
