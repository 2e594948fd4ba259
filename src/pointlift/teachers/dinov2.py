"""DINOv2 and any other plain vision transformer that the transformers library reads, as a dense teacher."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from pointlift.errors import RecipeError
from pointlift.options import LOCAL, RANDOM_TEACHER, TEACHER_SOURCE
from pointlift.registry import TEACHERS
from pointlift.teachers.base import fingerprint_of
from pointlift.teachers.folders import first_line
from pointlift.teachers.hub import HubTeacher, build_network, find, lasting_settings, normalisation
from pointlift.teachers.tokens import grid_tokens
from pointlift.teachers.transformers_import import import_transformers

if TYPE_CHECKING:
    from pointlift.data.scene import View

# Present in some checkpoints and not in others, and without influence on patch features.
_UNUSED_KEYS = ("pooler.", "mask_token")


@TEACHERS.register("dinov2")
class DINOv2(HubTeacher):
    """Patch features of DINOv2 or another vision transformer (ViT, DINOv2 with registers, DINOv3), from its own files.

    Args:
        source: a local folder with ``config.json`` and ``model.safetensors`` (``~`` is the home folder), or an id of
            the Hugging Face hub.
        layer: i gives the output of block i, as ``hidden_states[i]`` of transformers (0: the embeddings); None the
            output of the last block before the final norm, as in ScaLR. Blocks after it are not computed.
        random: the same network with random weights, as a control; of the source only ``config.json`` is read,
            and for the well-known ids of `pointlift.teachers.shapes` no file at all.
        random_seed: seed of these random weights.
        download: whether a hub id that is not on this machine may be downloaded.
        token_grid: G of the token set: the class token of the same layer and the means of G × G cells of patches.

    Raises:
        CheckpointError: files that are missing, damaged, in pickle format, or do not fit the configuration.
        RecipeError: a layer that the network lacks, or a network that is not a plain vision transformer.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        source: Annotated[str, TEACHER_SOURCE] = "facebook/dinov2-small",
        layer: Annotated[int, Field(ge=0)] | None = None,
        random: Annotated[bool, RANDOM_TEACHER] = False,
        random_seed: Annotated[int, Field(ge=0)] = 0,
        download: Annotated[bool, LOCAL] = False,
        token_grid: Annotated[int, Field(ge=0)] = 2,
    ) -> None:
        super().__init__()
        folder, config = find(source, random=random, download=download)
        seed = random_seed if random else None
        model = build_network(import_transformers().AutoModel, folder, config, seed, _unused)
        name = str(folder or source)
        self.layer = _truncate(model, config, layer, name)
        self.model = model
        self._takes_interpolation = "interpolate_pos_encoding" in inspect.signature(model.forward).parameters
        mean, std = normalisation(folder)
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.dim = int(config.hidden_size)
        self.stride = _patch_size(config, name)
        self.freeze()
        self.prefix_tokens = self._count_prefix_tokens(name)
        self.fingerprint = fingerprint_of(self, "DINOv2", layer=self.layer, config=lasting_settings(config))
        self.token_grid, self.token_settings = token_grid, str(token_grid)
        self.token_shape = (min(1, self.prefix_tokens) + token_grid**2, self.dim)

    def tokens(self, images: Tensor, views: Sequence[View] | None = None) -> Tensor:
        """The class token and the means of G × G cells of patches, (B, 1 + G², D), of the same layer as the features.

        A network without a class token gives the means alone.
        """
        self._check(images)
        height, width = images.shape[2] // self.stride, images.shape[3] // self.stride
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            everything = self._run(images.to(self.device, torch.float32))
        patches = everything[:, self.prefix_tokens :].transpose(1, 2).unflatten(2, (height, width))
        return torch.cat([everything[:, : min(1, self.prefix_tokens)], grid_tokens(patches, self.token_grid)], dim=1)

    def _features(self, images: Tensor, views: Sequence[View] | None) -> Tensor:
        height, width = images.shape[2] // self.stride, images.shape[3] // self.stride
        tokens = self._run(images)[:, self.prefix_tokens :]  # (B, h w, D)
        return tokens.transpose(1, 2).reshape(len(images), self.dim, height, width)

    def _run(self, images: Tensor) -> Tensor:
        options = {"interpolate_pos_encoding": True} if self._takes_interpolation else {}
        # The blocks after the chosen one and the final norm are gone, so the last hidden state is hidden_states[layer].
        return self.model(pixel_values=(images - self.mean) / self.std, **options).last_hidden_state

    def _count_prefix_tokens(self, name: str) -> int:
        """How many tokens stand before the patches (class token, registers), seen on a small image of 2 × 3 patches."""
        try:
            with torch.no_grad():
                tokens = self._run(torch.zeros(1, 3, 2 * self.stride, 3 * self.stride))
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise _not_a_vit(name, f"it does not run on an image of 2 x 3 patches: {first_line(error)}") from error
        if tokens.ndim != 3 or tokens.shape[1] < 6 or tokens.shape[2] != self.dim:
            raise _not_a_vit(name, f"6 patches give an output of shape {tuple(tokens.shape)}")
        return int(tokens.shape[1]) - 6


def _unused(key: str) -> bool:
    return key.startswith(_UNUSED_KEYS[0]) or key.endswith(_UNUSED_KEYS[1])


def _truncate(model: nn.Module, config: Any, layer: int | None, source: str) -> int:
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
        raise _not_a_vit(source, f"its model type is '{config.model_type}'")
    chosen = depth if layer is None else layer
    if not 0 <= chosen <= depth:
        raise RecipeError(f"teacher.layer is {layer}, but '{source}' has {depth} blocks; choose 0 to {depth}")
    parent, name = stacks[0]
    setattr(parent, name, getattr(parent, name)[:chosen])
    setattr(model, norms[0], nn.Identity())
    if isinstance(getattr(model, "pooler", None), nn.Module):
        model.add_module("pooler", None)
    return chosen


def _not_a_vit(name: str, why: str) -> RecipeError:
    return RecipeError(
        f"teacher.source: '{name}' is not a plain vision transformer ({why}); "
        "give one of the kinds dinov2, dinov2_with_registers, dinov3_vit or vit"
    )


def _patch_size(config: Any, name: str) -> int:
    size = getattr(config, "patch_size", None)
    sides = set(size) if isinstance(size, (list, tuple)) else {size}
    if len(sides) != 1 or not isinstance(side := sides.pop(), int):
        raise _not_a_vit(name, f"its patch size is {size}")
    return side
