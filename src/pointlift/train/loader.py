"""Batches as a pure function of (seed, step): what makes a resumed run equal to one that was never stopped."""

from __future__ import annotations

import pickle
import signal
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, get_worker_info
from torch.utils.data import Dataset as TorchDataset

from pointlift.data.dataset import Dataset
from pointlift.errors import DataError, PointliftError
from pointlift.train.method import Method
from pointlift.train.options import TrainOptions
from pointlift.train.sending import Packing, Parcel, dumps, worker_errors_named


class SceneOrder:
    """The scenes of every step as a pure function of (seed, step): epochs in a row, each drawn from (seed, epoch).

    An epoch is what the data set's ``epoch(rng)`` gives, always of the same length. The one that was asked for last is
    kept: drawing one takes time in proportion to its length.
    """

    def __init__(self, scenes: Dataset, seed: int) -> None:
        if len(scenes) == 0:
            raise DataError("the data set has no scenes to train on")
        self._scenes, self._seed = scenes, seed
        self._last = 0, self._drawn(0)
        self.length = len(self._last[1])

    def of(self, step: int, batch_size: int) -> list[int]:
        """Scenes of the global batch at ``step``."""
        indices = []
        for position in range(step * batch_size, (step + 1) * batch_size):
            epoch, offset = divmod(position, self.length)
            if self._last[0] != epoch:
                self._last = epoch, self._drawn(epoch, self.length)
            indices.append(int(self._last[1][offset]))
        return indices

    def _drawn(self, epoch: int, length: int | None = None) -> np.ndarray:
        """The order of an epoch; the first one, of which no ``length`` is known yet, sets that of all."""
        rng = np.random.default_rng([self._seed, 1, epoch])
        count = len(self._scenes)
        order = np.asarray(self._scenes.epoch(rng))
        wanted = len(order) if length is None else length
        if len(order) != wanted or len(order) == 0 or order.min() < 0 or order.max() >= count:
            raise DataError(
                f"epoch {epoch} of the data set must be {wanted or 'some'} indices from 0 to {count - 1}, not {order}"
            )
        return order


def scene_generator(seed: int, step: int, scene_id: str, repeat: int = 0) -> np.random.Generator:
    """Random numbers for augmenting one scene and drawing its pairs, from (seed, step, scene id).

    ``repeat`` counts the scene's earlier places in the same batch, so that a scene met twice is augmented twice.
    """
    return np.random.default_rng([seed, 2, step, zlib.crc32(scene_id.encode()), *([repeat] if repeat else [])])


class StepBatches(TorchDataset):
    """Item ``step`` is this process's share of the global batch at that step.

    A data-loading process that has no copy of the memory of this one is sent data alone, see `pointlift.train.sending`.
    """

    def __init__(
        self, method: Method, scenes: Dataset, batch_size: int, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        self.order = SceneOrder(scenes, seed)
        if batch_size < world:
            raise DataError(f"training.batch_size is {batch_size}; {world} processes need at least {world}")
        self.method, self.scenes, self.batch_size = method, scenes, batch_size
        self.seed, self.rank, self.world = seed, rank, world
        self._packed = Packing()

    def __reduce__(self) -> Any:
        """As bytes: as objects, every tensor would take a file handle."""
        return _received, (dumps(self.__dict__),)

    def __getitem__(self, step: int) -> Any:
        """The batch, or the `PointliftError` that prevents it: worker processes cannot raise it in one sentence.

        From a worker process it comes as a `Parcel`.
        """
        try:
            batch = self._batch(step)
        except PointliftError as error:
            return error
        return batch if get_worker_info() is None else self._packed(batch)

    def _batch(self, step: int) -> Any:
        everyone = self.order.of(step, self.batch_size)
        samples = []
        # consecutive places, so that the rows of all processes in order are the rows of one
        first, last = (self.batch_size * rank // self.world for rank in (self.rank, self.rank + 1))
        for place in range(first, last):
            scene = self.scenes[everyone[place]]
            repeat = everyone[:place].count(everyone[place])
            samples.append(self.method.sample(scene, scene_generator(self.seed, step, scene.id, repeat)))
        # not of the rank: what the method draws for a batch is the same for all processes
        return self.method.collate(samples, np.random.default_rng([self.seed, 3, step]))


def batches(source: StepBatches, first: int, options: TrainOptions) -> Iterator[Any]:
    """Batches of the steps from ``first`` on, prepared by worker processes if the options say so.

    ``options`` are resolved: their length is in steps.
    """
    with worker_errors_named(options.workers):
        loader = iter(
            DataLoader(
                source,
                batch_size=None,
                sampler=range(first, options.steps),  # type: ignore[arg-type]
                num_workers=options.workers,
                prefetch_factor=2 if options.workers else None,
                worker_init_fn=_begin,
            )
        )
    for batch in loader:
        if isinstance(batch, PointliftError):
            raise batch
        yield batch.opened() if isinstance(batch, Parcel) else batch


def _received(content: bytes) -> StepBatches:
    batches = StepBatches.__new__(StepBatches)
    batches.__dict__.update(pickle.loads(content))
    return batches


def _begin(worker: int) -> None:
    """What a data-loading process does first: the training process alone hears that it is to stop, and ends them."""
    torch.set_num_threads(1)
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
