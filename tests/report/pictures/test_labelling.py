from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from pointlift.evaluation.protocols.exemplar import exemplar
from pointlift.evaluation.protocols.zero_shot import zero_shot
from pointlift.evaluation.visibility import Visibility
from pointlift.report.pictures.labelling import classifier, labelling_task, visibility_of
from tests.evaluation.world import CLASSES, COLORS, Oracle, trial, true_class


def embed_text(prompts: Sequence[str]) -> Tensor:
    known = {**dict(zip(CLASSES, COLORS, strict=False)), "rare": -COLORS.sum(axis=0)}
    return torch.tensor([known[prompt].tolist() for prompt in prompts]).float()


def test_prompts_are_preferred_to_exemplars() -> None:
    assert labelling_task({"linear-probe": {}, "exemplar": {}, "zero-shot": {}}) == "zero-shot"
    assert labelling_task({"exemplar": {}, "structure": {}}) == "exemplar"
    assert labelling_task({"linear-probe": {}}) is None


def test_classes_are_those_of_the_evaluation(tmp_path: Path) -> None:
    given = trial(tmp_path, student=Oracle(), embed_text=embed_text)
    scene = given.test[0]
    features = torch.from_numpy(COLORS[true_class(scene.points)]).float()
    for name, protocol in (("zero-shot", zero_shot(given)["protocol"]), ("exemplar", exemplar(given)["protocol"])):
        predicted = classifier(name, protocol, given)(features)
        assert (predicted.numpy() == true_class(scene.points)).mean() > 0.95


def test_the_protocols_own_rule_of_visibility_is_kept() -> None:
    assert visibility_of({"min_depth": 2.0, "occlusion": None}, Visibility(1.0, 0.1)) == Visibility(2.0, None)
    assert visibility_of({}, Visibility(1.0, 0.1)) == Visibility(1.0, 0.1)
