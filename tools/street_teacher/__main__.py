"""Train the teacher `street` and measure it on streets that it has not seen; weights and numbers go to a folder."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pointlift.files import write_atomically
from pointlift.teachers.street import REPORT, WEIGHTS
from pointlift.teachers.street.weights import load_into, pack, unpack
from pointlift.worlds.street.frames import GENERATOR_VERSION
from tools.street_teacher.measuring import measure
from tools.street_teacher.rendering import Streets, views_of
from tools.street_teacher.training import Settings, train

logger = logging.getLogger(__name__)


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
    parser = argparse.ArgumentParser("python -m tools.street_teacher", description=__doc__)
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
