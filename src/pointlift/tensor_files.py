"""Checkpoints that others published, read as named tensors and nothing else: no pickled object is ever loaded."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from pointlift.errors import CheckpointError


def read_tensors(path: Path, wrappers: Sequence[str] = ("model", "state_dict")) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file, or of any other that ``torch.load`` reads with weights only.

    Args:
        path: the file.
        wrappers: entries under which training code keeps the weights.

    Raises:
        CheckpointError: the file is missing, damaged, or holds more than tensors.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}; give a .pt or .safetensors file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is damaged or holds more than tensors, which is not loaded because it could run code; save its "
            "weights alone, best as .safetensors"
        ) from error
    except Exception as error:  # of bytes that are no checkpoint, torch's reader raises whatever it stumbles over
        raise CheckpointError(f"{path} is damaged or no checkpoint of tensors ({_first_line(error)})") from error
    for wrapper in wrappers:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not the named tensors of a network")
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:200]
