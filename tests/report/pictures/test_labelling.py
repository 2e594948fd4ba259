from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pointlift.errors import DataError
from pointlift.evaluation.protocols.exemplar import exemplar
from pointlift.evaluation.protocols.zero_shot import zero_shot
from pointlift.evaluation.result import Result
from pointlift.evaluation.visibility import Visibility
from pointlift.report import summarise
from pointlift.report.pictures.labelling import classifier, labelling_result, own_results, visibility_of
from pointlift.report.summary import Measured
from tests.evaluation.world import CLASSES, COLORS, Oracle, trial, true_class
from tests.report import fabricate
from tests.report.fabricate import write_run


def embed_text(prompts: Sequence[str]) -> Tensor:
    known = {**dict(zip(CLASSES, COLORS, strict=False)), "rare": -COLORS.sum(axis=0)}
    return torch.tensor([known[prompt].tolist() for prompt in prompts]).float()


def measured(folder: Path, *results: Result) -> dict[str, Measured]:
    return summarise([write_run(folder, results)]).groups[0].results


def examples() -> Result:
    result = fabricate.zero_shot(0.5, 0.5)
    result.protocol = "exemplar"
    return result


def test_prompts_are_preferred_to_exemplars(tmp_path: Path) -> None:
    both = measured(tmp_path / "a", fabricate.linear_probe(0.5), examples(), fabricate.zero_shot(0.5, 0.5))
    one = measured(tmp_path / "b", examples(), fabricate.structure(1.0, 0.5))
    none = measured(tmp_path / "c", fabricate.linear_probe(0.5))
    found = [labelling_result(results) for results in (both, one, none)]
    assert [result.protocol if result else None for result in found] == ["zero-shot", "exemplar", None]


def test_pictures_are_of_the_recipes_own_kind_of_data(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [examples()])
    fabricate.write_result(run, fabricate.zero_shot(0.5, 0.5), test_data={"town": "coast"})
    fabricate.write_result(run, fabricate.zero_shot(0.5, 0.5), label_data={"name": "rooms"})
    results = summarise([run]).groups[0].results
    assert [one.title for one in own_results(results.values())] == ["exemplar"]
    fabricate.write_result(run, fabricate.zero_shot(0.5, 0.5), test_data={"part": "a"})
    shown = labelling_result(summarise([run]).groups[0].results)
    assert shown is not None
    assert shown.title == "zero-shot (part=a)"


def test_classes_are_those_of_the_evaluation(tmp_path: Path) -> None:
    given = trial(tmp_path / "trial", student=Oracle(), embed_text=embed_text)
    scene = given.test[0]
    features = torch.from_numpy(COLORS[true_class(scene.points)]).float()
    for result in (zero_shot(given), exemplar(given)):
        (found,) = measured(tmp_path / result.protocol, result).values()
        predicted = classifier(found, given)(features)
        assert (predicted.numpy() == true_class(scene.points)).mean() > 0.95


def test_a_result_that_does_not_say_how_is_measured_again(tmp_path: Path) -> None:
    (found,) = measured(tmp_path / "run", fabricate.zero_shot(0.5, 0.5)).values()
    del found.settings["prompts"], found.settings["ensemble"]
    with pytest.raises(DataError, match="zero-shot is from an older version and does not say its prompts and ensemble"):
        classifier(found, trial(tmp_path))


def test_the_protocols_own_rule_of_visibility_is_kept() -> None:
    assert visibility_of({"min_depth": 2.0, "occlusion": None}, Visibility(1.0, 0.1)) == Visibility(2.0, None)
    assert visibility_of({}, Visibility(1.0, 0.1)) == Visibility(1.0, 0.1)
