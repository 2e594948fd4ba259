"""Seeded damage to files: what a reader may do with it is give the right kind of values, or raise one of our errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from pointlift.errors import DataError

_WORDS = (
    b"nan",
    b"inf",
    b"-1",
    b"0",
    b"1e999",
    b"99999999999999999999",
    b"1.9",
    b"300",
    b"x",
    b"",
    b"1_0",
    b"0x10",
    b"\xff",
)


def mutations(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Copies of a file with bytes flipped, cut, repeated or inserted, or with a word of its text replaced."""
    rng = np.random.default_rng(seed)
    kinds = (_flipped, _cut, _repeated, _inserted, _reworded)
    for number in range(count):
        yield kinds[number % len(kinds)](data, rng)


def survive(read: Callable[[bytes], object], data: bytes, count: int, seed: int) -> int:
    """Read every mutation; how many were refused in one sentence of ours. Any other error goes through, named."""
    refused = 0
    for number, damaged in enumerate(mutations(data, count, seed)):
        try:
            read(damaged)
        except DataError as error:
            assert "\n" not in str(error), (seed, number, str(error))  # noqa: PT017
            assert len(str(error)) < 1000, (seed, number)  # noqa: PT017
            refused += 1
        except Exception as error:
            raise AssertionError(f"mutation {number} of seed {seed} ({damaged[:300]!r}) raised {error!r}") from error
    return refused


def _flipped(data: bytes, rng: np.random.Generator) -> bytes:
    values = bytearray(data)
    for place in rng.integers(0, len(data), int(rng.integers(1, 4))):
        values[place] ^= 1 << int(rng.integers(0, 8))
    return bytes(values)


def _cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(0, len(data)))]


def _repeated(data: bytes, rng: np.random.Generator) -> bytes:
    start, end = sorted(int(place) for place in rng.integers(0, len(data), 2))
    return data[:end] + data[start:end][:200] + data[end:]


def _inserted(data: bytes, rng: np.random.Generator) -> bytes:
    place = int(rng.integers(0, len(data)))
    return data[:place] + rng.bytes(int(rng.integers(1, 9))) + data[place:]


def _reworded(data: bytes, rng: np.random.Generator) -> bytes:
    lines = data.split(b"\n")
    number = int(rng.integers(0, len(lines)))
    words = lines[number].split(b" ")
    words[int(rng.integers(0, len(words)))] = _WORDS[int(rng.integers(0, len(_WORDS)))]
    lines[number] = b" ".join(words)
    return b"\n".join(lines)
