"""How features become classes without any training on labels of points: as the run's own evaluation did it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pointlift.evaluation.base import Trial
from pointlift.evaluation.protocols.exemplar import class_prototypes
from pointlift.evaluation.protocols.zero_shot import best_class, class_embeddings
from pointlift.evaluation.prototypes import Classify, nearest
from pointlift.evaluation.visibility import Visibility

TASKS = ("zero-shot", "exemplar")
"""Protocols that need no training on points, in order of preference."""


def labelling_task(tasks: Mapping[str, Any]) -> str | None:
    """The key of the result by which pictures of a group are labelled, as `own_result` finds it."""
    return own_result(tasks, TASKS)


def own_result(tasks: Mapping[str, Any], protocols: Sequence[str]) -> str | None:
    """The key of the first result of these protocols on the recipe's own kind of data; None if there is none.

    Of a mixture, a result on one of its parts will do.
    """
    own = [key for key, found in tasks.items() if set(found.get("test_data") or {}) <= {"part"}]
    return next((key for name in protocols for key in own if (tasks[key].get("task") or key) == name), None)


def visibility_of(protocol: Mapping[str, Any], otherwise: Visibility) -> Visibility:
    """The rule by which a protocol took points for seen."""
    return Visibility(protocol.get("min_depth", otherwise.min_depth), protocol.get("occlusion", otherwise.occlusion))


def classifier(task: str, protocol: Mapping[str, Any], trial: Trial) -> Classify:
    """What gave a class to features in ``task``, with the options that its ``protocol`` block names."""
    if task == "zero-shot":
        embeddings, classes = class_embeddings(trial, protocol["prompts"], protocol["templates"], protocol["ensemble"])
        return partial(best_class, embeddings=embeddings, classes=classes)
    visibility = visibility_of(protocol, Visibility())
    prototypes, _ = class_prototypes(trial, trial.pixel_features(), protocol["samples_per_class"], visibility)
    return partial(nearest, prototypes=prototypes)
