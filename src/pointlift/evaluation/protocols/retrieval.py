"""Retrieval: whether the token set that a network predicts from points is that of the right image, among all."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from pydantic import PositiveInt
from torch import Tensor
from torch.nn import functional as F

from pointlift.data.dataset import Dataset
from pointlift.errors import DataError, RecipeError
from pointlift.evaluation.base import Trial, each, require
from pointlift.evaluation.protocol import described, settings_of
from pointlift.evaluation.result import Column, Result, Role, Row
from pointlift.methods.tokens import TokenMethod
from pointlift.registry import PROTOCOLS

COLUMNS = (
    Column("loss", "loss", better="lower"),
    Column("loss_standardised", "loss, standardised", better="lower"),
    Column("share_of_mean", "of the mean's", better="lower"),
    Column("r2", "R²", better="higher"),
    Column("recall_1", "recall@1", "share", "higher"),
    Column("recall_5", "recall@5", "share", "higher"),
    Column("median_rank", "median rank", better="lower"),
)
"""Recall and rank are those of cosine, from points to image."""
CUTS = (1, 5)


@PROTOCOLS.register("retrieval", needs=("tokens", "teacher"))
def retrieval(trial: Trial, *, batch_size: PositiveInt = 8) -> Result:
    """Predicted token sets of held-out frames against the teacher's: loss beside the mean's, recall of the right image.

    Args:
        trial: data, seed, and the trained method, which must predict token sets (``concept``).
        batch_size: frames that the network sees together.

    Returns:
        Rows of the student, a random network and the training mean, each with ``loss`` (mean squared error of an
        element in the teacher's units) and ``loss_standardised``, ``share_of_mean`` (the latter over that of the
        training mean), ``r2``, ``recall_1``, ``recall_5``, ``median_rank``, and in the details under ``recall`` the
        same for other measures and from images to points.

    Raises:
        RecipeError: the run's method predicts no token sets.
        DataError: there are fewer than two frames with an image.
    """
    require(trial, "retrieval")
    method, fresh = _token_method(trial, None), _token_method(trial, trial.seed)
    scenes = _with_image(trial.test)
    mean, deviation = method.token_statistics
    targets = torch.stack([method.token_sets(scenes[index].views[0]) for index in range(len(scenes))])
    fresh.take_statistics(mean, deviation)
    predictions = {
        "student": predicted(trial, method, scenes, batch_size, "student"),
        "random network": predicted(trial, fresh, scenes, batch_size, "random network"),
        "training mean": mean.expand_as(targets),
    }
    found = {name: compared(tokens, targets, mean, deviation) for name, tokens in predictions.items()}
    rows = []
    for name, values in found.items():
        recall = values.pop("recall")
        values["share_of_mean"] = values["loss_standardised"] / found["training mean"]["loss_standardised"]
        role: Role = "student" if name == "student" else "baseline"
        rows.append(Row(name, role, values, details={"recall": recall}))
    settings = settings_of(trial, batch_size=batch_size)
    return Result("retrieval", COLUMNS, rows, "recall_1", settings, _in_words(trial, targets))


def predicted(trial: Trial, method: TokenMethod, scenes: Dataset, batch_size: int, what: str) -> Tensor:
    """Predicted token sets (N, T, D) of all scenes."""
    found, waiting = [], []
    for scene in each(trial, scenes, what):
        waiting.append(scene)
        if len(waiting) == batch_size:
            found.append(method.predict(waiting))
            waiting = []
    return torch.cat(found + ([method.predict(waiting)] if waiting else []))


def compared(predictions: Tensor, targets: Tensor, mean: Tensor, deviation: Tensor) -> dict[str, Any]:
    """Losses and retrieval of N predicted token sets (N, T, D), given mean and deviation (T, D) of training."""
    units = {
        "standardised": ((predictions - mean) / deviation, (targets - mean) / deviation),
        "raw": (predictions, targets),
    }
    recall = {}
    for unit, (points, images) in units.items():
        for measure, scores in similarities(points.flatten(1).double(), images.flatten(1).double()).items():
            recall[f"{measure}, {unit}"] = {"points to image": ranked(scores), "image to points": ranked(scores.T)}
    standardised = (units["standardised"][0] - units["standardised"][1]).double().square()
    spread = (units["standardised"][1] - units["standardised"][1].mean(0)).double().square()
    return {
        "loss": float((predictions - targets).double().square().mean()),
        "loss_standardised": float(standardised.mean()),
        "r2": float(1 - standardised.sum() / spread.sum()),
        **recall["cosine, standardised"]["points to image"],
        "recall": recall,
    }


def similarities(points: Tensor, images: Tensor) -> dict[str, Tensor]:
    """Scores (N, N) of N predictions (N, E) with N targets (N, E), higher is nearer: cosine, and minus the distance."""
    return {
        "cosine": F.normalize(points, dim=1) @ F.normalize(images, dim=1).T,
        "L2": -torch.cdist(points, images, compute_mode="donot_use_mm_for_euclid_dist"),
    }


def ranked(scores: Tensor) -> dict[str, float]:
    """Recall at 1 and 5 and the median rank of the right column of each row of scores (N, N), the diagonal.

    Equal scores share their places: of t that tie for the last of k places, the right one has its expected share.
    """
    right = scores.diagonal()[:, None]
    before = (scores > right).sum(1).double()
    equal = (scores == right).sum(1).double()  # the right one included
    found = {f"recall_{cut}": float(((cut - before) / equal).clamp(0, 1).mean()) for cut in CUTS}
    return {**found, "median_rank": float((before + (equal + 1) / 2).quantile(0.5))}


def _token_method(trial: Trial, seed: int | None) -> TokenMethod:
    method = None if trial.method is None else trial.method(seed)
    if not isinstance(method, TokenMethod):
        raise RecipeError("retrieval asks for predicted token sets, which only a TokenMethod (methods/tokens.py) gives")
    return method


def _with_image(scenes: Dataset) -> Dataset:
    blind = [index for index in range(len(scenes)) if not scenes.views(index)]
    if blind or len(scenes) < 2:
        raise DataError(
            f"retrieval needs at least two frames, each with an image; '{scenes.name}' has {len(scenes)}, "
            f"{len(blind)} of them without"
        )
    return scenes


def _in_words(trial: Trial, targets: Tensor) -> dict[str, Any]:
    count = len(targets)
    chance = {f"recall@{cut}": round(min(1.0, cut / count), 4) for cut in CUTS}
    return {
        "pretraining data": dict(trial.pretrained_on),
        "test data": described(trial.test),
        "seed": trial.seed,
        "frames": count,
        "token sets": f"{targets.shape[1]} x {targets.shape[2]} of the teacher, of each frame's first image; in its "
        f"own units their mean is {float(targets.mean()):.4g} and their deviation {float(targets.std()):.4g}",
        "points": "of the frame alone, drawn by its id and moved into the unit sphere, without augmentation",
        "loss": "squared error of an element, mean over elements and frames, in the teacher's units; standardised: "
        "after subtracting mean and dividing by deviation of each element over the training images",
        "share_of_mean": "standardised loss / standardised loss of the training mean",
        "r2": "1 - standardised squared error / standardised squared error of the mean of the test targets",
        "recall": "share of frames whose own image is among the k nearest of all test images by cosine between whole "
        "token sets, standardised; equal scores share their places; under 'recall' also L2, raw units, and the points "
        "of an image among all",
        "chance": chance | {"median rank": float(np.median(np.arange(1, count + 1)))},
        "random network": "the same network and head with random weights; nothing is trained",
        "training mean": "the mean token set of the training images for every frame",
        "test frames": "nothing is trained, selected, stopped or tuned on them; neighbouring frames of a video look "
        "alike, so recall depends on how they are spaced",
    }
