"""Atomic checkpoints without pickle: tensors in safetensors, the rest in JSON, in one folder per step."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pointlift.documents import read_json, shaped
from pointlift.errors import CheckpointError

FORMAT = 1
WEIGHTS, OPTIMIZER, STATE = "weights.safetensors", "optimizer.safetensors", "state.json"


class Built(TypedDict):
    """How the student was built."""

    in_channels: Annotated[int, msgspec.Meta(ge=0)]
    out_channels: Annotated[int, msgspec.Meta(ge=0)]


class State(TypedDict, total=False):
    """What a checkpoint's JSON may say, as far as somebody reads it; whoever trains adds facts of its own."""

    format: Any
    step: Annotated[int, msgspec.Meta(ge=0)]
    optimizer: dict[str, dict[str, float | int | bool | str | None]]
    scaler: dict[str, float | int] | None
    student: Built
    feature_names: list[str]
    teacher: str | None
    scenes: str


def save(
    folder: Path,
    step: int,
    weights: dict[str, torch.Tensor],
    optimizer: torch.optim.Optimizer | None = None,
    state: dict[str, Any] | None = None,
    keep: int = 2,
) -> Path:
    """Write ``folder/step-XXXXXXXX`` whole or not at all, then drop all but the newest ``keep``.

    The files are written and synced in a hidden folder beside, which is renamed at the end: a process killed at any
    moment leaves either the complete checkpoint or none. Raises `CheckpointError` if the disk is full.
    """
    final = folder / f"step-{step:08d}"
    partial = folder / f".partial-{step:08d}-{os.getpid()}"
    with _disk_errors_named(folder, partial):
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".partial-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        partial.mkdir()
        save_file({key: value.detach().cpu().contiguous() for key, value in weights.items()}, partial / WEIGHTS)
        tensors, scalars = _flatten(optimizer) if optimizer else ({}, {})
        save_file(tensors, partial / OPTIMIZER)
        content = {"format": FORMAT, "step": step, "optimizer": scalars, **(state or {})}
        (partial / STATE).write_text(json.dumps(content, indent=1))
        for name in (WEIGHTS, OPTIMIZER, STATE):
            _sync(partial / name)
        if final.exists():
            shutil.rmtree(final)
        os.replace(partial, final)
        _sync(folder)
    for old in complete(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def complete(folder: Path) -> list[Path]:
    """All checkpoints in ``folder``, oldest first."""
    return sorted(path for path in folder.glob("step-*") if (path / STATE).is_file())


def latest(folder: Path) -> Path | None:
    """The newest checkpoint in ``folder``, if there is any."""
    found = complete(folder)
    return found[-1] if found else None


def read_state(path: Path) -> dict[str, Any]:
    """The JSON part of the checkpoint ``path``."""
    try:
        state = read_json(path / STATE, "state", CheckpointError)
        told = shaped(state, State, str(path / STATE), CheckpointError)
    except CheckpointError as error:
        raise CheckpointError(f"{path / STATE} cannot be read as JSON ({error}); delete that checkpoint") from error
    if told.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has checkpoint format {state.get('format')}, this pointlift reads format {FORMAT}; "
            "use the version of pointlift that wrote it"
        )
    return state


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The weights of the checkpoint ``path``."""
    return _tensors(path / WEIGHTS)


def load_strictly(module: torch.nn.Module, weights: dict[str, torch.Tensor], where: Path | str) -> None:
    """Load ``weights`` into ``module``; a `CheckpointError` names keys that are missing, unknown or misshapen."""
    own = module.state_dict()
    missing, unknown = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    shapes = [
        f"{key} is {tuple(weights[key].shape)} and should be {tuple(own[key].shape)}"
        for key in sorted(own.keys() & weights.keys())
        if own[key].shape != weights[key].shape
    ]
    if missing or unknown or shapes:
        parts = [("lacks", missing), ("has unknown", unknown), ("has other shapes:", shapes)]
        said = "; ".join(f"{what} {_some(keys)}" for what, keys in parts if keys)
        raise CheckpointError(f"{where} does not fit the network: it {said}")
    module.load_state_dict(weights)


def load_optimizer(path: Path, optimizer: torch.optim.Optimizer, scalars: dict[str, Any]) -> None:
    """Restore what `save` kept of ``optimizer``."""
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in _tensors(path / OPTIMIZER).items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    for name, value in scalars.get("values", {}).items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _flatten(optimizer: torch.optim.Optimizer) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    tensors: dict[str, torch.Tensor] = {}
    values: dict[str, Any] = {}
    for index, entries in optimizer.state_dict()["state"].items():
        for key, value in entries.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{index}.{key}"] = value.detach().cpu().contiguous()
            elif value is not None:
                values[f"{index}.{key}"] = value
    return tensors, {"values": values}


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} is damaged or missing ({error}); delete that checkpoint to go on from the one before"
        ) from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _disk_errors_named(folder: Path, partial: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        code = error.errno if isinstance(error, OSError) else None
        full = code in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)  # safetensors has the words alone
        reason = "the disk is full: free some space" if full else f"{error}"
        raise CheckpointError(
            f"the checkpoint in {folder} could not be written ({reason}); earlier checkpoints are kept and the same "
            "command goes on from the last one"
        ) from error


def _some(keys: list[str], most: int = 4) -> str:
    return ", ".join(keys[:most]) + (f" and {len(keys) - most} more" if len(keys) > most else "")
