from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pointlift.errors import DataError, RecipeError
from pointlift.evaluation.base import Trial
from pointlift.evaluation.protocol import described
from pointlift.evaluation.protocols.retrieval import compared, ranked, similarities
from pointlift.registry import PROTOCOLS, TASKS
from tests.evaluation.world import fresh_student
from tests.methods.frames import Frames, concept


def trial(folder: Path, test: Frames, **changes: Any) -> Trial:
    def method(seed: int | None) -> Any:
        made = concept()
        if seed is None:
            made.prepare(Frames())
        return made

    frames = Frames()
    values: dict[str, Any] = {"pretrained": lambda: frames, "pretrained_on": described(frames), "labelled": frames}
    values |= {"task": TASKS.build("segmentation", frames), "trains": "tokens"}
    values |= {"test": test, "folder": folder, "method": method, **changes}
    return Trial(student=fresh_student(0), fresh_student=None, pixel_features=None, **values)  # type: ignore[arg-type]


def test_recall_and_rank_by_hand() -> None:
    scores = torch.tensor([[3.0, 1, 2], [5, 4, 6], [1, 2, 3]])  # ranks of the diagonal: 1, 3, 1
    found = ranked(scores)
    assert found == {"recall_1": pytest.approx(2 / 3), "recall_5": 1.0, "median_rank": 1.0}
    assert (
        ranked(scores.T)["median_rank"] == 2.0
    )  # columns: 3 of (3, 5, 1) is 2nd, 4 of (1, 4, 2) 1st, 3 of (2, 6, 3) 2nd


def test_equal_scores_share_their_places() -> None:
    found = ranked(torch.zeros(10, 10))
    assert found == {"recall_1": pytest.approx(0.1), "recall_5": pytest.approx(0.5), "median_rank": 5.5}
    half = torch.tensor([[1.0, 1, 0], [0, 1, 0], [0, 0, 1]])
    assert ranked(half)["recall_1"] == pytest.approx((0.5 + 1 + 1) / 3)


def test_similarities_by_hand() -> None:
    a, b = torch.randn(3, 4, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    found = similarities(a, b)
    for i in range(3):
        for j in range(3):
            assert float(found["L2"][i, j]) == pytest.approx(-math.dist(a[i], b[j]))
            cosine = float(a[i] @ b[j]) / math.hypot(*a[i]) / math.hypot(*b[j])
            assert float(found["cosine"][i, j]) == pytest.approx(cosine)


def test_the_training_mean_is_at_chance_and_the_truth_is_perfect() -> None:
    rng = torch.Generator().manual_seed(0)
    targets = torch.randn(20, 2, 3, generator=rng)
    mean, deviation = targets.mean(0), targets.std(0, correction=0)
    chance = compared(mean.expand_as(targets), targets, mean, deviation)
    assert chance["loss"] == pytest.approx(float((targets - mean).square().mean()))
    assert chance["loss_standardised"] == pytest.approx(1)
    assert chance["r2"] == pytest.approx(0, abs=1e-6)
    assert (chance["recall_1"], chance["recall_5"]) == (pytest.approx(0.05), pytest.approx(0.25))
    assert chance["recall"]["L2, raw"]["points to image"]["recall_1"] == pytest.approx(0.05)
    assert chance["recall"]["L2, raw"]["image to points"]["recall_5"] == pytest.approx(0.25)
    perfect = compared(targets, targets, mean, deviation)
    assert (perfect["loss"], perfect["r2"], perfect["recall_1"], perfect["median_rank"]) == (0, 1, 1, 1)
    assert all(way["recall_1"] == 1 for of in perfect["recall"].values() for way in of.values())


def test_losses_by_hand() -> None:
    p, t, mean, deviation = (np.random.default_rng(i).normal(size=(4, 2, 3)) for i in range(4))
    mean, deviation = mean[0], np.abs(deviation[0]) + 0.5
    found = compared(*(torch.from_numpy(x) for x in (p, t, mean, deviation)))
    assert found["loss"] == pytest.approx(((p - t) ** 2).sum() / 24)
    z = (t - mean) / deviation
    squares = (((p - t) / deviation) ** 2).sum()
    assert found["loss_standardised"] == pytest.approx(squares / 24)
    assert found["r2"] == pytest.approx(1 - squares / ((z - z.mean(0)) ** 2).sum())


def test_the_protocol_on_frames(tmp_path: Path) -> None:
    steps: dict[str, int] = {}
    asked = trial(tmp_path, Frames(6, seed=1), progress=lambda what, done, total: steps.update({what: total - done}))
    result = PROTOCOLS.build("retrieval", asked, batch_size=4)
    assert steps == {"student": 0, "random network": 0}
    assert result.words["test data"]["scans"] == 6
    assert result.words["chance"] == {"recall@1": 0.1667, "recall@5": 0.8333, "median rank": 3.5}
    assert {column.key for column in result.columns} <= set(result["student"])
    assert [row.role for row in result] == ["student", "baseline", "baseline"]
    assert {"cosine, standardised", "L2, raw"} <= set(result.student.details["recall"])


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least two frames, each with an image; 'frames' has 1"):
        PROTOCOLS.build("retrieval", trial(tmp_path, Frames(1)))
    with pytest.raises(DataError, match="has 4, 4 of them without"):
        PROTOCOLS.build("retrieval", trial(tmp_path, Frames(4, views=0)))
    with pytest.raises(RecipeError, match="which only a method that trained token sets has"):
        PROTOCOLS.build("retrieval", trial(tmp_path, Frames(4), method=None, trains=None))
    patches = trial(tmp_path, Frames(4), method=lambda seed: concept(target="patches"), trains="points")
    with pytest.raises(RecipeError, match="which only a method that trained token sets has"):
        PROTOCOLS.build("retrieval", patches)
