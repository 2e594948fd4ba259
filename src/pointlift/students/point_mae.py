"""Checkpoints in the public layout of Point-MAE, read key by key into a point transformer."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from pointlift.errors import CheckpointError
from pointlift.tensor_files import read_tensors

if TYPE_CHECKING:
    from pointlift.students.point_transformer import PointTransformer

WRAPPERS = ("base_model", "model", "state_dict")  # under which key training code keeps the weights
PREFIXES = ("module.", "base_model.", "MAE_encoder.")
FROM_SCRATCH = ("head.", "class_token", "class_position")  # what pretraining by reconstruction does not have
NAMES = [  # theirs to ours, whole keys
    (re.compile(r"encoder\.(first|second)_conv\.(\d+)\.(\w+)"), r"embedding.\1.\2.\3"),
    (re.compile(r"pos_embed\.(\d+)\.(\w+)"), r"position.\1.\2"),
    (re.compile(r"blocks\.blocks\.(\d+)\.(norm[12])\.(\w+)"), r"blocks.\1.\2.\3"),
    (re.compile(r"blocks\.blocks\.(\d+)\.attn\.qkv\.(\w+)"), r"blocks.\1.attention.qkv.\2"),
    (re.compile(r"blocks\.blocks\.(\d+)\.attn\.proj\.(\w+)"), r"blocks.\1.attention.projection.\2"),
    (re.compile(r"blocks\.blocks\.(\d+)\.mlp\.fc1\.(\w+)"), r"blocks.\1.mlp.0.\2"),
    (re.compile(r"blocks\.blocks\.(\d+)\.mlp\.fc2\.(\w+)"), r"blocks.\1.mlp.2.\2"),
    (re.compile(r"norm\.(\w+)"), r"norm.\1"),
    (re.compile(r"cls_token"), "class_token"),
    (re.compile(r"cls_pos"), "class_position"),
]


@dataclass
class Loaded:
    """What a checkpoint gave a student, key by key.

    Args:
        path: the file.
        taken: the checkpoint's keys and the student's that they became.
        unused: the checkpoint's keys for which the student has no place, such as the decoder's.
        fresh: the student's keys that the checkpoint does not have, which keep their random values.
    """

    path: Path
    taken: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.path}: {len(self.taken)} keys taken, {len(self.unused)} not; {len(self.fresh)} stay random"]
        lines += [f"  taken      {theirs} -> {ours}" for theirs, ours in self.taken.items()]
        lines += [f"  not taken  {key}" for key in self.unused]
        lines += [f"  random     {key}" for key in self.fresh]
        return "\n".join(lines)


def load_point_mae(student: PointTransformer, path: Path | str) -> Loaded:
    """Read the encoder of a Point-MAE checkpoint into a student of the same size.

    Read are ``.pth`` files (tensors only, no pickled objects) and ``.safetensors``, of pretraining
    (``MAE_encoder.encoder.first_conv.0.weight``) as of fine-tuning (``encoder.first_conv.0.weight``), under a
    ``base_model`` entry or plain, with ``module.`` before the keys or without. A student without a class token leaves
    that of the checkpoint; the head, and a class token that the checkpoint does not have, stay random.

    Returns:
        What was taken and what was not.

    Raises:
        CheckpointError: if the file cannot be read, holds no such encoder, lacks a part of it or is of another width.
    """
    path = Path(path)
    own = student.state_dict()
    loaded, values = Loaded(path), {}
    for key, tensor in read_tensors(path, WRAPPERS).items():
        name = _own_name(key)
        if name is None or name not in own:
            loaded.unused.append(key)
            continue
        values[name] = _fitted(path, key, tensor, own[name])
        loaded.taken[key] = name
    loaded.fresh = [name for name in own if name not in values]
    _require_whole(loaded)
    student.load_state_dict(values, strict=False)
    return loaded


def _own_name(key: str) -> str | None:
    """Our name of one of their keys, or None for what is not part of the encoder."""
    while key.startswith(PREFIXES):
        key = key[len(next(prefix for prefix in PREFIXES if key.startswith(prefix))) :]
    for pattern, name in NAMES:
        found = pattern.fullmatch(key)
        if found:
            return found.expand(name)
    return None


def _fitted(path: Path, key: str, tensor: Tensor, own: Tensor) -> Tensor:
    if tensor.ndim == 3 and own.ndim == 2 and tensor.shape[2] == 1:
        tensor = tensor[:, :, 0]  # their convolutions of kernel 1 are our linear layers
    if tensor.shape != own.shape:
        raise CheckpointError(
            f"{path} is a checkpoint of another width: {key} is of shape {tuple(tensor.shape)}, "
            f"but the student's is {tuple(own.shape)}; give the student the size (and inputs) of the checkpoint"
        )
    return tensor


def _require_whole(loaded: Loaded) -> None:
    if not loaded.taken:
        seen = ", ".join(loaded.unused[:3]) or "nothing"
        raise CheckpointError(
            f"{loaded.path} holds no encoder in the layout of Point-MAE (keys such as "
            f"MAE_encoder.blocks.blocks.0.attn.qkv.weight); it has {seen}"
        )
    lacking = [name for name in loaded.fresh if not name.startswith(FROM_SCRATCH) and "num_batches" not in name]
    if lacking:
        raise CheckpointError(
            f"{loaded.path} lacks {len(lacking)} tensors of the student's encoder, the first of them {lacking[0]}; "
            "give the student the size of the checkpoint"
        )
