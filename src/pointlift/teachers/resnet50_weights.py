"""Weights of a ResNet-50 out of what others publish: transformers' format, or checkpoints with torchvision's names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pointlift.documents import read_json
from pointlift.errors import CheckpointError, RecipeError
from pointlift.teachers.folders import first_line, read_config, resolve_source
from pointlift.tensor_files import read_checkpoint

# Where training scripts put the weights in what they save.
_HOLDERS = ("state_dict", "model", "network", "teacher")
# First parts of the names of classifiers and projection heads, which dense features do not need.
_HEADS = ("fc", "head", "classifier", "projection_head", "projector", "prototypes")
# The children of torchvision's network in their order.
_NUMBERED = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4", "9": "fc"}
# Of encoders beside each other: what the one is called that follows, and the one that is trained.
_FOLLOWS = re.compile(r"momentum|(^|[._])(k|key|target|teacher|ema|mean|slow|offline|old)([._]|$)")
_LEADS = re.compile(r"(^|[._])(q|query|online|student|fast|encoder|backbone)([._]|$)")
_SHAPE = {"depths": [3, 4, 6, 3], "hidden_sizes": [256, 512, 1024, 2048], "layer_type": "bottleneck"}


def load_weights(network: nn.Module, source: str, download: bool) -> Path | None:
    """Load a ResNet-50's weights strictly.

    Args:
        network: takes them; its names are torchvision's.
        source: checkpoint file; or folder, or hub id, in transformers' format.
        download: whether a hub id that is not on this machine may be downloaded.

    Returns:
        The folder, if it was one.

    Raises:
        CheckpointError: naming the file and the first tensor that is missing, left over, misshapen or not finite.
    """
    file = Path(source).expanduser()
    folder = None if file.is_file() else resolve_source(source, download=download)
    if folder is None:
        tensors = _without_prefix(_read_checkpoint(file), file)
    else:
        _require_resnet50(read_config(folder), folder)
        tensors = _renamed(_read_safetensors(folder))
    _load_strictly(network, tensors, folder or file)
    return folder


def _read_checkpoint(file: Path) -> dict[str, Tensor]:
    try:
        content = read_checkpoint(file)
    except CheckpointError as error:
        raise CheckpointError(f"teacher.source: {error}") from error
    for holder in (*(content.get(key) for key in _HOLDERS), content) if isinstance(content, Mapping) else ():
        tensors = {str(key): value for key, value in _items(holder) if isinstance(value, Tensor)}
        if tensors:
            return tensors
    raise CheckpointError(f"teacher.source: '{file}' holds no tensors; give the checkpoint of a ResNet-50")


def _items(holder: Any) -> Iterable[tuple[Any, Any]]:
    return holder.items() if isinstance(holder, Mapping) else ()


def _without_prefix(tensors: Mapping[str, Tensor], file: Path) -> dict[str, Tensor]:
    """The weights under the prefix that has a ResNet's first convolution; of two encoders, those of the trained one."""
    tensors = _named(tensors)
    stems = [key.removesuffix("conv1.weight") for key in tensors if re.search(r"(^|\.)conv1\.weight$", key)]
    stems = [stem for stem in stems if f"{stem}layer1.0.conv1.weight" in tensors]
    if not stems:
        raise CheckpointError(
            f"teacher.source: '{file}' does not hold a ResNet with torchvision's names (conv1.weight, "
            f"layer1.0.conv1.weight, …), but {min(tensors)} and {len(tensors) - 1} others; {_other_names(tensors)}"
        )
    networks = {
        stem: {key.removeprefix(stem): value for key, value in tensors.items() if key.startswith(stem)}
        for stem in stems
    }
    return networks[_trained(networks, file)]


def _trained(networks: Mapping[str, dict[str, Tensor]], file: Path) -> str:
    """Which of the networks in a checkpoint was trained.

    Self-supervised checkpoints hold two beside each other, one that is trained and one that follows it: a moving
    average, or copies from before. Which is which, only the names say.
    """
    stems = sorted(networks)
    if len(stems) > 1:
        stems = [stem for stem in stems if not _FOLLOWS.search(stem)]
    if len(stems) > 1:
        stems = [stem for stem in stems if _LEADS.search(stem)] or stems
    if not stems or any(not _same(networks[stems[0]], networks[stem]) for stem in stems[1:]):
        raise CheckpointError(
            f"teacher.source: '{file}' holds {len(networks)} ResNets ({', '.join(sorted(networks))}), and which "
            "of them was trained is not to be seen from their names; save the weights of that one alone"
        )
    return stems[0]


def _same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return all(key in other and torch.equal(one[key], other[key]) for key in one if key.startswith(("conv1", "layer")))


def _named(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of ``nn.Sequential(*resnet.children())``, which are numbered, under their names."""
    found = (re.fullmatch(r"(.*?)4\.0\.conv1\.weight", key) for key in tensors)
    stems = [match[1] for match in found if match and tensors.get(f"{match[1]}0.weight", torch.empty(0)).ndim == 4]
    renamed = {}
    for key, value in tensors.items():
        stem = next((stem for stem in stems if key.startswith(stem)), None)
        number, _, rest = key.removeprefix(stem or "").partition(".")
        named = stem is not None and number in _NUMBERED
        renamed[f"{stem}{_NUMBERED[number]}.{rest}" if named else key] = value
    return renamed


def _other_names(tensors: Mapping[str, Tensor]) -> str:
    """What else publishes ResNets, seen from the names, and what to do with it."""
    if any(key.startswith(("resnet.encoder.", "encoder.stages.")) for key in tensors):
        return "these are transformers' names: give the folder that has config.json, too"
    if any(re.search(r"(^|\.)(res2|stem)\.", key) for key in tensors):
        return "these are Detectron2's names: rename them to torchvision's"
    if any(re.search(r"(^|\.)patch_embed\.", key) for key in tensors):
        return "these are a vision transformer's: choose the teacher dinov2"
    return "give a checkpoint whose tensors are called as in torchvision"


def _require_resnet50(config: Any, folder: Path) -> None:
    wrong = [
        f"its {key} is {getattr(config, key, None)}" for key, value in _SHAPE.items() if _differs(config, key, value)
    ]
    if config.model_type != "resnet":
        wrong = [f"its model type is '{config.model_type}'"]
    elif config.downsample_in_first_stage or getattr(config, "downsample_in_bottleneck", False):
        wrong.append("its strides are in other places")
    if wrong:
        raise RecipeError(
            f"teacher.source: '{folder}' is not a ResNet-50 ({wrong[0]}); give one in transformers' ResNet format, "
            "such as microsoft/resnet-50, or a checkpoint file with torchvision's names"
        )


def _differs(config: Any, key: str, value: Any) -> bool:
    found = getattr(config, key, None)
    return (list(found) if isinstance(found, (list, tuple)) else found) != value


def _read_safetensors(folder: Path) -> dict[str, Tensor]:
    index = folder / "model.safetensors.index.json"
    try:
        names = ["model.safetensors"]
        if not (folder / names[0]).is_file():
            names = sorted(set(read_json(index, "index", CheckpointError)["weight_map"].values()))
        return {key: value for name in names for key, value in load_file(folder / name).items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise CheckpointError(f"the teacher in '{folder}' does not load: {first_line(error)}") from error


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """transformers' names as torchvision's: ``encoder.stages.0.layers.1.layer.2.…`` is ``layer1.1.conv3/bn3``."""
    renamed = {}
    for key, value in tensors.items():
        name = key.removeprefix("resnet.")
        name = name.replace("embedder.embedder.convolution.", "conv1.").replace(
            "embedder.embedder.normalization.", "bn1."
        )
        match = re.fullmatch(r"encoder\.stages\.(\d)\.layers\.(\d)\.(shortcut|layer\.(\d))\.(\w+)\.(\w+)", name)
        if match:
            stage, block, _, place, kind, tensor = match.groups()
            convolution = kind == "convolution"
            part = f"downsample.{0 if convolution else 1}"
            if place is not None:
                part = f"{'conv' if convolution else 'bn'}{int(place) + 1}"
            name = f"layer{int(stage) + 1}.{block}.{part}.{tensor}"
        renamed[name] = value
    return renamed


def _load_strictly(network: nn.Module, tensors: Mapping[str, Tensor], where: Path) -> None:
    own = {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    given = {key: value for key, value in tensors.items() if not key.endswith("num_batches_tracked")}
    given = {key: value for key, value in given.items() if key.split(".")[0] not in _HEADS}
    misshapen = [key for key in own.keys() & given.keys() if own[key].shape != given[key].shape]
    lacking, left_over = own.keys() - given.keys(), given.keys() - own.keys()
    for what, keys in (("lack", lacking), ("have besides", left_over), ("have in another shape", misshapen)):
        if keys:
            raise CheckpointError(
                f"the weights in '{where}' are not a ResNet-50's: they {what} {len(keys)} tensors such as {min(keys)}"
            )
    for key, value in given.items():
        if not bool(torch.isfinite(value).all()):
            raise CheckpointError(f"the weights in '{where}' are damaged: {key} holds values that are not finite")
    network.load_state_dict({key: value.float() for key, value in given.items()}, strict=False)
