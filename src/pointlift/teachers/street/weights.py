"""The shipped file: matrices and kernels in half precision, with the words that the table's rows stand for."""

from __future__ import annotations

import json
import struct

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from pointlift.errors import CheckpointError
from pointlift.teachers.street.words import VOCABULARY

_COUNTER = "num_batches_tracked"  # of a batch norm: of no use once trained


def pack(model: nn.Module) -> bytes:
    """A model as a safetensors file: float16, but vectors (biases, batch statistics, which range widely) float32."""
    tensors = {
        name: tensor.detach().cpu().to(torch.float32 if tensor.ndim < 2 else torch.float16).contiguous()
        for name, tensor in model.state_dict().items()
        if not name.endswith(_COUNTER)
    }
    return save(tensors, metadata={"words": json.dumps(VOCABULARY)})


def unpack(data: bytes, path: str) -> dict[str, Tensor]:
    """The float32 tensors of a file that `pack` made.

    Args:
        data: its content.
        path: its name, for messages.

    Raises:
        CheckpointError: if it is damaged, or its words are not those of this version.
    """
    try:
        tensors = load(data)
        words = json.loads(_metadata(data)["words"])
    except (SafetensorError, ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); install pointlift again") from error
    if words != list(VOCABULARY):
        raise CheckpointError(f"{path} has the words of another version of pointlift; install pointlift again")
    return {name: tensor.to(torch.float32) for name, tensor in tensors.items()}


def load_into(model: nn.Module, tensors: dict[str, Tensor], path: str) -> None:
    """Fill a model with the tensors of `unpack`.

    Raises:
        CheckpointError: if they do not fit it, or are not finite.
    """
    expected = {name: value for name, value in model.state_dict().items() if not name.endswith(_COUNTER)}
    fits = tensors.keys() == expected.keys() and all(tensors[name].shape == expected[name].shape for name in expected)
    if not fits or not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise CheckpointError(f"{path} does not hold this version's weights; install pointlift again")
    model.load_state_dict(tensors, strict=False)


def _metadata(data: bytes) -> dict[str, str]:
    """The strings in the header: an 8-byte length and that much JSON."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length])["__metadata__"]
