"""A linear (or one-hidden-layer) classifier on frozen features, trained in mini-batches."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from pointlift.errors import DataError
from pointlift.finite import require_finite

ClassWeights = Literal["none", "sqrt", "balanced"]


@dataclass(frozen=True)
class ProbeOptions:
    """How a probe is trained; `train_probe` says what each one means."""

    epochs: int = 10
    minimum_steps: int = 1000
    learning_rate: float = 1e-2
    weight_decay: float = 1e-4
    batch_size: int = 4096
    class_weights: ClassWeights = "none"


@dataclass
class Probe:
    """A trained classifier: ``predict`` maps features (N, D) to classes (N,) int64."""

    network: nn.Module
    mean: Tensor
    scale: Tensor
    absent: Tensor
    steps: int
    loss: float

    @torch.no_grad()
    def predict(self, features: Tensor, chunk: int = 65536) -> Tensor:
        """The class with the highest score; classes without a training point are never given."""
        device = self.mean.device
        found = [torch.zeros(0, dtype=torch.int64)]
        for part in features.split(chunk):
            require_finite(part, "features that are to be classified")
            scores = self.network((part.to(device) - self.mean) * self.scale)
            found.append(scores.masked_fill(self.absent, -torch.inf).argmax(dim=1).cpu())
        return torch.cat(found)


def train_probe(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    options: ProbeOptions,
    *,
    seed: int = 0,
    hidden: int | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Probe:
    """Softmax cross-entropy on standardised features with AdamW and a cosine to zero; the last iterate is returned.

    Args:
        features: (N, D) float32; standardised by their own mean and standard deviation.
        labels: (N,) int64 in [0, C).
        num_classes: C.
        options: ``epochs`` passes, but at least ``minimum_steps`` updates of ``batch_size`` points; class weights
            ``none`` 1, ``balanced`` 1/frequency, ``sqrt`` its root, scaled to mean 1 over the points.
        seed: of the order of points, and of the hidden layer.
        hidden: width of a ReLU layer in between; None for a linear classifier, which starts from zero.
        device: where to train.
        progress: called with (done, total) updates.

    Raises:
        DataError: no labelled point, or features that are not finite.
    """
    if len(labels) == 0:
        raise DataError("there is no labelled point to train a classifier on")
    mean, scale = (values.to(device) for values in _standardisation(features))
    counts = torch.bincount(labels, minlength=num_classes)
    draws = torch.Generator().manual_seed(seed)
    network = _network(features.shape[1], num_classes, hidden, draws).to(device)
    weights = _class_weights(counts, options.class_weights).to(device)
    per_epoch = math.ceil(len(labels) / options.batch_size)
    steps = max(options.minimum_steps, options.epochs * per_epoch)
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)))
    recent: deque[float] = deque(maxlen=per_epoch)
    for step, rows in enumerate(islice(_batches(len(labels), options.batch_size, draws), steps), start=1):
        inputs = features[rows].to(device).sub_(mean).mul_(scale)  # in place: the rows are a copy already
        targets = labels[rows].to(device)
        loss = (F.cross_entropy(network(inputs), targets, reduction="none") * weights[targets]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        recent.append(loss.item())
        progress(step, steps)
    return Probe(network, mean, scale, (counts == 0).to(device), steps, sum(recent) / len(recent))


def _batches(count: int, batch_size: int, draws: torch.Generator) -> Iterator[Tensor]:
    """Rows of one batch after the other, without end; every epoch in another order."""
    while True:
        yield from torch.randperm(count, generator=draws).split(batch_size)


def _standardisation(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and 1 / standard deviation (D,); a feature that never changes keeps the factor 1 after centring."""
    mean = features.mean(dim=0, dtype=torch.float64)
    if not mean.isfinite().all():
        raise DataError("the features to classify are not all finite")
    squares = torch.zeros_like(mean)
    for part in features.split(8192):  # in pieces: a second copy of all features may not fit
        squares += (part - mean.float()).square_().sum(dim=0)
    deviation = (squares / len(features)).sqrt()
    constant = deviation <= 1e-7 * mean.abs().clamp(min=1e-5)
    scale = torch.where(constant, torch.ones_like(deviation), 1 / deviation)
    return mean.float(), scale.float()


def _network(width: int, num_classes: int, hidden: int | None, draws: torch.Generator) -> nn.Module:
    last = skip_init(nn.Linear, hidden or width, num_classes)  # torch's own start would draw from the global generator
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    if hidden is None:
        return last
    first = skip_init(nn.Linear, width, hidden)
    nn.init.kaiming_normal_(first.weight, nonlinearity="relu", generator=draws)
    nn.init.zeros_(first.bias)
    return nn.Sequential(first, nn.ReLU(), last)


def _class_weights(counts: Tensor, kind: ClassWeights) -> Tensor:
    power = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}[kind]
    weights = counts.clamp(min=1).double().pow(-power)
    return (weights * counts.sum() / (weights * counts).sum()).float()
