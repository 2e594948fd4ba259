"""What goes to data-loading processes and comes from them: data, without the weights of any network."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pointlift.errors import TrainingError


class Parcel:
    """A batch on its way from a data-loading process, as bytes."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def opened(self) -> Any:
        """The batch."""
        return pickle.loads(self.content)


class Packing:
    """Makes parcels: tensors lie in shared memory while there is room for them, and in the parcel once there is not.

    Left to torch, a full shared memory is noticed in a thread of the data-loading process, and training waits for ever.
    """

    def __init__(self) -> None:
        self._shares = True

    def __call__(self, batch: Any) -> Parcel:
        """A batch as a parcel."""
        if self._shares:
            try:
                return Parcel(bytes(ForkingPickler.dumps(batch)))
            except (RuntimeError, OSError):  # what was shared so far stays so: it is not tried again
                self._shares = False
        return Parcel(dumps(batch))


def dumps(value: Any) -> bytes:
    """Any object as bytes for a process of the same program: tensors as arrays, network parameters as their shapes."""
    stream = io.BytesIO()
    try:
        _Pickler(stream, protocol=5).dump(value)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TrainingError(
            f"data-loading processes cannot be sent what they need ({error}); set training.workers=0, or define it at "
            "the top of a module"
        ) from error
    return stream.getvalue()


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, nn.Parameter):  # samples are made of data: a process that makes them needs no weights
            return _absent, (tuple(value.shape), value.dtype, value.requires_grad)
        if type(value) is Tensor and value.layout is torch.strided and not value.is_meta:
            plain = value.detach().cpu()
            if plain.dtype in (torch.bfloat16,):  # NumPy has none
                return _half, (plain.view(torch.int16).contiguous().numpy(),)
            return _tensor, (plain.contiguous().numpy(),)
        return NotImplemented


def _absent(shape: tuple[int, ...], dtype: torch.dtype, requires_grad: bool) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape, dtype=dtype, device="meta"), requires_grad)


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values)


def _half(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values).view(torch.bfloat16)


@contextmanager
def worker_errors_named(workers: int) -> Iterator[None]:
    """Turn the end of a data-loading process, and one that cannot be started, into a `TrainingError`."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        text = str(error)
        if workers and isinstance(error, OSError) and error.filename is None:
            raise TrainingError(
                f"data-loading processes cannot be started: {error.strerror or text}; set training.workers=0, or give "
                "the machine more shared memory (docker run --shm-size=1g) and open files (ulimit -n)"
            ) from error
        if "DataLoader worker" not in text or "Caught" in text:
            raise
        raise TrainingError(f"a data-loading process ended: {_reason(text)}") from error


def _reason(text: str) -> str:
    if "Bus error" in text:
        return "shared memory (/dev/shm) is full; set training.workers=0 or enlarge it (docker run --shm-size=1g)"
    if "Killed" in text:
        return "it was killed, most likely because memory ran out; set a lower training.workers or training.batch_size"
    return (
        f"{text.strip().splitlines()[0]}; a script that trains with training.workers must do so under "
        "`if __name__ == '__main__':`, and training.workers=0 shows any other cause"
    )
