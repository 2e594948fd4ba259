"""Networks of the transformers library: found in a folder or the hub's cache, loaded strictly, never from a pickle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pointlift.documents import read_json
from pointlift.errors import CheckpointError
from pointlift.teachers.base import Teacher
from pointlift.teachers.shapes import SHAPES
from pointlift.teachers.transformers_import import import_transformers

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_CONFIGS = ("config.json", "preprocessor_config.json")
_TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "spiece.model", "tokenizer.model"),
)
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "*.pth", "*.pt", "*.bin")
# What a configuration says that does not change the network.
_VOLATILE = ("transformers_version", "_name_or_path", "dtype", "torch_dtype", "architectures", "id2label", "label2id")


class HubTeacher(Teacher):
    """A teacher whose network has a ``source`` and, as options too, ``random`` and ``download``."""

    @classmethod
    def stand_in(cls, **options: Any) -> dict[str, Any] | None:
        """``random`` for a well-known network whose weights are not on this machine and may not be downloaded."""
        source = options["source"]
        needed = source in SHAPES and not options["random"] and not options["download"] and not is_here(source)
        return {"random": True} if needed else None

    def __getstate__(self) -> dict[str, Any]:
        """Without the hooks that transformers puts on some networks as they run, since no pickle takes them.

        They are dropped for good: it puts them on again where it misses them.
        """
        for module in self.modules():
            module.__dict__.pop("_output_capturing_hooks_installed", None)
            for key, hook in list(module._forward_hooks.items()):
                if hook.__module__.startswith("transformers."):
                    del module._forward_hooks[key]
        return self.__dict__.copy()


def is_here(source: str) -> bool:
    """Whether a folder, checkpoint file or hub id has its configuration and weights on this machine already."""
    if Path(source).expanduser().is_file():
        return True
    try:
        resolve_source(source)
    except CheckpointError:
        return False
    return True


def find(
    source: str, *, random: bool, download: bool, key: str = "teacher.source", tokenizer: bool = False
) -> tuple[Path | None, Any]:
    """Folder and configuration of a network.

    Of a random network only the configuration is needed. That of a well-known id is in `SHAPES`, whatever is on this
    machine, and there is no folder.

    Raises:
        CheckpointError: as `resolve_source` and `read_config` do.
    """
    if random and source in SHAPES and not Path(source).is_dir():
        return None, import_transformers().AutoConfig.for_model(**SHAPES[source])
    folder = resolve_source(source, weights=not random, download=download, key=key, tokenizer=tokenizer)
    return folder, read_config(folder)


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
        if folder.exists() or not _looks_like_hub_id(source):
            raise CheckpointError(
                f"{key}: '{source}' is not a folder; give a folder with config.json and model.safetensors, "
                "or a hub id such as facebook/dinov2-small"
            )
        folder = _hub_snapshot(source, weights, download, key, tokenizer)
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{key}: '{folder}' has no config.json; give a folder in transformers' format")
    if weights and not _has_weights(folder):
        pickled = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
        found = f"only {pickled[0]}, a pickle, which is never loaded" if pickled else "no weights"
        raise CheckpointError(
            f"{key}: '{folder}' holds {found}; model.safetensors is needed there (save_pretrained of transformers "
            "writes it)"
        )
    return folder


def read_config(folder: Path) -> Any:
    """The transformers configuration in a folder; a `CheckpointError` if there is none that transformers reads."""
    try:
        return import_transformers().AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder / 'config.json'} is not a configuration that transformers reads: {first_line(error)}"
        ) from error


def build_network(
    factory: Any, folder: Path | None, config: Any, random_seed: int | None, unused: Callable[[str], bool]
) -> nn.Module:
    """A network of transformers in float32: random if a seed is given, else with the folder's weights, all of them.

    Args:
        factory: class of transformers such as ``CLIPVisionModelWithProjection`` or ``AutoModel``.
        folder: where the weights are; None if the network is random.
        config: its configuration.
        random_seed: seed of random weights; None loads those of the folder.
        unused: tells of the name of a tensor (without the network's prefix) whether it may be absent or left over.

    Raises:
        CheckpointError: weights that are damaged or do not fit the configuration.
    """
    with torch.random.fork_rng(devices=[]), quiet():  # loading may draw random numbers too; leave the caller's alone
        if folder is None or random_seed is not None:
            torch.manual_seed(random_seed or 0)
            construct = getattr(factory, "from_config", None) or factory._from_config
            return _attempt(construct, config, folder).float()
        model, loading = _attempt(
            factory.from_pretrained,
            folder,
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    _check_loading(model, loading, folder, unused)
    return model.float()


def normalisation(
    folder: Path | None, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation (1, 3, 1, 1) of the folder's preprocessor_config.json; those given if it has none."""
    path = None if folder is None else folder / "preprocessor_config.json"
    if path is not None and path.is_file():
        try:
            settings = read_json(path, "configuration", CheckpointError)
            plain = not settings.get("do_normalize", True)
            mean = (0.0,) * 3 if plain else [float(value) for value in settings.get("image_mean", mean)]
            std = (1.0,) * 3 if plain else [float(value) for value in settings.get("image_std", std)]
        except (ValueError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path} is damaged: {error}") from error
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise CheckpointError(f"{path}: image_mean and image_std must be three numbers each, std above 0")
    return torch.tensor(mean).view(1, 3, 1, 1), torch.tensor(std).view(1, 3, 1, 1)


def lasting_settings(config: Any) -> dict[str, Any]:
    """The part of a configuration that determines what the network computes, for fingerprints."""
    return {key: value for key, value in config.to_dict().items() if key not in _VOLATILE}


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

    patterns = [*_CONFIGS, *(_TOKENIZER if tokenizer else ())]
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


def _attempt(construct: Callable[..., Any], argument: Any, folder: Path | None, **options: Any) -> Any:
    try:
        return construct(argument, **options)
    except Exception as error:  # safetensors, transformers and torch each have their own; all mean a bad checkpoint
        where = "of its known shape" if folder is None else f"in '{folder}'"
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise CheckpointError(f"the teacher {where} does not load: {reason}") from error


def _check_loading(model: nn.Module, loading: dict[str, Any], folder: Path, unused: Callable[[str], bool]) -> None:
    """Refuse weights that do not fit: transformers fills gaps with random numbers and drops what is left over."""
    prefix = f"{getattr(model, 'base_model_prefix', '')}."
    parts = tuple(f"{name}." for name, _ in model.named_children())
    missing = [key for key in loading["missing_keys"] if not unused(key)]
    left_over = [
        key
        for key in loading["unexpected_keys"]
        if (key.startswith(parts) or key.removeprefix(prefix).startswith(parts))
        and not unused(key.removeprefix(prefix))
    ]
    mismatched = [str(item) for item in loading.get("mismatched_keys", ())]
    for what, keys in (("lack", missing), ("have besides", left_over), ("have in another shape", mismatched)):
        if keys:
            raise CheckpointError(
                f"the weights in '{folder}' do not fit its config.json: they {what} {len(keys)} tensors "
                f"such as {sorted(keys)[0]}; give a folder whose two files belong together"
            )
    for name, tensor in model.state_dict().items():
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"the weights in '{folder}' are damaged: {name} holds values that are not finite")
