"""Batches as a pure function of (seed, step): what makes a resumed run equal to one that was never stopped."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from pointlift.data.scene import Scene
from pointlift.errors import DataError
from pointlift.methods.base import Method
from pointlift.train.options import TrainOptions


def scene_indices(step: int, batch_size: int, count: int, seed: int) -> list[int]:
    """Scenes of the global batch at ``step``: every epoch is a permutation drawn from (seed, epoch)."""
    indices = []
    for position in range(step * batch_size, (step + 1) * batch_size):
        epoch, offset = divmod(position, count)
        indices.append(int(np.random.default_rng([seed, 1, epoch]).permutation(count)[offset]))
    return indices


def scene_generator(seed: int, step: int, scene_id: str) -> np.random.Generator:
    """Random numbers for augmenting one scene and drawing its pairs, from (seed, step, scene id)."""
    return np.random.default_rng([seed, 2, step, zlib.crc32(scene_id.encode())])


class StepBatches(Dataset):
    """Item ``step`` is this process's share of the global batch at that step."""

    def __init__(
        self, method: Method, scenes: Sequence[Scene], batch_size: int, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        if len(scenes) == 0:
            raise DataError("the data set has no scenes to train on")
        if batch_size < world:
            raise DataError(f"training.batch_size is {batch_size}; {world} processes need at least {world}")
        self.method, self.scenes, self.batch_size = method, scenes, batch_size
        self.seed, self.rank, self.world = seed, rank, world

    def __getitem__(self, step: int) -> Any:
        mine = scene_indices(step, self.batch_size, len(self.scenes), self.seed)[self.rank :: self.world]
        samples = []
        for index in mine:
            scene = self.scenes[index]
            samples.append(self.method.sample(scene, scene_generator(self.seed, step, scene.id)))
        return self.method.collate(samples, np.random.default_rng([self.seed, 3, step, self.rank]))


def batches(source: StepBatches, first: int, options: TrainOptions) -> Iterator[Any]:
    """Batches of the steps from ``first`` on, prepared by worker processes if the options say so."""
    loader = DataLoader(
        source,
        batch_size=None,
        sampler=range(first, options.steps),  # type: ignore[arg-type]
        num_workers=options.workers,
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=2 if options.workers else None,
        worker_init_fn=_one_thread,
    )
    return iter(loader)


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
