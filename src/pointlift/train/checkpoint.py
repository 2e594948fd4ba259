"""Atomic checkpoints without pickle: tensors in safetensors, the rest in JSON, in one folder per step."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
        _sweep(folder)
        partial.mkdir()
        save_file({key: value.detach().cpu().contiguous() for key, value in weights.items()}, partial / WEIGHTS)
        tensors, scalars = _flatten(optimizer) if optimizer else ({}, {})
        save_file(tensors, partial / OPTIMIZER)
        sums = {name: _checksum(partial / name) for name in (WEIGHTS, OPTIMIZER)}
        content = {"format": FORMAT, "step": step, "optimizer": scalars, **(state or {}), "sha256": sums}
        content["sha256"] = {STATE: _checksum_of_state(content), **sums}
        (partial / STATE).write_text(json.dumps(content, indent=1))
        for name in (WEIGHTS, OPTIMIZER, STATE):
            shutil.copymode(partial / STATE, partial / name)  # safetensors writes for one user alone
            _sync(partial / name)
        if final.exists():
            os.replace(final, _aside(final))
        os.replace(partial, final)
        _sync(folder)
    for old in complete(folder)[:-keep]:
        with suppress(OSError):
            os.replace(old, aside := _aside(old))  # at once: a process killed half-way leaves no half of a checkpoint
            shutil.rmtree(aside, ignore_errors=True)
    return final


def _aside(path: Path) -> Path:
    return path.with_name(f".partial-{path.name}-{uuid.uuid4().hex}")


def _sweep(folder: Path) -> None:
    """Remove what killed processes left: half-written checkpoints, and half-deleted ones older than the newest."""
    found = complete(folder)
    halves = [path for path in folder.glob("step-*") if found and path < found[-1] and path not in found]
    for leftover in [*folder.glob(".partial-*"), *halves]:
        shutil.rmtree(leftover, ignore_errors=True)


def complete(folder: Path) -> list[Path]:
    """All checkpoints in ``folder``, oldest first."""
    return sorted(path for path in folder.glob("step-*") if (path / STATE).is_file())


def latest(folder: Path) -> Path | None:
    """The newest checkpoint in ``folder``, if there is any."""
    found = complete(folder)
    return found[-1] if found else None


def read_state(path: Path) -> dict[str, Any]:
    """The JSON part of the checkpoint ``path``; a `CheckpointError` if it is damaged or that of another step."""
    try:
        state = read_json(path / STATE, "state", CheckpointError)
        told = shaped(state, State, str(path / STATE), CheckpointError)
    except CheckpointError as error:
        raise _unusable(path, path / STATE, error) from error
    if told.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has checkpoint format {state.get('format')}, this pointlift reads format {FORMAT}; "
            "use the version of pointlift that wrote it"
        )
    sums = state.get("sha256", {})
    if not isinstance(sums, dict) or sums.get(STATE, _checksum_of_state(state)) != _checksum_of_state(state):
        raise _unusable(path, path / STATE, "its checksum differs")
    try:
        msgspec.convert(state, _State)
    except msgspec.ValidationError as error:
        raise _unusable(path, path / STATE, error) from error
    if path.name.startswith("step-") and path.name != f"step-{state['step']:08d}":
        raise _unusable(path, path / STATE, f"it is that of step {state['step']}")
    return state


class _Shape(msgspec.Struct):
    in_channels: int
    out_channels: int


class _State(msgspec.Struct):
    """What is read of a state, to refuse one of another shape."""

    step: Annotated[int, msgspec.Meta(ge=0)]
    optimizer: dict[str, Any]
    student: _Shape | None = None
    feature_names: list[str] | None = None


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The weights of the checkpoint ``path``; a `CheckpointError` if they are damaged or not all finite."""
    weights = _tensors(path, WEIGHTS)
    bad = [key for key, value in weights.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if bad:
        raise _unusable(path, path / WEIGHTS, f"values of {_some(bad)} are not finite")
    return weights


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
    """Restore what `save` kept of ``optimizer``; a `CheckpointError` if that is not the state of such an optimizer."""
    state: dict[int, dict[str, Any]] = {}
    try:
        for name, value in [*_tensors(path, OPTIMIZER).items(), *scalars.get("values", {}).items()]:
            index, key = name.split(".", 1)
            state.setdefault(int(index), {})[key] = value
    except (AttributeError, ValueError) as error:
        raise _unusable(path, path / OPTIMIZER, error) from error
    parameters = [one for group in optimizer.param_groups for one in group["params"]]
    keeps = any(group.get("momentum", 1) for group in optimizer.param_groups)  # SGD without momentum keeps nothing
    if keeps and not state:
        raise _unusable(path, path / OPTIMIZER, "it is empty, and to go on without it would be another training")
    for index, entries in state.items():
        fits = index < len(parameters) and all(
            not isinstance(one, torch.Tensor) or one.numel() == 1 or one.shape == parameters[index].shape
            for one in entries.values()
        )
        if not fits:
            raise _unusable(path, path / OPTIMIZER, f"its entry {index} fits no parameter of the network")
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


def _tensors(path: Path, name: str) -> dict[str, torch.Tensor]:
    """The tensors of one file of a checkpoint, if they are those that were written."""
    expected = read_state(path).get("sha256", {}).get(name)  # checkpoints of earlier versions have none
    try:
        if expected is not None and _checksum(path / name) != expected:
            raise _unusable(path, path / name, "its checksum differs")
        return load_file(path / name)
    except (OSError, SafetensorError) as error:
        raise _unusable(path, path / name, error) from error


def _unusable(checkpoint: Path, file: Path, reason: object) -> CheckpointError:
    """What is said of a file that cannot be used, and how it goes on: from the checkpoint before, if there is one."""
    if isinstance(reason, PermissionError):
        return CheckpointError(f"{file} cannot be read: permission denied; ask its owner to let you read it")
    if isinstance(reason, FileNotFoundError):
        said = f"{file} is missing"
    elif file.name == STATE and isinstance(reason, ValueError):
        said = f"{file} is damaged: it cannot be read as JSON ({reason})"
    else:
        said = f"{file} is damaged ({reason})"
    earlier = [one for one in complete(checkpoint.parent) if one.name < checkpoint.name]
    if earlier:
        return CheckpointError(f"{said}; delete {checkpoint} to go on from the one before, {earlier[-1].name}")
    return CheckpointError(f"{said}; there is none before it: restore it, or delete {checkpoint} and train again")


def _checksum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _checksum_of_state(state: dict[str, Any]) -> str:
    """Of all but this checksum itself, as it is read again."""
    sums = state.get("sha256")
    others = {key: value for key, value in sums.items() if key != STATE} if isinstance(sums, dict) else sums
    return hashlib.sha256(json.dumps({**state, "sha256": others}, sort_keys=True).encode()).hexdigest()


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
