"""Folders in the format of the transformers library: found, whole, and with a configuration that can be meant."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pointlift.errors import CheckpointError
from pointlift.teachers.transformers_import import import_transformers
from pointlift.tensor_files import why_unreadable

_CONFIGS = ("config.json", "preprocessor_config.json")
TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "spiece.model", "tokenizer.model"),
)
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_PICKLED = "a pickle, which is never loaded"
# Weights of other frameworks and forms, and what they are; what stands first is named first.
_OTHER_WEIGHTS = {
    "adapter_model.safetensors": "an adapter to another network's weights",
    "open_clip_model.safetensors": "OpenCLIP's own format",
    "open_clip_pytorch_model.bin": "OpenCLIP's own format, and a pickle",
    "pytorch_model.bin": _PICKLED,
    "pytorch_model.bin.index.json": _PICKLED,
    "tf_model.h5": "TensorFlow's weights",
    "saved_model.pb": "a network of TensorFlow",
    "flax_model.msgpack": "Flax's weights",
    "*.onnx": "a network of ONNX",
    "*.gguf": "weights of llama.cpp",
    "*.safetensors": "a file of another name",
    "*.pth": _PICKLED,
    "*.pt": _PICKLED,
    "*.bin": _PICKLED,
    "*.ckpt": _PICKLED,
    "*.npz": "weights of JAX",
}
# Configurations of other libraries.
_OTHER_CONFIGS = {
    "open_clip_config.json": "OpenCLIP",
    "params.json": "another library",
    "model_index.json": "diffusers",
    "adapter_config.json": "peft",
    "*.yaml": "another library",
}
# The largest values of settings that decide on sizes: beyond any network that there is.
_LARGEST = {
    **dict.fromkeys(("hidden_size", "intermediate_size", "projection_dim", "projection_size"), 65_536),
    **dict.fromkeys(("num_hidden_layers", "num_attention_heads", "num_register_tokens"), 1_000),
    **dict.fromkeys(("patch_size", "image_size", "max_position_embeddings", "num_patches"), 65_536),
    "vocab_size": 10_000_000,
}
_PAIRS = ("patch_size", "image_size", "hidden_size", "num_attention_heads", "num_hidden_layers")


def resolve_source(
    source: str,
    *,
    weights: bool = True,
    download: bool = False,
    key: str = "teacher.source",
    tokenizer: bool = False,
) -> Path:
    """The local folder behind a folder name or hub id, with the files that are needed.

    Args:
        source: folder, or hub id such as ``facebook/dinov2-small``.
        weights: whether the weights are needed beside the configuration.
        download: whether to fetch a hub id; otherwise only what is already in the hub's cache is used.
        key: recipe key that the source comes from, for messages.
        tokenizer: whether a download also fetches the files of a tokenizer.

    Raises:
        CheckpointError: naming the folder or id and what would be right.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        if folder.is_file():
            require_whole(folder.parent, [folder.name], key)
            raise CheckpointError(
                f"{key}: '{source}' is a file, and this teacher reads a folder with config.json and model.safetensors, "
                "or a hub id such as facebook/dinov2-small"
            )
        if folder.exists() or not _looks_like_hub_id(source):
            raise CheckpointError(
                f"{key}: '{source}' is not a folder; give a folder with config.json and model.safetensors, "
                "or a hub id such as facebook/dinov2-small"
            )
        folder = _hub_snapshot(source, weights, download, key, tokenizer)
    if not (folder / "config.json").is_file():
        other = _first_of(folder, _OTHER_CONFIGS)
        found = "" if other is None else f" ({other[0]} is a configuration of {other[1]})"
        raise CheckpointError(f"{key}: '{folder}' has no config.json{found}; give a folder in transformers' format")
    if weights and not _has_weights(folder):
        other = _first_of(folder, _OTHER_WEIGHTS)
        found = "no weights" if other is None else f"only {other[0]}, {other[1]}"
        raise CheckpointError(
            f"{key}: '{folder}' holds {found}; model.safetensors is needed there (save_pretrained of transformers "
            "writes it)"
        )
    require_whole(folder, ("config.json", *(_weight_files(folder) if weights else ())), key)
    return folder


def require_whole(folder: Path, names: Iterable[str], key: str = "teacher.source") -> None:
    """A `CheckpointError` if a file of a folder is a stand-in for its content or cut short: cause and remedy."""
    for name in names:
        cause = why_unreadable(folder / name)
        if cause is not None:
            raise CheckpointError(f"{key}: '{folder / name}' {cause}")


def _weight_files(folder: Path) -> list[str]:
    """The file of weights, or the index of several and these, as transformers chooses them."""
    single, index = _WEIGHTS
    if (folder / single).is_file():
        return [single]
    require_whole(folder, [index])
    try:
        names = sorted(set(json.loads((folder / index).read_bytes())["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{folder / index} is damaged ({first_line(error)}); download it again") from error
    lacking = [name for name in names if not (folder / str(name)).is_file()]
    if lacking:
        raise CheckpointError(
            f"'{folder}' lacks {lacking[0]}, one of the {len(names)} files that {index} names, so the teacher "
            "does not load; download all of them"
        )
    return [index, *names]


def _first_of(folder: Path, kinds: dict[str, str]) -> tuple[str, str] | None:
    """The name of the first file of one of these kinds, and what that is."""
    for pattern, what in kinds.items():
        found = sorted(path.name for path in folder.glob(pattern))
        if found:
            return found[0], what
    return None


def read_config(folder: Path) -> Any:
    """The transformers configuration in a folder; a `CheckpointError` if there is none that transformers reads.

    What it says of code to run, such as a kernel for the attention that lies on the hub, is left out.
    """
    path = folder / "config.json"
    values = {key: value for key, value in read_settings(path).items() if key != "auto_map"}
    kind = values.get("model_type")
    if not isinstance(kind, str):
        why = "is a configuration of timm" if "architecture" in values else "has no model_type"
        raise CheckpointError(f"{path} {why}; give a folder in transformers' format (save_pretrained writes it)")
    _check_sizes(values, path)
    transformers = import_transformers()
    if kind not in transformers.CONFIG_MAPPING:
        raise CheckpointError(
            f"{path} is not a configuration that transformers reads: version {transformers.__version__} does not know "
            f"the model_type '{kind}'; another version may"
        )
    try:
        with quiet():
            return transformers.CONFIG_MAPPING[kind].from_dict({**_without_code(values), "name_or_path": str(folder)})
    except Exception as error:  # each configuration checks itself in its own way
        said = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{path} is not a configuration that transformers reads: {said}") from error


def read_settings(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file of a teacher's folder; a `CheckpointError` names the file if there is none."""
    require_whole(path.parent, [path.name])
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged ({first_line(error)}); copy or download it again") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} is damaged: it holds a {type(values).__name__} and should hold names and values")
    return values


def _without_code(values: Any) -> Any:
    """The settings without those that choose an implementation, which may be code from the hub, at any depth."""
    if isinstance(values, dict):
        return {key: _without_code(value) for key, value in values.items() if not key.endswith("_implementation")}
    return [_without_code(value) for value in values] if isinstance(values, list) else values


def _check_sizes(values: dict[str, Any], path: Path, within: str = "") -> None:
    """A `CheckpointError` unless the settings that decide on sizes are whole numbers that a network can have."""
    for key, value in values.items():
        if isinstance(value, dict):
            _check_sizes(value, path, f"{within}{key}.")
        most = _LARGEST.get(key)
        sides = value if isinstance(value, list) and key in _PAIRS else [value]
        if most is None or (value is None and key != "projection_dim"):
            continue
        if not sides or not all(type(side) is int and 0 < side <= most for side in sides):
            raise CheckpointError(
                f"{path}: '{within}{key}' is {str(value)[:40]!r}, and should be a whole number from 1 to {most:,}"
            )
    channels = values.get("num_channels", 3)
    if channels != 3:
        raise CheckpointError(
            f"{path}: '{within}num_channels' is {channels!r}, and teachers look at images of 3 colours"
        )


def first_line(error: Exception) -> str:
    """The first line of an error of another library."""
    return str(error).strip().split("\n", 1)[0]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bar and load report off the terminal; what matters there is raised as an error."""
    from transformers.utils import logging

    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


def _has_weights(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _WEIGHTS)


def _looks_like_hub_id(source: str) -> bool:
    parts = source.split("/")
    return len(parts) <= 2 and all(parts) and not source.startswith((".", "~", "/")) and "\\" not in source


def _hub_snapshot(source: str, weights: bool, download: bool, key: str, tokenizer: bool) -> Path:
    from huggingface_hub import snapshot_download

    patterns = [*_CONFIGS, *(TOKENIZER_FILES if tokenizer else ())]
    if weights:
        patterns += ["model.safetensors", "model-*.safetensors", "model.safetensors.index.json"]
    try:
        folder = Path(snapshot_download(source, local_files_only=not download, allow_patterns=patterns))
        complete = (folder / "config.json").is_file() and (not weights or _has_weights(folder))
    except Exception as error:  # hub, network and file-system errors of many families: all mean that it is not here
        if download:
            raise CheckpointError(
                f"{key}: '{source}' could not be downloaded from the hub: {first_line(error)}"
            ) from error
        complete = False
    if not complete and not download:
        raise CheckpointError(
            f"{key}: '{source}' is neither a folder nor among the models already on this machine; "
            "give a local folder or set teacher.download=true"
        )
    return folder
