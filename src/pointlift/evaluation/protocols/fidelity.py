"""Fidelity: how near the student came to its teacher on held-out scans, of which no label is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from pointlift import structure as measures
from pointlift.data.dataset import Dataset
from pointlift.errors import DataError
from pointlift.evaluation.base import Trial, each, require
from pointlift.evaluation.features import random_network, settle
from pointlift.evaluation.paired_points import sampled_features
from pointlift.evaluation.protocol import described, settings_of
from pointlift.evaluation.result import Column, Result, Row
from pointlift.evaluation.sampling import generator, spread
from pointlift.evaluation.visibility import Visibility, visible_features
from pointlift.finite import require_finite
from pointlift.methods.tokens import TokenMethod
from pointlift.registry import PROTOCOLS
from pointlift.students.base import evaluating
from pointlift.train.method import Method

COLUMNS = (
    Column("paired_gap", "paired gap", better="lower"),
    Column("linear_cka", "CKA", better="higher"),
    Column("loss", "loss of the pretraining", better="lower"),
    Column("points", "points", "count"),
)


@PROTOCOLS.register("fidelity", needs=("teacher",), uses=("point features",))
def fidelity(
    trial: Trial,
    *,
    points: Annotated[int, Field(ge=2)] = 20_000,
    batch_size: PositiveInt | None = None,
    min_depth: PositiveFloat | None = None,
    occlusion: PositiveFloat | None = None,
    normalization_scans: PositiveInt = 8,
) -> Result:
    """How near the student came to its teacher on held-out scans, without a label: gap, CKA, and the training loss.

    Args:
        trial: student, method, data, teacher and seed.
        points: visible test points drawn over all scans for gap and CKA.
        batch_size: scans in a batch of the loss; None: as many as in pretraining, since many losses depend on it.
        min_depth: metres in front of the camera from which a point counts as seen; None: the data set's own.
        occlusion: tolerance of the occlusion test of `Scene.pairs`; None for no test.
        normalization_scans: training scans from which the random network takes its batch statistics, and the constant
            its value.

    Returns:
        Rows of the student, a random network, and, where the student has features in the teacher's space, "training
        mean" (the mean of the teacher's unit features on training scans, at every point), with ``paired_gap``,
        ``linear_cka`` and ``points``; and ``loss`` where the method is there.

    Raises:
        DataError: there is no scan, no test point is visible, or something is not finite.
    """
    require(trial, "fidelity")
    visibility = Visibility(trial.test.min_depth if min_depth is None else min_depth, occlusion)
    size = batch_size or trial.batch_size
    scans = spread(range(len(trial.pretrained())), normalization_scans)
    rows = [Row("student", "student", {}), Row("random network", "baseline", {})]
    compares = trial.trains == "points"
    if compares:
        rows += [Row("training mean", "baseline", {})]
        _compare(trial, rows, points, visibility, scans)
    for row, loss in zip(rows, _losses(trial, size, scans), strict=False):
        row.metrics["loss"] = loss
    options = {"points": points, "batch_size": size, "normalization_scans": normalization_scans, **visibility._asdict()}
    return Result(
        "fidelity",
        tuple(column for column in COLUMNS if any(column.key in row.metrics for row in rows)),
        rows,
        "paired_gap" if compares else "loss",
        settings_of(trial, **options),
        _in_words(trial, compares, size, len(scans), visibility),
    )


def _compare(trial: Trial, rows: Sequence[Row], points: int, visibility: Visibility, scans: Sequence[int]) -> None:
    """Gap and CKA of student, random network and a constant with the teacher, at the same points."""
    networks = {"student": trial.student, "random network": random_network(trial, _of_labelled(trial, scans))[0]}
    features, _ = sampled_features(trial, networks, points, visibility, labelled=False)
    teacher = features["teacher"]
    features["training mean"] = _training_mean(trial, visibility, scans).expand_as(teacher)
    try:
        for row in rows:
            own = features[row.name]
            row.metrics |= {"paired_gap": measures.paired_gap(own, teacher), "points": len(teacher)}
            if row.name in networks:  # a constant has nothing that could be aligned
                row.metrics["linear_cka"] = measures.linear_cka(own, teacher)
    except ValueError as error:
        raise DataError(f"student and teacher cannot be compared: {error}") from error


def _of_labelled(trial: Trial, scans: Sequence[int]) -> list[int]:
    """As many scans of the data that give labels: `random_network` settles on these."""
    return spread(range(len(trial.labelled)), len(scans))


def _training_mean(trial: Trial, visibility: Visibility, scans: Sequence[int]) -> Tensor:
    """Mean (1, D) of the teacher's unit features at the visible points of these training scans."""
    means = []
    for scene in each(trial, trial.pretrained(), "training mean", scans):
        teacher = visible_features(scene, visibility.pairs(scene), trial.pixel_features())[1]
        spoken = teacher[teacher.any(dim=1)]
        if len(spoken):
            means.append(F.normalize(spoken, dim=1).mean(dim=0, dtype=torch.float64))
    if not means:
        raise DataError(f"no point of {len(scans)} training scans is seen by an image, or the teacher says nothing")
    return torch.stack(means).mean(dim=0)[None].float()


def _losses(trial: Trial, size: int, scans: Sequence[int]) -> Iterator[float]:
    """The loss of the trained method, then that of one with random weights; nothing where there is no method."""
    if trial.method is None:
        return
    trained = trial.method(None)
    yield _loss(trial, trained, size, "student")
    fresh = trial.method(trial.seed)
    if isinstance(trained, TokenMethod) and trial.trains == "tokens":
        assert isinstance(fresh, TokenMethod)
        fresh.take_statistics(*trained.token_statistics)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(trial.seed)  # in training mode a network may drop paths
        settle(fresh, _batches(trial, fresh, trial.pretrained(), scans, size, "random network"), fresh)
    yield _loss(trial, fresh, size, "random network")


def _loss(trial: Trial, method: Method, size: int, what: str) -> float:
    """Mean over batches of the test scans."""
    found = []
    for batch in _batches(trial, method, trial.test, range(len(trial.test)), size, f"loss: {what}"):
        with evaluating(method):
            loss = method(batch)["loss"].double().cpu()
        found.append(require_finite(loss, f"the losses of the {what}", ", ".join(batch.scene_ids)))
    return float(torch.stack(found).mean())


def _batches(
    trial: Trial, method: Method, scenes: Dataset, scans: Sequence[int], size: int, what: str
) -> Iterator[Any]:
    """Batches of equal size of these scans in order; the last one reaches back where it would be smaller."""
    starts = range(0, len(scans), size)
    for number, start in enumerate(starts, start=1):
        first = max(0, min(start, len(scans) - size))
        samples = []
        for index in scans[first : first + size]:
            scene = scenes[index]
            samples.append(method.sample(scene, generator(trial.seed, "fidelity", scene.id)))
        yield method.collate(samples, generator(trial.seed, "fidelity batch", str(number))).to(trial.device)
        trial.progress(what, number, len(starts))


def _in_words(trial: Trial, compares: bool, size: int, scans: int, visibility: Visibility) -> dict[str, Any]:
    words = {
        "pretraining data": dict(trial.pretrained_on),
        "test data": described(trial.test),
        "seed": trial.seed,
        "labels": "none are read",
        "held out": _held_out(trial),
        "loss": f"that of the pretraining, with its augmentation, in evaluation mode; mean over batches of {size} test "
        "scans, the last of which reaches back where it would be smaller; drawn from (seed, scan)",
        "random network": f"the same network with random weights (seed {trial.seed}); its batch statistics are "
        f"averaged over {scans} training scans",
    }
    if not compares:
        return words
    return words | {
        "points": "visible test points, drawn from (seed, scan) over all scans together, less those of which the "
        "teacher says nothing; the same points for every row",
        "visible": visibility.in_words(),
        "paired_gap": "1 - mean cosine of student and teacher at the same point",
        "linear_cka": "linear centred kernel alignment of the unit features",
        "training mean": f"the mean of the teacher's unit features over {scans} training scans, at every point: what "
        "knows nothing of a point has this gap",
    }


def _held_out(trial: Trial) -> str:
    """Whether the pretraining saw the test scans, as far as the options say it."""
    told = trial.pretrained_on, described(trial.test)
    seen, tested = ({**one, "scans": None, "only_held_out": None} for one in told)
    if seen != tested:
        return "yes: other data, or another split, than those of the pretraining"
    if trial.pretrained_on.get("only_held_out") != trial.test.settings.get("only_held_out"):
        return f"yes: the scans that hold_out ({trial.test.settings['hold_out']}) kept from the pretraining"
    return "no: these are the scans of the pretraining"
