"""Memory that runs out, of the machine or of a GPU, as one sentence with what would help."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from pointlift.errors import MemoryExhaustedError

# torch raises RuntimeErrors of its own for what the CPU lacks, the libraries of a GPU have words of theirs
_SAID = (
    "out of memory",
    "allocate memory",
    "not enough memory",
    "bad_alloc",
    "ALLOC_FAILED",
    "failed to map segment",
    "can't start new thread",
)


def ran_out(error: BaseException) -> bool:
    """Whether an error says that memory ran out."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, (RuntimeError, ImportError)) and any(words in str(error) for words in _SAID)


@contextmanager
def memory_errors_named(doing: str, remedy: str) -> Iterator[None]:
    """Turn memory that runs out within into a `MemoryExhaustedError`: what was being done, and ``remedy``."""
    try:
        yield
    except (MemoryError, OSError, RuntimeError, ImportError) as error:
        if not ran_out(error):
            raise
        raise exhausted(error, doing, remedy) from error


def exhausted(error: BaseException, doing: str, remedy: str) -> MemoryExhaustedError:
    """The sentence for an error that `ran_out` knows."""
    said = str(error).strip()
    of_gpu = "CUDA" in said or "CUBLAS" in said or "CUDNN" in said
    where = "the GPU's memory" if of_gpu else "the memory of this machine"
    lines = said.splitlines()
    detail = f" ({lines[0][:160]})" if lines else ""
    return MemoryExhaustedError(f"{where} ran out while {doing}{detail}; {remedy}")
