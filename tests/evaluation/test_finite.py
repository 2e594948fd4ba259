"""Features that are not finite are an error that names the scene, in every protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pointlift.errors import DataError
from pointlift.evaluation.probe import ProbeOptions, train_probe
from pointlift.evaluation.protocols.retrieval import compared, ranked
from pointlift.evaluation.prototypes import nearest
from pointlift.finite import require_finite
from pointlift.registry import PROTOCOLS
from tests.evaluation.test_contract import WORLDS, on_frames, words
from tests.evaluation.world import Oracle, World, pixel_colors, trial


class Breaking(Oracle):
    """Its features break in scan 00/000001 of the test data alone."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def decoder_features(self, batch: Any, rows: Any = None) -> torch.Tensor:
        features = super().decoder_features(batch, rows)
        first = World(2, seed=1)[1].points[0]
        if features.requires_grad or not bool((batch.points.cpu() == torch.from_numpy(first)).all(1).any()):
            return features
        return torch.full_like(features, self.value)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("protocol", ["zero-shot", "exemplar", "linear-probe", "finetune", "structure", "fidelity"])
def test_the_scene_in_which_a_student_breaks_is_named(protocol: str, value: float, tmp_path: Path) -> None:
    given = trial(tmp_path, student=Breaking(value), embed_text=words)
    options = {key: one for key, one in WORLDS[protocol][1].items() if key not in ("prompts", "templates", "ensemble")}
    with pytest.raises(DataError, match="of the scene '00/000001' are not finite"):
        PROTOCOLS.build(protocol, given, **options)


@pytest.mark.parametrize("protocol", ["zero-shot", "exemplar", "structure", "fidelity"])
def test_the_scene_in_which_a_teacher_breaks_is_named(protocol: str, tmp_path: Path) -> None:
    def broken(scene: Any, pairs: Any) -> torch.Tensor:
        features = pixel_colors(scene, pairs)
        return features * torch.nan if scene.id == "00/000001" else features

    given = trial(tmp_path, pixel_features=lambda: broken, embed_text=words)
    with pytest.raises(DataError, match="the teacher's features of the scene '00/000001' are not finite"):
        PROTOCOLS.build(protocol, given)


def test_broken_token_sets_are_no_perfect_retrieval(tmp_path: Path) -> None:
    given = on_frames(tmp_path)
    make = given.method
    assert make is not None

    def broken(seed: int | None) -> Any:
        method = make(seed)
        if seed is None:
            torch.nn.init.constant_(next(method.network.head.parameters()), torch.nan)
        return method

    given.method = broken
    with pytest.raises(DataError, match="the predicted tokens of the scene 'a/000' are not finite"):
        PROTOCOLS.build("retrieval", given)
    rows, one = torch.full((4, 2, 3), torch.nan), torch.ones(2, 3)
    with pytest.raises(DataError, match="not finite in 4 of 4 rows"):
        compared(rows, rows, one, one)
    with pytest.raises(DataError, match="scores are not finite"):
        ranked(torch.full((4, 4), torch.nan))


def test_no_class_is_given_to_what_is_not_finite() -> None:
    features = torch.eye(3)
    probe = train_probe(features, torch.arange(3), 3, ProbeOptions(epochs=1, minimum_steps=2))
    features[1, 0] = torch.nan
    for classify in (probe.predict, lambda rows: nearest(rows, torch.eye(3))):
        with pytest.raises(DataError, match="not finite in 1 of 3 rows"):
            classify(features)


def test_predicting_with_damaged_weights_is_refused() -> None:
    student = Oracle()
    student.head = torch.nn.Linear(11, 3)
    torch.nn.init.constant_(student.head.weight, torch.nan)
    with pytest.raises(
        DataError, match=r"the student's features of the scene '00/000000' are not finite in 240 of 240"
    ):
        student.features(World(1)[0])
    assert require_finite({"a": [torch.ones(2)], "b": 3}, "these")["b"] == 3
