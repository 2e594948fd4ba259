"""DINOv2 and any other plain vision transformer that the transformers library reads, as a dense teacher."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from pointlift.errors import CheckpointError, RecipeError
from pointlift.registry import TEACHERS
from pointlift.teachers.base import Teacher, fingerprint_of
from pointlift.teachers.transformers_import import import_transformers

if TYPE_CHECKING:
    from pointlift.data.scene import View

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "*.pth", "*.pt", "*.bin")
# Present in some checkpoints and not in others, and without influence on patch features.
_UNUSED_KEYS = ("pooler.", "mask_token")


@TEACHERS.register("dinov2")
class DINOv2(Teacher):
    """Patch features of DINOv2 or another vision transformer (ViT, DINOv2 with registers, DINOv3), from its own files.

    Args:
        source: a local folder with ``config.json`` and ``model.safetensors`` (``~`` is the home folder), or an id of
            the Hugging Face hub.
        layer: i gives the output of block i, as ``hidden_states[i]`` of transformers (0: the embeddings); None the
            output of the last block before the final norm, as in ScaLR. Blocks after it are not computed.
        random: the same network with random weights, as a control; of the source only ``config.json`` is read.
        random_seed: seed of these random weights.
        download: whether a hub id that is not on this machine may be downloaded.

    Raises:
        CheckpointError: files that are missing, damaged, in pickle format, or do not fit the configuration.
        RecipeError: a layer that the network lacks, or a network that is not a plain vision transformer.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        source: str = "facebook/dinov2-small",
        layer: Annotated[int, Field(ge=0)] | None = None,
        random: bool = False,
        random_seed: Annotated[int, Field(ge=0)] = 0,
        download: bool = False,
    ) -> None:
        super().__init__()
        folder = resolve_source(source, weights=not random, download=download)
        model, config = _build(folder, random_seed if random else None)
        self.layer = _truncate(model, config, layer, folder)
        self.model = model
        self._takes_interpolation = "interpolate_pos_encoding" in inspect.signature(model.forward).parameters
        mean, std = _normalisation(folder)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        self.dim = int(config.hidden_size)
        self.stride = _patch_size(config, folder)
        self.freeze()
        self.prefix_tokens = self._count_prefix_tokens(folder)
        settings = {key: value for key, value in config.to_dict().items() if key not in _VOLATILE}
        self.fingerprint = fingerprint_of(self, layer=self.layer, config=settings)

    def _features(self, images: Tensor, views: Sequence[View] | None) -> Tensor:
        height, width = images.shape[2] // self.stride, images.shape[3] // self.stride
        tokens = self._run(images)[:, self.prefix_tokens :]  # (B, h w, D)
        return tokens.transpose(1, 2).reshape(len(images), self.dim, height, width)

    def _run(self, images: Tensor) -> Tensor:
        options = {"interpolate_pos_encoding": True} if self._takes_interpolation else {}
        # The blocks after the chosen one and the final norm are gone, so the last hidden state is hidden_states[layer].
        return self.model(pixel_values=(images - self.mean) / self.std, **options).last_hidden_state

    def _count_prefix_tokens(self, folder: Path) -> int:
        """How many tokens stand before the patches (class token, registers), seen on a small image of 2 × 3 patches."""
        try:
            with torch.no_grad():
                tokens = self._run(torch.zeros(1, 3, 2 * self.stride, 3 * self.stride))
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise _not_a_vit(folder, f"it does not run on an image of 2 x 3 patches: {_first_line(error)}") from error
        if tokens.ndim != 3 or tokens.shape[1] < 6 or tokens.shape[2] != self.dim:
            raise _not_a_vit(folder, f"6 patches give an output of shape {tuple(tokens.shape)}")
        return int(tokens.shape[1]) - 6


_VOLATILE = ("transformers_version", "_name_or_path", "dtype", "torch_dtype", "architectures", "id2label", "label2id")


def resolve_source(source: str, *, weights: bool = True, download: bool = False) -> Path:
    """The local folder behind a folder name or hub id, with the files that are needed.

    Args:
        source: folder, or hub id such as ``facebook/dinov2-small``.
        weights: whether the weights are needed beside the configuration.
        download: whether to fetch a hub id; otherwise only what is already in the hub's cache is used.

    Raises:
        CheckpointError: naming the folder or id and what would be right.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        if folder.exists() or not _looks_like_hub_id(source):
            raise CheckpointError(
                f"teacher.source: '{source}' is not a folder; give a folder with config.json and model.safetensors, "
                "or a hub id such as facebook/dinov2-small"
            )
        folder = _hub_snapshot(source, weights, download)
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"teacher.source: '{folder}' has no config.json; give a folder in transformers' format")
    if weights and not any((folder / name).is_file() for name in _WEIGHTS):
        pickled = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
        found = f"only {pickled[0]}, a pickle, which is never loaded" if pickled else "no weights"
        raise CheckpointError(f"teacher.source: '{folder}' holds {found}; model.safetensors is needed there")
    return folder


def _looks_like_hub_id(source: str) -> bool:
    parts = source.split("/")
    return len(parts) <= 2 and all(parts) and not source.startswith((".", "~", "/")) and "\\" not in source


def _hub_snapshot(source: str, weights: bool, download: bool) -> Path:
    from huggingface_hub import snapshot_download

    patterns = ["config.json", "preprocessor_config.json"]
    if weights:
        patterns += ["model.safetensors", "model-*.safetensors", "model.safetensors.index.json"]
    try:
        folder = Path(snapshot_download(source, local_files_only=not download, allow_patterns=patterns))
        complete = (folder / "config.json").is_file() and (
            not weights or any((folder / name).is_file() for name in _WEIGHTS)
        )
    except Exception as error:  # hub, network and file-system errors of many families: all mean that it is not here
        if download:
            raise CheckpointError(
                f"teacher.source: '{source}' could not be downloaded from the hub: {_first_line(error)}"
            ) from error
        complete = False
    if not complete and not download:
        raise CheckpointError(
            f"teacher.source: '{source}' is neither a folder nor among the models already on this machine; "
            "give a local folder or set teacher.download=true"
        )
    return folder


def _build(folder: Path, random_seed: int | None) -> tuple[nn.Module, Any]:
    """The network in float32 and its configuration; random weights if a seed is given, else those of the folder."""
    transformers = import_transformers()
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder / 'config.json'} is not a configuration that transformers reads: {_first_line(error)}"
        ) from error
    if random_seed is not None:
        with torch.random.fork_rng(devices=[]), _quiet():
            torch.manual_seed(random_seed)
            return _auto_model(transformers.AutoModel.from_config, config, folder).float(), config
    with torch.random.fork_rng(devices=[]), _quiet():  # loading may draw random numbers first; leave the caller's alone
        model, loading = _auto_model(
            transformers.AutoModel.from_pretrained,
            folder,
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    _check_loading(model, loading, folder)
    return model.float(), config


def _auto_model(factory: Any, argument: Any, folder: Path, **options: Any) -> Any:
    try:
        return factory(argument, **options)
    except Exception as error:  # safetensors, transformers and torch each have their own; all mean a bad checkpoint
        reason = f"{type(error).__name__}: {_first_line(error)}"
        raise CheckpointError(f"the teacher in '{folder}' does not load: {reason}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]


def _check_loading(model: nn.Module, loading: dict[str, Any], folder: Path) -> None:
    """Refuse weights that do not fit: transformers fills gaps with random numbers and drops what is left over."""
    prefix = f"{getattr(model, 'base_model_prefix', '')}."
    parts = tuple(f"{name}." for name, _ in model.named_children())
    missing = [key for key in loading["missing_keys"] if not _unused(key)]
    left_over = [
        key
        for key in loading["unexpected_keys"]
        if key.removeprefix(prefix).startswith(parts) and not _unused(key.removeprefix(prefix))
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


def _unused(key: str) -> bool:
    return key.startswith(_UNUSED_KEYS[0]) or key.endswith(_UNUSED_KEYS[1])


def _truncate(model: nn.Module, config: Any, layer: int | None, folder: Path) -> int:
    """Drop in place what comes after block ``layer``; return the layer as a number."""
    depth = int(getattr(config, "num_hidden_layers", 0))
    stacks = [
        (parent, name)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.ModuleList) and len(child) == depth
    ]
    norms = [name for name in ("layernorm", "norm") if isinstance(getattr(model, name, None), nn.LayerNorm)]
    if len(stacks) != 1 or len(norms) != 1:
        raise _not_a_vit(folder, f"its model type is '{config.model_type}'")
    chosen = depth if layer is None else layer
    if not 0 <= chosen <= depth:
        raise RecipeError(f"teacher.layer is {layer}, but '{folder}' has {depth} blocks; choose 0 to {depth}")
    parent, name = stacks[0]
    setattr(parent, name, getattr(parent, name)[:chosen])
    setattr(model, norms[0], nn.Identity())
    if isinstance(getattr(model, "pooler", None), nn.Module):
        model.add_module("pooler", None)
    return chosen


def _not_a_vit(folder: Path, why: str) -> RecipeError:
    return RecipeError(
        f"teacher.source: '{folder}' is not a plain vision transformer ({why}); "
        "give one of the kinds dinov2, dinov2_with_registers, dinov3_vit or vit"
    )


def _patch_size(config: Any, folder: Path) -> int:
    size = getattr(config, "patch_size", None)
    sides = set(size) if isinstance(size, (list, tuple)) else {size}
    if len(sides) != 1 or not isinstance(side := sides.pop(), int):
        raise _not_a_vit(folder, f"its patch size is {size}")
    return side


def _normalisation(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the folder's preprocessor_config.json, ImageNet's where it has none."""
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return IMAGENET_MEAN, IMAGENET_STD
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        if not settings.get("do_normalize", True):
            return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        mean = tuple(float(value) for value in settings.get("image_mean", IMAGENET_MEAN))
        std = tuple(float(value) for value in settings.get("image_std", IMAGENET_STD))
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise CheckpointError(f"{path}: image_mean and image_std must be three numbers each, std above 0")
    return mean, std


@contextmanager
def _quiet() -> Iterator[None]:
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
