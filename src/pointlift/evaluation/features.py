"""Per-point features that protocols compare: the student's, a random network's, and hand-made ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from pointlift.data.batch import Batch
from pointlift.data.scene import Scene
from pointlift.data.up import UpAxis, heights, horizontal_axes
from pointlift.evaluation.base import Trial, each
from pointlift.finite import require_finite
from pointlift.students import Student, evaluating

Source = Callable[[Scene], dict[str, Tensor]]
"""A scene with N points -> named feature matrices (N, D) float32 on the CPU."""

Item = TypeVar("Item")

FEATURES = "the features of a 3D network"

GEOMETRY_SCALES = (0.5, 1.0, 2.0)
"""Sides in metres of the cells in which `local_geometry` describes shape."""
COLUMN = 4.0
"""Side in metres of the columns whose lowest point stands for the ground in `local_geometry`."""


def student_output(student: Student, scene: Scene, device: torch.device) -> Tensor:
    """The student's output features (N, D) float32 on the CPU, in eval mode, not normalised."""
    with evaluating(student):
        return require_finite(student(Batch.from_scenes([scene]).to(device)).float().cpu(), FEATURES, scene.id)


def student_source(student: Student, device: torch.device, output: str, decoder: str) -> Source:
    """The student's D-dimensional output under the name ``output`` and its decoder's features under ``decoder``."""

    def features(scene: Scene) -> dict[str, Tensor]:
        with evaluating(student):
            before = student.decoder_features(Batch.from_scenes([scene]).to(device))
            found = {output: student.head(before).float().cpu(), decoder: before.float().cpu()}
            return require_finite(found, FEATURES, scene.id)

    return features


def settle_normalization(student: Student, scenes: Iterable[Scene], device: torch.device) -> int:
    """Give a randomly initialised student the batch statistics of ``scenes``, one scan a batch; returns how many.

    A fresh network's running mean 0 and variance 1 belong to no data, so as a baseline it would be handicapped by
    something that needs neither labels nor training. Every batch normalisation gets the plain average over scans.
    """
    return settle(student, scenes, lambda scene: student(Batch.from_scenes([scene]).to(device)))


def settle(network: nn.Module, items: Iterable[Item], use: Callable[[Item], Any]) -> int:
    """`settle_normalization` of any network, of which ``use`` makes a forward pass with an item; returns how many."""
    layers = [part for part in network.modules() if isinstance(part, (nn.BatchNorm1d, nn.SyncBatchNorm))]
    momenta = [layer.momentum for layer in layers]
    seen = 0
    for layer in layers:
        layer.reset_running_stats()
    with evaluating(network):  # puts the mode of every layer back
        network.train()
        for seen, item in enumerate(items, start=1):
            for layer in layers:
                layer.momentum = 1.0 / seen  # the running average of the items so far
            use(item)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    return seen


def random_network(trial: Trial, scans: Sequence[int]) -> tuple[Student, str]:
    """A randomly initialised twin of the student, settled on these scans that give labels, and what it is in words."""
    student = trial.fresh_student(trial.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(trial.seed)  # in training mode a student may draw points and drop paths
        settled = settle_normalization(student, each(trial, trial.labelled, "random network", scans), trial.device)
    return student, (
        f"the same network with random weights (seed {trial.seed}); its batch statistics are averaged over {settled} "
        "training scans, which takes no labels"
    )


def raw_features(scene: Scene) -> Tensor:
    """What the sensor says about each point alone, (N, 7 + F) float32.

    Height along the up axis, the two horizontal coordinates, horizontal range, its logarithm, distance, elevation
    angle, and the data set's own F features (intensity, colour, …). Metres and radians.
    """
    points = torch.as_tensor(scene.points, dtype=torch.float32)
    height, horizontal = _upright(points, scene.up_axis)
    reach = horizontal.norm(dim=1)
    columns = [
        height,
        *horizontal.T,
        reach,
        reach.log1p(),
        points.norm(dim=1),
        torch.atan2(height, reach.clamp(min=1e-6)),
    ]
    return torch.cat([torch.stack(columns, dim=1), torch.as_tensor(scene.features, dtype=torch.float32)], dim=1)


def local_geometry(scene: Scene) -> Tensor:
    """Hand-made description of each point's surroundings beside its `raw_features`, (N, 7 + F + 2 + 3 (7 + F)) float32.

    Height above the lowest point of its 4 m column and the column's extent; then in cells of 0.5, 1 and 2 m: linearity,
    planarity and scattering from the eigenvalues of the covariance, verticality of the normal, logarithm of the number
    of points, height above the cell's mean and standard deviation of height, and the cell's mean of the F features.
    """
    points = torch.as_tensor(scene.points, dtype=torch.float64)
    height, horizontal = _upright(points, scene.up_axis)
    upright = torch.cat([horizontal, height[:, None]], dim=1)
    own = torch.as_tensor(scene.features, dtype=torch.float64)
    parts = [_column(upright)] + [_cell(upright, own, size) for size in GEOMETRY_SCALES]
    return torch.cat([raw_features(scene), *(part.float() for part in parts)], dim=1)


def raw_source(scene: Scene) -> dict[str, Tensor]:
    """`raw_features` and `local_geometry` by the names of their rows."""
    return {"raw features": raw_features(scene), "local geometry": local_geometry(scene)}


def raw_source_in_words(feature_names: tuple[str, ...]) -> dict[str, str]:
    """What the hand-made rows are made of, for a protocol block."""
    own = ", ".join(feature_names) or "none"
    return {
        "raw features": "height, two horizontal coordinates, horizontal range, log(1 + range), distance, elevation "
        f"angle, and the data set's own features ({own})",
        "local geometry": f"raw features; height above the lowest point of the {COLUMN:g} m column and its extent; in "
        f"cells of {', '.join(f'{size:g}' for size in GEOMETRY_SCALES)} m: linearity, planarity, scattering, "
        "verticality, log of the number of points, height relative to the mean, its standard deviation, and mean of "
        f"the own features ({own})",
    }


def _upright(points: Tensor, up_axis: UpAxis) -> tuple[Tensor, Tensor]:
    """Height (N,) along the up axis and the two horizontal coordinates (N, 2)."""
    return heights(points, up_axis), points[:, sorted(horizontal_axes(up_axis))]


def _column(upright: Tensor) -> Tensor:
    """Height above the lowest point of the column and the column's extent, (N, 2)."""
    _, column = torch.unique((upright[:, :2] / COLUMN).floor().long(), dim=0, return_inverse=True)
    count = int(column.max()) + 1
    height = upright[:, 2]
    lowest = torch.full((count,), torch.inf, dtype=height.dtype).scatter_reduce(0, column, height, "amin")
    highest = torch.full((count,), -torch.inf, dtype=height.dtype).scatter_reduce(0, column, height, "amax")
    return torch.stack([height - lowest[column], (highest - lowest)[column]], dim=1)


def _cell(upright: Tensor, own: Tensor, size: float) -> Tensor:
    """Shape of the cell of side ``size`` around each point, (N, 7 + F)."""
    _, cell = torch.unique((upright / size).floor().long(), dim=0, return_inverse=True)
    count = torch.bincount(cell).to(upright.dtype)
    mean = _sum(upright, cell, len(count)) / count[:, None]
    offset = upright - mean[cell]
    products = (offset[:, :, None] * offset[:, None, :]).flatten(1)  # (N, 9)
    covariance = (_sum(products, cell, len(count)) / count[:, None]).view(-1, 3, 3)
    values, vectors = torch.linalg.eigh(covariance)  # ascending
    spread = values.clamp(min=0)
    small, middle, large = (spread / spread[:, 2:].clamp(min=1e-12)).T
    verticality = 1 - vectors[:, 2, 0].abs()  # of the normal, the eigenvector of the smallest value
    flat = count < 3  # fewer points have no normal
    shape = torch.stack(
        [
            large - middle,
            middle - small,
            small,
            verticality.masked_fill(flat, 0),
            count.log(),
            covariance[:, 2, 2].sqrt(),
        ],
        dim=1,
    )
    average = _sum(own, cell, len(count)) / count[:, None]
    return torch.cat([shape[cell], offset[:, 2:], average[cell]], dim=1)


def _sum(values: Tensor, cell: Tensor, count: int) -> Tensor:
    return torch.zeros(count, values.shape[1], dtype=values.dtype).index_add_(0, cell, values)
