"""The text side of CLIP, SigLIP and SigLIP 2: prompts to embeddings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pointlift.errors import CheckpointError, RecipeError
from pointlift.teachers.base import fingerprint_of
from pointlift.teachers.folders import TOKENIZER_FILES, first_line, quiet, require_whole, resolve_source
from pointlift.teachers.hub import build_network, find, lasting_settings
from pointlift.teachers.transformers_import import import_transformers

_NETWORKS = {
    "clip_text_model": "CLIPTextModelWithProjection",
    "siglip_text_model": "SiglipTextModel",
    "siglip2_text_model": "Siglip2TextModel",
}
_VOCABULARIES = ("tokenizer.json", "vocab.json", "spiece.model", "tokenizer.model")
_BATCH = 64


class TextEncoder(nn.Module):
    """The frozen text tower and tokenizer of a CLIP, SigLIP or SigLIP 2, in transformers' format.

    A SigLIP's prompts are put in lower case, ended with its end token and padded to the full length at the right, as in
    its training.

    Args:
        source: a local folder with ``config.json``, ``model.safetensors`` and the files of a tokenizer, or a hub id.
        download: whether a hub id that is not on this machine may be downloaded.
        random: the same network with random weights, as a control; the tokenizer is needed all the same.
        random_seed: seed of these random weights.
        key: recipe key that the source comes from, for messages.

    Raises:
        CheckpointError: files that are missing, damaged, in pickle format, or do not fit each other.
        RecipeError: a network that has no text side of these kinds.
    """

    dim: int
    fingerprint: str

    def __init__(
        self,
        source: str,
        *,
        download: bool = False,
        random: bool = False,
        random_seed: int = 0,
        key: str = "teacher.source",
    ) -> None:
        super().__init__()
        folder, config = find(source, random=random, download=download, key=key, tokenizer=True)
        config = _text_config(config, str(folder or source), key)
        self.tokenizer = _tokenizer(folder or _tokenizer_folder(source, download, key), config, key)
        network = getattr(import_transformers(), _NETWORKS[config.model_type])
        self.model = build_network(network, folder, config, random_seed if random else None, _unused)
        self.is_clip = config.model_type == "clip_text_model"
        self.longest = int(config.max_position_embeddings)
        end, padding = self.tokenizer.eos_token_id, self.tokenizer.pad_token_id
        self.padding = end if padding is None else padding
        self.dim = int(config.projection_dim if self.is_clip else config.projection_size)
        self.source = source
        self.requires_grad_(False)
        self.train(False)
        vocabulary = json.dumps(sorted(self.tokenizer.get_vocab().items())).encode()
        self.fingerprint = fingerprint_of(
            self, "TextEncoder", config=lasting_settings(config), vocabulary=hashlib.sha256(vocabulary).hexdigest()
        )

    def train(self, mode: bool = True) -> TextEncoder:
        """Stay in eval mode, whatever a parent does."""
        super().train(False)
        return self

    def embed(self, prompts: Sequence[str]) -> Tensor:
        """Embeddings (C, D) float32 of C prompts in the space of the images', not normalised, on the encoder's device.

        Raises:
            RecipeError: naming the prompt if one has more tokens than the network takes.
        """
        prompts = [prompt if self.is_clip else prompt.lower() for prompt in prompts]
        device = next(self.model.parameters()).device
        batches = [prompts[start : start + _BATCH] for start in range(0, len(prompts), _BATCH)]
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            rows = [self._embed_batch(batch, device) for batch in batches]
        return torch.cat([torch.empty(0, self.dim, device=device), *rows])

    def _embed_batch(self, prompts: list[str], device: torch.device) -> Tensor:
        rows = self._tokens(prompts)
        for prompt, row in zip(prompts, rows, strict=True):
            if len(row) > self.longest:
                raise RecipeError(
                    f"the prompt '{prompt}' has {len(row)} tokens, but the text side of '{self.source}' takes "
                    f"at most {self.longest}; shorten it"
                )
        length = max(map(len, rows)) if self.is_clip else self.longest
        tokens = torch.tensor([row + [self.padding] * (length - len(row)) for row in rows], device=device)
        # Neither needs a mask: a CLIP's end token sees what is before it, and a SigLIP attends to its padding.
        output = self.model(input_ids=tokens)
        return (output.text_embeds if self.is_clip else output.pooler_output).float()

    def _tokens(self, prompts: list[str]) -> list[list[int]]:
        """Token numbers of each prompt, with the end token, before padding."""
        with quiet():
            if self.is_clip:
                return self.tokenizer(prompts)["input_ids"]
            # Whether a SigLIP 2's tokenizer adds the end token depends on the version of transformers.
            rows = self.tokenizer(prompts, add_special_tokens=False)["input_ids"]
        return [[*row, self.tokenizer.eos_token_id] for row in rows]


def _text_config(config: Any, source: str, key: str) -> Any:
    """The configuration of the text tower, with the width of the common space in it."""
    if config.model_type == "clip":
        config.text_config.projection_dim = config.projection_dim
    if config.model_type in ("clip", "siglip", "siglip2"):
        config = config.text_config
    if config.model_type not in _NETWORKS:
        raise RecipeError(
            f"{key}: '{source}' has no text side that is known here (its model type is '{config.model_type}'); "
            "give a CLIP, SigLIP or SigLIP 2 in transformers' format, such as openai/clip-vit-base-patch16"
        )
    return config


def _tokenizer_folder(source: str, download: bool, key: str) -> Path:
    """Where the tokenizer is of a well-known network whose random twin needs no other file."""
    try:
        return resolve_source(source, weights=False, download=download, key=key, tokenizer=True)
    except CheckpointError as error:
        raise CheckpointError(
            f"{key}: there is no tokenizer of '{source}' on this machine, and prompts need one even where the weights "
            "are random; give a folder that has it, or set teacher.download=true"
        ) from error


def _tokenizer(folder: Path, config: Any, key: str) -> Any:
    # Without this check, transformers makes a tokenizer of three tokens out of nothing.
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        raise CheckpointError(
            f"{key}: '{folder}' has no tokenizer, which prompts need; add tokenizer.json (or vocab.json and "
            "merges.txt) of the same model"
        )
    require_whole(folder, (name for name in TOKENIZER_FILES if (folder / name).exists()), key)
    auto = import_transformers().AutoTokenizer
    try:
        with quiet():
            tokenizer = auto.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            highest = max(tokenizer.get_vocab().values())
            if tokenizer.eos_token_id is None:
                raise ValueError("it has no end token")
    except Exception as error:  # of many libraries; all mean a tokenizer that cannot be used
        raise CheckpointError(f"{key}: the tokenizer in '{folder}' does not load: {first_line(error)}") from error
    if highest >= config.vocab_size:
        raise CheckpointError(
            f"{key}: the tokenizer in '{folder}' has tokens up to number {highest}, but the network knows "
            f"{config.vocab_size}; give a folder whose files belong together"
        )
    return tokenizer


def _unused(key: str) -> bool:
    return key.endswith("position_ids")  # a buffer that older checkpoints hold
