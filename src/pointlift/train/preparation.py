"""What one of several processes prepares for all, such as a cache, while the others wait for as long as it is heard."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch.distributed as dist

from pointlift.errors import TrainingError
from pointlift.progress import Progress

PATIENCE_SECONDS = 1800.0
"""So long may the first process say nothing; its work as a whole may take days."""
_POLL_SECONDS = 0.2
_BEAT_SECONDS = 2.0
_DONE, _FAILED = "done", "failed"


@contextmanager
def first_process(
    is_first: bool, progress: Progress | None = None, patience: float = PATIENCE_SECONDS
) -> Iterator[Progress | None]:
    """Let the first process go through a block, and after it all others, which wait without limit while it gets on.

    A barrier would not do: it gives up after minutes, whereas a cache may take a day, or waits on although the first
    process is gone. In one process nothing happens.

    Args:
        is_first: whether this is the first process.
        progress: called as ever; every call of what is given here tells the others that the first process gets on.
        patience: seconds after which one that says nothing is given up.

    Raises:
        TrainingError: in the other processes, when the first one failed, is gone, or says nothing.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        yield progress
        return
    store: Any = dist.distributed_c10d._get_default_store()
    visit = store.add(f"pointlift/visits/{dist.get_rank()}", 1)  # the same number in every process
    key = f"pointlift/first/{visit}"
    if not is_first:
        _wait(store, key, patience)
        yield progress
        return
    try:
        yield _heard(store, key, progress)
    except BaseException:
        store.set(f"{key}/{_FAILED}", "1")
        raise
    store.set(f"{key}/{_DONE}", "1")


def _heard(store: Any, key: str, progress: Progress | None) -> Progress:
    """``progress``, which at most every few seconds also counts up where other processes look."""
    last = float("-inf")

    def tell(what: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > _BEAT_SECONDS:
            last = time.monotonic()
            store.add(f"{key}/beats", 1)
        if progress is not None:
            progress(what, done, total)

    return tell


def _wait(store: Any, key: str, patience: float) -> None:
    beats, since = 0, time.monotonic()
    try:
        while not store.check([f"{key}/{_DONE}"]):
            if store.check([f"{key}/{_FAILED}"]):
                raise TrainingError("the first process failed while it prepared the data; its own message says why")
            now = store.add(f"{key}/beats", 0)
            if now != beats:
                beats, since = now, time.monotonic()
            if time.monotonic() - since > patience:
                raise TrainingError(
                    f"the first process said nothing for {patience / 60:.0f} minutes while it prepared the data, so "
                    f"process {os.getpid()} gives up; fill the caches with one process first, then start all"
                )
            time.sleep(_POLL_SECONDS)
    except (RuntimeError, ConnectionError) as error:  # the store is gone with the process that held it
        raise TrainingError("the first process ended while it prepared the data; its own message says why") from error
