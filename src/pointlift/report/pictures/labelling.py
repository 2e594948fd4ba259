"""How features become classes without any training on labels of points: as the run's own evaluation did it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pointlift.errors import DataError
from pointlift.evaluation.base import Trial
from pointlift.evaluation.prototypes import Classify
from pointlift.evaluation.visibility import Visibility
from pointlift.registry import PROTOCOLS
from pointlift.report.summary import Measured


def own_results(results: Iterable[Measured]) -> list[Measured]:
    """The results on the recipe's own kind of data; of a mixture, a result on one of its parts is one."""

    def is_own(run: Mapping[str, Any]) -> bool:
        return not run.get("label_data") and set(run.get("test_data") or {}) <= {"part"}

    return [measured for measured in results if is_own(measured.run)]


def labelling_result(results: Mapping[str, Measured]) -> Measured | None:
    """The result by which pictures of a group are labelled: of a protocol that can be applied to pictures.

    Prompts are preferred to examples; None if there is no such result on the recipe's own kind of data.
    """
    able = [measured for measured in own_results(results.values()) if _classifier_of(measured.protocol)]
    return min(
        able, key=lambda measured: "text" not in PROTOCOLS.get(measured.protocol).declared["needs"], default=None
    )


def classifier(measured: Measured, trial: Trial) -> Classify:
    """What gave a class to features in a result, with the settings that it was measured with.

    Raises:
        DataError: the result is an older one that does not say all of them.
    """
    make = _classifier_of(measured.protocol)
    assert make is not None
    wanted = [key for key, one in inspect.signature(make).parameters.items() if one.kind is one.KEYWORD_ONLY]
    missing = [key for key in wanted if key not in measured.settings]
    if missing:
        raise DataError(
            f"the result {measured.title} is from an older version and does not say its {' and '.join(missing)}; "
            "evaluate the run again"
        )
    classify: Classify = make(trial, **{key: measured.settings[key] for key in wanted})
    return classify


def visibility_of(settings: Mapping[str, Any], otherwise: Visibility) -> Visibility:
    """The rule by which a result took points for seen."""
    return Visibility(settings.get("min_depth", otherwise.min_depth), settings.get("occlusion", otherwise.occlusion))


def _classifier_of(protocol: str) -> Callable[..., Classify] | None:
    """What a protocol declares as its classifier: it makes, of a trial and settings, classes of features."""
    return PROTOCOLS.get(protocol).declared.get("classifier") if protocol in PROTOCOLS.names() else None
