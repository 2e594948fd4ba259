"""Protocols on synthetic SemanticKITTI with a real student of points."""

import json
from pathlib import Path

import pytest
import torch

from pointlift.data.opening import open_by_name
from pointlift.evaluation.base import Trial
from pointlift.evaluation.protocol import described
from pointlift.evaluation.table import columns, markdown, rows
from pointlift.registry import PROTOCOLS, STUDENTS, TASKS
from pointlift.tasks.base import DEFAULT
from tests.evaluation.world import pixel_colors

from ..fixtures_kitti import write_semantickitti

QUICK = {
    "linear-probe": {"minimum_steps": 20, "classifier_epochs": 1, "points_per_scene": 200},
    "exemplar": {"samples_per_class": 50},
    "structure": {"points_per_class": 30},
    "finetune": {"steps": 2, "evaluate_every": 1, "batch_size": 1, "warmup_steps": 0},
}


ELSEWHERE = {"tokens", "patches"}
"""Needs that this student does not meet."""
NAMES = [name for name in PROTOCOLS.names() if not ELSEWHERE & set(PROTOCOLS.get(name).declared["needs"])]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return write_semantickitti(tmp_path_factory.mktemp("kitti"), points=900)


def fresh_student(seed: int):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return STUDENTS.build("minkunet14", 1, 3, width=0.125, voxel_size=0.4, stem_kernel=3)


@pytest.mark.parametrize("name", NAMES)
def test_runs_and_reports(name: str, root: Path, tmp_path: Path) -> None:
    steps: dict[str, list[int]] = {}
    labelled = open_by_name("semantickitti", root=root, split="train", sector=(-60.0, 60.0))
    trial = Trial(
        student=fresh_student(1),
        pretrained=lambda: labelled,
        pretrained_on=described(labelled),
        labelled=labelled,
        task=TASKS.build(DEFAULT, labelled),
        test=open_by_name("semantickitti", root=root, split="val", sector=(-60.0, 60.0)),
        fresh_student=fresh_student,
        pixel_features=lambda: pixel_colors,
        embed_text=lambda prompts: torch.tensor([[1.0 + sum(map(ord, text)) % 7, len(text), 3.0] for text in prompts]),
        folder=tmp_path,
        progress=lambda what, done, total: steps.setdefault(what, []).append(total - done),
    )
    result = PROTOCOLS.build(name, trial, **QUICK.get(name, {}))
    assert result.words.get("task", "segmentation") == "segmentation"
    assert result.words["test data"]["sector"] == result.settings["data"]["test"]["sector"] == [-60.0, 60.0]
    assert str(root) not in json.dumps(result.to_dict(), allow_nan=False)
    assert PROTOCOLS.summary(name).endswith(".")
    assert all(len(row) == len(columns(result)) for row in rows(result))
    assert all(row.title in markdown(result) for row in result)
    assert steps
    assert all(left[-1] == 0 for what, left in steps.items() if not what.endswith("training"))


def test_every_protocol_has_quick_options() -> None:
    assert set(QUICK) <= set(PROTOCOLS.names())
