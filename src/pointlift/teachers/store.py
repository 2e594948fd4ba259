"""Tensors by key on disk, checksummed, and those that were used last in memory: what every cache of a teacher keeps."""

from __future__ import annotations

import logging
import time
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor

from pointlift.files import write_atomically

_log = logging.getLogger(__name__)

_STALE_AFTER_SECONDS = 3600.0


class Entry(NamedTuple):
    """The name of a tensor's file, and what the tensor is made from, as the file's metadata says it."""

    key: str
    origin: dict[str, str]


class Store:
    """One tensor for each entry, in ``folder/KEY.safetensors``; in memory only without a folder.

    A file's metadata are the tensor's origin and a checksum. Files appear complete or not at all (written beside, then
    renamed), so any number of processes may share a folder. A damaged one, or one of another origin, counts as absent,
    with a warning. Data-loading processes are sent only what the disk does not have.

    Args:
        folder: where the entries are, or None.
        name: of the tensor in its file.
        memory_bytes: tensors that were used last stay in memory up to this size (for each process); without a folder
            all do.
    """

    def __init__(self, folder: Path | None, name: str, memory_bytes: float) -> None:
        self.folder, self.name = folder, name
        self.budget = float("inf") if folder is None else memory_bytes
        self.memory: OrderedDict[str, Tensor] = OrderedDict()  # least recently used first
        self.memory_bytes = 0

    def find(self, entry: Entry) -> Tensor | None:
        """The tensor of an entry; None where there is none to use."""
        if entry.key in self.memory:
            self.memory.move_to_end(entry.key)
            return self.memory[entry.key]
        tensor = None if self.folder is None else self._read(self.folder / f"{entry.key}.safetensors", entry.origin)
        if tensor is not None:
            self._remember(entry.key, tensor)
        return tensor

    def keep(self, entry: Entry, tensor: Tensor) -> None:
        """Write the tensor of an entry, and remember it."""
        if self.folder is not None:
            metadata = {"checksum": checksum(tensor), **entry.origin}
            write_atomically(self.folder / f"{entry.key}.safetensors", serialize({self.name: tensor}, metadata))
        self._remember(entry.key, tensor)

    def remove_stale(self) -> None:
        """Remove what killed processes left half-written in the folder more than an hour ago."""
        for path in () if self.folder is None else self.folder.glob(".*.tmp"):
            try:
                if time.time() - path.stat().st_mtime > _STALE_AFTER_SECONDS:
                    path.unlink(missing_ok=True)
            except OSError:  # another process was quicker
                continue

    def _read(self, path: Path, origin: dict[str, str]) -> Tensor | None:
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as entry:
                tensor, metadata = entry.get_tensor(self.name), entry.metadata() or {}
        except (SafetensorError, OSError, ValueError) as error:
            _log.warning("%s is damaged (%s); its %s are computed again", path, error, self.name)
            return None
        if "checksum" not in metadata:  # token sets had none in the first edition
            return None
        if metadata != {"checksum": checksum(tensor), **origin}:
            _log.warning("%s is damaged (its checksum or key differs); its %s are computed again", path, self.name)
            return None
        return tensor

    def _remember(self, key: str, tensor: Tensor) -> None:
        if tensor.nbytes > self.budget or key in self.memory:
            return
        self.memory[key] = tensor
        self.memory_bytes += tensor.nbytes
        while self.memory_bytes > self.budget:
            _, oldest = self.memory.popitem(last=False)
            self.memory_bytes -= oldest.nbytes

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what the disk has too, so that worker processes start quickly."""
        state = self.__dict__.copy()
        if self.folder is not None:
            state.update(memory=OrderedDict(), memory_bytes=0)
        return state


def checksum(tensor: Tensor) -> str:
    """CRC-32 of type, shape and values: it guards against damage, not against forgery."""
    head = f"{tensor.dtype} {tuple(tensor.shape)}".encode()
    values: Any = tensor.contiguous().reshape(-1).view(torch.uint8).numpy()
    return f"{zlib.crc32(values, zlib.crc32(head)):08x}"
