"""Training of the teacher `street` on rendered streets."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pointlift.teachers.street import street_parts
from tools.street_teacher.augmentation import draw_batch
from tools.street_teacher.objective import class_loss, description_loss
from tools.street_teacher.truth import Truth
from tools.street_teacher.views import Views

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """How the teacher is trained.

    Attributes:
        steps: optimiser steps.
        batch_size: images of a step.
        pixels: pixels of a step, at most.
        described: how many of these have descriptions.
        description_weight: weight of the description loss beside the class loss.
        learning_rate: highest learning rate; it rises over 5 % of the steps and falls along a cosine.
        table_rate: how much faster the word table learns, of which a step sees few words.
        weight_decay: of kernels and matrices.
        bfloat16: whether the network computes in bfloat16, nearly twice as fast on CPUs that have it.
        whole: share of the steps, the last ones, on whole images instead of windows.
        seed: of weights and batches.
    """

    steps: int = 10000
    batch_size: int = 4
    pixels: int = 4096
    described: int = 768
    description_weight: float = 0.2
    learning_rate: float = 2.5e-3
    table_rate: float = 2.0
    weight_decay: float = 0.02
    bfloat16: bool = True
    whole: float = 0.15
    seed: int = 0


def train(views: Views, settings: Settings) -> nn.ModuleDict:
    """The trained ``network`` and ``words``; with one thread a function of views and settings alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        parts = street_parts()
    parts.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    parts.train()
    optimizer, schedule = _optimizer(parts, settings)
    generator = torch.Generator().manual_seed(settings.seed)
    truth = Truth(views.words)
    order = _endless_order(len(views), settings, generator)
    started = time.perf_counter()
    for step in range(settings.steps):
        losses = _losses(parts, views, truth, order[step], step, settings, generator)
        optimizer.zero_grad()
        (losses[0] + settings.description_weight * losses[1]).backward()
        nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0 or step == settings.steps - 1:
            values = [float(loss.detach()) for loss in losses]
            seconds = time.perf_counter() - started
            logger.info("step %d: class %.4f, description %.4f, %.0f s", step, *values, seconds)
    return parts.eval()


def _losses(
    parts: nn.ModuleDict,
    views: Views,
    truth: Truth,
    index: Tensor,
    step: int,
    settings: Settings,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    whole = step >= (1 - settings.whole) * settings.steps
    batch = draw_batch(views, index, settings.pixels, whole, generator)
    with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
        maps = parts["network"](batch.images)
    pixels = batch.sample(maps.float())
    labels = batch.truth["labels"]
    words = parts["words"]
    first = class_loss(pixels, words(truth.draw_names(generator)), labels)
    some = slice(settings.described)
    known = truth.of(**{name: values[some] for name, values in batch.truth.items()})
    bags = truth.describe(labels[some], known, generator)
    return first, description_loss(pixels[some], words(bags), bags, known)


def _endless_order(count: int, settings: Settings, generator: torch.Generator) -> Tensor:
    """Views of each step (steps, batch size): passes over all, each in another order."""
    wanted = settings.steps * settings.batch_size
    passes = [torch.randperm(count, generator=generator) for _ in range(-(-wanted // count))]
    return torch.cat(passes)[:wanted].view(settings.steps, settings.batch_size)


def _optimizer(parts: nn.ModuleDict, settings: Settings) -> tuple[torch.optim.Optimizer, Any]:
    kernels = [parameter for parameter in parts["network"].parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in parts["network"].parameters() if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": kernels, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
        {"params": list(parts["words"].parameters()), "weight_decay": 0.0},
    ]
    rates = [settings.learning_rate, settings.learning_rate, settings.table_rate * settings.learning_rate]
    optimizer = torch.optim.AdamW(groups)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rates, total_steps=settings.steps + 1, pct_start=0.05, cycle_momentum=False
    )
    return optimizer, schedule
