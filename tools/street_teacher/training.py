"""Training of the teacher `street`: ``python -m tools.street_teacher.training --out FOLDER``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tools.street_teacher.augmentation import draw_batch
from tools.street_teacher.measuring import measure
from tools.street_teacher.objective import class_loss, description_loss
from tools.street_teacher.rendering import Streets, views_of
from tools.street_teacher.truth import Truth
from tools.street_teacher.views import Views
from torch import Tensor, nn

from pointlift.files import write_atomically
from pointlift.teachers.street import REPORT, WEIGHTS, street_parts
from pointlift.teachers.street.weights import load_into, pack, unpack
from pointlift.worlds.street.frames import GENERATOR_VERSION

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


def main(arguments: Sequence[str] | None = None) -> None:
    """Train on streets of the data set's split for teachers, measure on others, and save weights and numbers."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    settings = Settings(
        steps=options.steps, batch_size=options.batch_size, seed=options.seed, bfloat16=not options.float32
    )
    size = tuple(options.image_size)
    streets = Streets("teacher", 0, options.sequences, options.frames, image_size=size)
    views = views_of(streets, options.cache)
    started = time.perf_counter()
    parts = train(views, settings)
    seconds = round(time.perf_counter() - started)
    packed = pack(parts)
    load_into(parts, unpack(packed, WEIGHTS), WEIGHTS)  # measured as shipped, after rounding to half precision
    report = {
        "what": "teacher 'street': weights, how they were trained and how well they do; a stand-in for CLIP",
        "streets": dataclasses.asdict(streets) | {"images": len(views), "generator_version": GENERATOR_VERSION},
        "settings": dataclasses.asdict(settings),
        "seconds": seconds,
        "measured": {
            name: measure(parts, views_of(others, options.cache)) for name, others in _others(options).items()
        },
    }
    write_atomically(options.out / WEIGHTS, packed)
    write_atomically(options.out / REPORT, json.dumps(_rounded(report), indent=1) + "\n")
    logger.info("%s", json.dumps(_rounded(report["measured"])))


def _others(options: argparse.Namespace) -> dict[str, Streets]:
    """Streets that were not trained on: some of the split 'teacher', for decisions, and those to report."""
    size, count = tuple(options.image_size), options.measured
    return {
        "teacher": Streets("teacher", options.sequences, count, 2, image_size=size),
        "val": Streets("val", 0, count, 2, image_size=size),
        "coast": Streets("val", 0, count, 2, town="coast", image_size=size),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help=f"folder for {WEIGHTS} and {REPORT}")
    parser.add_argument("--cache", type=Path, help="folder that keeps the rendered streets")
    parser.add_argument("--steps", type=int, default=Settings.steps)
    parser.add_argument("--batch-size", type=int, default=Settings.batch_size)
    parser.add_argument("--seed", type=int, default=Settings.seed)
    parser.add_argument("--float32", action="store_true", help="compute in float32 instead of bfloat16")
    parser.add_argument("--threads", type=int, default=1, help="of torch; results repeat for the same number")
    parser.add_argument("--sequences", type=int, default=160, help="streets of the split 'teacher' to train on")
    parser.add_argument("--frames", type=int, default=2, help="moments of each")
    parser.add_argument("--measured", type=int, default=12, help="streets to measure on, two moments of each")
    parser.add_argument("--image-size", type=int, nargs=2, default=(192, 384), metavar=("HEIGHT", "WIDTH"))
    return parser


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 4) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
