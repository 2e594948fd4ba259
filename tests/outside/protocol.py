"""A protocol of somebody's own: how far apart the features of neighbouring points lie."""

from __future__ import annotations

import torch
from pydantic import PositiveInt

from pointlift.evaluation.base import Trial, each, require
from pointlift.evaluation.features import student_output
from pointlift.evaluation.protocol import settings_of
from pointlift.evaluation.result import Result, Role, Row
from pointlift.registry import PROTOCOLS
from pointlift.tasks.metric import Column

COLUMNS = (Column("distance", "distance of neighbours", better="lower"),)


@PROTOCOLS.register("smoothness", needs=("point features",))
def smoothness(trial: Trial, *, neighbours: PositiveInt = 1) -> Result:
    """Mean cosine distance of each point's feature to those of its nearest points.

    Args:
        trial: student and test data.
        neighbours: how many nearest points.
    """
    require(trial, "smoothness")
    rows = []
    for name, network in {"student": trial.student, "random network": trial.fresh_student(trial.seed)}.items():
        found = []
        for scene in each(trial, trial.test, name):
            unit = torch.nn.functional.normalize(student_output(network, scene, trial.device), dim=1)
            points = torch.from_numpy(scene.points)
            nearest = torch.cdist(points, points).topk(neighbours + 1, largest=False).indices[:, 1:]
            found.append(1 - (unit[:, None] * unit[nearest]).sum(2).mean())
        role: Role = "student" if name == "student" else "baseline"
        rows.append(Row(name, role, {"distance": float(torch.stack(found).mean())}))
    return Result("smoothness", COLUMNS, rows, "distance", settings_of(trial, neighbours=neighbours))
