"""Independent random streams, so that what is drawn for one purpose never depends on another."""

from __future__ import annotations

import zlib

import numpy as np


class Streams:
    """Random streams of one seed and kind of world, one for each purpose."""

    def __init__(self, seed: int, kind: str) -> None:
        self._seed, self._kind = seed, kind

    def __call__(self, purpose: str) -> np.random.Generator:
        """The stream of a purpose, from its start."""
        return np.random.default_rng([self._seed, zlib.crc32(f"{self._kind} {purpose}".encode())])
