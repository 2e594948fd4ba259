"""Checkpoints that others published, read as named tensors and nothing else: no pickled object is ever loaded."""

from __future__ import annotations

import json
import pickle
import re
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from pointlift.errors import CheckpointError
from pointlift.files import stand_in

_ZIP, _ZIP_END = b"PK\x03\x04", b"PK\x05\x06"
_LONGEST_ZIP_END = 22 + 2**16  # bytes, with its comment


def read_tensors(path: Path, wrappers: Sequence[str] = ("model", "state_dict")) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file, or of any other that ``torch.load`` reads with weights only.

    Args:
        path: the file.
        wrappers: entries under which training code keeps the weights.

    Raises:
        CheckpointError: the file is missing, damaged, or holds more than tensors.
    """
    content = read_checkpoint(path)
    for wrapper in wrappers:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not the named tensors of a network")
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}


def read_checkpoint(path: Path) -> Any:
    """What is in a file of tensors, as it is nested there.

    Raises:
        CheckpointError: the file is missing, damaged, or holds more than tensors; the message says the cause where the
            file shows it, see `why_unreadable`.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}; give a .pt or .safetensors file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of bytes that are no checkpoint, torch's reader raises whatever it stumbles over
        cause = why_unreadable(path)
        if cause is not None:
            raise CheckpointError(f"{path} {cause}") from error
        if isinstance(error, pickle.UnpicklingError):
            found = re.search(r"(?:GLOBAL|class|type) ([\w.]+\.\w+)", str(error))
            more = f" ({found[1]})" if found else ""
            raise CheckpointError(
                f"{path} is damaged or holds more than tensors{more}, which is not loaded because it could run code; "
                "save its weights alone, best as .safetensors"
            ) from error
        raise CheckpointError(f"{path} is damaged or no checkpoint of tensors ({_first_line(error)})") from error


def why_unreadable(path: Path) -> str | None:
    """Why a file of tensors cannot be read, where the file itself shows it: a stand-in, or one that is cut short.

    Returns:
        The end of a sentence that begins with the file's name, with the remedy; None if the file shows nothing.
    """
    cause = stand_in(path)
    if cause is not None or not path.is_file():
        return cause
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        if head[:4] == _ZIP:
            file.seek(max(0, size - _LONGEST_ZIP_END))
            whole = _ZIP_END in file.read()
            return None if whole else "is cut short: its archive has no end; copy or download it again"
        if path.suffix != ".safetensors" or len(head) < 8:
            return None
        wanted = _whole_size(head, file.read(min(size, struct.unpack("<Q", head)[0])))
    if wanted is not None and size < wanted:
        return f"is cut short: it has {size:,} of {wanted:,} bytes; copy or download it again"
    return None


def _whole_size(length: bytes, header: bytes) -> int | None:
    """The size in bytes that the header of a safetensors file speaks of; None where it is no such header."""
    (announced,) = struct.unpack("<Q", length)
    if header[:1] != b"{":
        return None
    if len(header) < announced:
        return 8 + announced if announced < 100_000_000 else None  # no file of safetensors has a longer header
    try:
        entries = json.loads(header)
        return 8 + announced + max((int(one["data_offsets"][1]) for key, one in entries.items() if key[:2] != "__"))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return None


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:200]
