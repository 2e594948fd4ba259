"""Zero-shot: classes named by text prompts, found in the test scans with no label at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from pointlift.evaluation.base import Trial, require
from pointlift.evaluation.features import random_network
from pointlift.evaluation.labels import count_labels, majority_class
from pointlift.evaluation.prompts import checked_templates, class_prompts, embed_names, text_encoder
from pointlift.evaluation.protocol import describe_data, settings_with_labels
from pointlift.evaluation.prototypes import Classify, nearest, prototype_metrics, prototype_result, require_width
from pointlift.evaluation.result import Result
from pointlift.evaluation.sampling import spread
from pointlift.evaluation.visibility import Visibility
from pointlift.registry import PROTOCOLS

Ensemble = Literal["mean", "max"]


def classifier(
    trial: Trial, *, prompts: Mapping[str, Sequence[str]], templates: Sequence[str], ensemble: Ensemble
) -> Classify:
    """Features to classes as a result with these settings has them."""
    embeddings, classes = class_embeddings(trial, prompts, templates, ensemble)
    return partial(best_class, embeddings=embeddings, classes=classes)


@PROTOCOLS.register(
    "zero-shot",
    needs=("labels", "point classes", "point features", "teacher", "text"),
    reads="by text prompts alone",
    classifier=classifier,
)
def zero_shot(
    trial: Trial,
    *,
    prompts: dict[str, list[str]] | None = None,
    templates: str | tuple[str, ...] | None = None,
    ensemble: Ensemble = "mean",
    min_depth: NonNegativeFloat = 1.0,
    occlusion: PositiveFloat | None = None,
    normalization_scans: PositiveInt = 8,
) -> Result:
    """Nearest text embedding of each point, the embeddings being the teacher's for prompts that name the classes.

    Embedding of class c (``docs/methods.md``): ``e_c = normalise(mean_t normalise(text(t(c))))`` over the templates t.
    Prediction: ``argmax_c`` cosine with the student's feature, for every input point, seen by a camera or not. No
    label is used but for scoring and for the majority class; the teacher's own row is the ceiling. The prompt set is a
    confounder: use one for all that is compared.

    Args:
        trial: student, data, teacher with its text side, and seed.
        prompts: names of a class, in place of those in the data set's attribute ``prompts``; a class that has neither
            is called by its own name.
        templates: sentences in which ``{}`` is the name, or the name of a set of them: ``plain`` (``{}`` alone, which
            any text side understands), ``openscene`` ("a {} in a scene") or ``clip85`` (CLIP's 80 for ImageNet and 5
            "in the scene"). None: those of the teacher, ``clip85`` for a CLIP.
        ensemble: how several names of a class act together. ``mean``: as one embedding, the normalised mean over names
            and templates. ``max``: each has its own and the best wins for its class, as in OpenScene.
        min_depth: metres in front of the camera from which a point counts as seen.
        occlusion: tolerance of the occlusion test of `Scene.pairs`; None for no test.
        normalization_scans: training scans from which the random network takes its batch statistics.

    Returns:
        The task's metric of the student, a random network and the majority class at all points and, where a camera sees
        a labelled point, at visible points; there also of the teacher, and the student's share of what it reaches.

    Raises:
        DataError: labels are missing.
        RecipeError: prompts or templates are not valid, or the student's features are not as wide as the text's.
        PointliftError: the teacher has no text encoder.
    """
    require(trial, "zero-shot")
    names = class_prompts(trial, prompts)
    templates = checked_templates(trial.templates() if templates is None else templates)
    embeddings, classes = class_embeddings(trial, names, templates, ensemble)
    require_width(trial.student, embeddings.shape[1], "the teacher's text", "zero-shot")
    visibility = Visibility(min_depth, occlusion)
    majority = majority_class(count_labels(trial, range(len(trial.labelled))))
    network, network_in_words = random_network(trial, spread(range(len(trial.labelled)), normalization_scans))
    networks = {"student": trial.student, "random network": network}
    classify = partial(best_class, embeddings=embeddings, classes=classes)
    metrics = prototype_metrics(trial, networks, classify, majority, trial.pixel_features(), visibility)
    said = {name: list(of_class) for name, of_class in names.items()}
    text = {"prompts": said, "templates": list(templates), "ensemble": ensemble}
    settings = settings_with_labels(trial, **text, **visibility._asdict(), normalization_scans=normalization_scans)
    words = {
        **_text_in_words(trial, names, templates, ensemble),
        "visible points": visibility.in_words(),
        **visibility._asdict(),
        "random network": network_in_words,
        "majority class": f"{trial.class_names[majority]}, which has the most labelled training points",
    }
    return prototype_result(trial, "zero-shot", metrics, settings, words)


def class_embeddings(
    trial: Trial, names: Mapping[str, Sequence[str]], templates: Sequence[str], ensemble: Ensemble
) -> tuple[Tensor, Tensor]:
    """Unit embeddings (E, D) float32 of the prompts and the class (E,) of each; one for every class if ``mean``."""
    flat = [name for of_class in names.values() for name in of_class]
    classes = torch.tensor([label for label, of_class in enumerate(names.values()) for _ in of_class])
    means = embed_names(text_encoder(trial), flat, templates)
    if ensemble == "mean":
        sums = torch.zeros(len(names), means.shape[1], dtype=means.dtype).index_add_(0, classes, means)
        means = sums / torch.bincount(classes)[:, None]
        classes = torch.arange(len(names))
    return F.normalize(means, dim=1).float(), classes


def best_class(features: Tensor, embeddings: Tensor, classes: Tensor) -> Tensor:
    """Class (N,) of the embedding (E, D) with the highest cosine to each feature (N, D); ``classes`` (E,) has whose."""
    return classes[nearest(features, embeddings)]


def _text_in_words(
    trial: Trial, names: Mapping[str, Sequence[str]], templates: Sequence[str], ensemble: Ensemble
) -> dict[str, Any]:
    how = {
        "mean": "one embedding per class: L2-normalised mean, over its names and the templates, of the L2-normalised "
        "text embeddings",
        "max": "one embedding per name: L2-normalised mean, over the templates, of the L2-normalised text embeddings; "
        "the name with the highest cosine wins for its class",
    }
    return {
        **describe_data(trial),
        **trial.task.metric().words,
        "prompts": {class_name: list(of_class) for class_name, of_class in names.items()},
        "templates": list(templates),
        "ensemble": ensemble,
        "text embeddings": how[ensemble],
        "prediction": "the class whose embedding has the highest cosine to the point's feature, for every input point, "
        "seen by a camera or not; the student has seen no label, and none is used but for the majority class",
        "teacher": "the same rule on the teacher's own features of the pixels that a point falls on: the ceiling",
        "share_of_teacher": "mIoU of the student / mIoU of the teacher, both at visible points",
    }
