"""The language side of a captioner: GPT-2 after a prefix, so that a user can read what the teacher says of an image."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pointlift.errors import CheckpointError
from pointlift.teachers.folders import TOKENIZER_FILES, first_line, quiet, require_whole
from pointlift.teachers.transformers_import import import_transformers
from pointlift.tensor_files import read_tensors

LANGUAGE = "gpt."
HEAD_WIDTH = 64
"""Channels of a head of every published GPT-2."""


class CaptionWriter(nn.Module):
    """The GPT-2 of a ClipCap checkpoint (its tensors ``gpt.…``) and a tokenizer.

    Args:
        checkpoint: the published checkpoint.
        tokenizer: folder or hub id of GPT-2's tokenizer.
        download: whether a hub id that is not on this machine may be downloaded.
        heads: of the network; None: its width over 64.

    Raises:
        CheckpointError: the checkpoint holds no such network, or there is no tokenizer.
    """

    def __init__(self, checkpoint: Path, tokenizer: str, *, download: bool = False, heads: int | None = None) -> None:
        super().__init__()
        tensors = read_tensors(checkpoint)
        own = {key.removeprefix(LANGUAGE): value for key, value in tensors.items() if key.startswith(LANGUAGE)}
        self.model = _gpt2(own, checkpoint, heads)
        self.tokenizer = _tokenizer(tokenizer, download)
        self.requires_grad_(False)
        self.train(False)

    def write(self, prefix: Tensor, most: int = 30) -> list[str]:
        """A caption for each prefix (B, P, W): the most probable token at a time, to the first full stop or the end."""
        return [self._one(one[None], most) for one in prefix]

    def _one(self, embeddings: Tensor, most: int) -> str:
        words: list[int] = []
        table = self.model.transformer.wte
        with torch.no_grad():
            for _ in range(most):
                logits = self.model(inputs_embeds=embeddings).logits[0, -1]
                word = int(logits.argmax())
                if word == self.tokenizer.eos_token_id:
                    break
                words.append(word)
                if self.tokenizer.decode([word]).strip().endswith("."):
                    break
                embeddings = torch.cat([embeddings, table.weight[word][None, None]], dim=1)
        return self.tokenizer.decode(words).strip()


def _gpt2(own: dict[str, Tensor], path: Path, heads: int | None) -> Any:
    transformers = import_transformers()
    try:
        vocabulary, width = own["transformer.wte.weight"].shape
        positions = len(own["transformer.wpe.weight"])
    except KeyError as error:
        raise CheckpointError(f"{path} holds no language model: it lacks {LANGUAGE}{error.args[0]}") from error
    found = [re.match(r"transformer\.h\.(\d+)\.", key) for key in own]
    layers = 1 + max((int(match[1]) for match in found if match), default=-1)
    config = transformers.GPT2Config(
        vocab_size=vocabulary, n_embd=width, n_positions=positions, n_layer=layers, n_head=heads or width // HEAD_WIDTH
    )
    with torch.random.fork_rng(devices=[]), quiet():
        model = transformers.GPT2LMHeadModel(config)
    own = {key: value for key, value in own.items() if not re.search(r"attn\.(bias|masked_bias)$", key)}  # masks
    own.setdefault("lm_head.weight", own["transformer.wte.weight"])
    try:
        model.load_state_dict(own, strict=False)
        lacking = sorted(model.state_dict().keys() - own.keys())
        lacking = [key for key in lacking if not re.search(r"attn\.(bias|masked_bias)$", key)]
        if lacking:
            raise RuntimeError(f"it lacks {LANGUAGE}{lacking[0]}")
    except RuntimeError as error:
        raise CheckpointError(f"{path} holds a language model that does not fit GPT-2: {first_line(error)}") from error
    return model


def _tokenizer(source: str, download: bool) -> Any:
    folder = Path(source).expanduser()
    require_whole(folder, (name for name in TOKENIZER_FILES if (folder / name).is_file()), "teacher.language")
    try:
        with quiet():
            return import_transformers().AutoTokenizer.from_pretrained(
                source, local_files_only=not download, trust_remote_code=False
            )
    except Exception as error:  # of many libraries; all mean that there is no tokenizer to use
        raise CheckpointError(
            f"teacher.language: the tokenizer of '{source}' is not on this machine or does not load; give a folder "
            "with GPT-2's tokenizer, or set teacher.download=true"
        ) from error
