"""A small text-aligned dense image encoder for the generated streets: a stand-in for CLIP, shipped with the package."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from pointlift.errors import CheckpointError
from pointlift.options import RANDOM_TEACHER
from pointlift.registry import TEACHERS
from pointlift.teachers.base import Teacher, fingerprint_of
from pointlift.teachers.street.network import DIM, STRIDE, StreetNetwork
from pointlift.teachers.street.weights import load_into, unpack
from pointlift.teachers.street.words import WordTable, bags_of_words
from pointlift.teachers.tokens import grid_tokens

if TYPE_CHECKING:
    from pointlift.data.scene import View

WEIGHTS = "street.safetensors"
REPORT = "street.json"
"""How the weights were trained, and what was measured."""


@TEACHERS.register("street")
class StreetTeacher(Teacher):
    """The small text-aligned image encoder that ships with pointlift for its generated streets, a stand-in for CLIP.

    Pixel embeddings trained against embeddings of prompts, as in language-driven segmentation (Li et al., ICLR 2022),
    on streets of their own; see ``street.json`` beside the weights for how and how well. It knows generated streets
    and the words of `pointlift.teachers.street.words`, nothing else.

    Args:
        random: the same network with random weights and the word table as trained, as a control.
        random_seed: seed of these random weights.
        token_grid: G of the token set: the mean of all pixel embeddings and the means of G × G cells.

    Raises:
        CheckpointError: if the shipped weights are missing or damaged.
    """

    has_text: ClassVar[bool] = True

    def __init__(
        self,
        *,
        random: Annotated[bool, RANDOM_TEACHER] = False,
        random_seed: Annotated[int, Field(ge=0)] = 0,
        token_grid: Annotated[int, Field(ge=0)] = 2,
    ) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(random_seed)
            parts = street_parts()
        tensors, path = _shipped()
        if random:
            tensors |= {name: value for name, value in parts.state_dict().items() if name.startswith("network.")}
            tensors = {name: value for name, value in tensors.items() if not name.endswith("num_batches_tracked")}
        load_into(parts, tensors, path)
        self.network, self.words = parts["network"], parts["words"]
        self.dim, self.stride = DIM, STRIDE
        self.freeze()
        self.fingerprint = fingerprint_of(self, "StreetTeacher")
        self.token_grid, self.token_settings = token_grid, str(token_grid)
        self.token_shape = (1 + token_grid**2, DIM)

    def tokens(self, images: Tensor, views: Sequence[View] | None = None) -> Tensor:
        """The mean of all pixel embeddings and those of G × G cells, (B, 1 + G², 64), not normalised."""
        feature_map = self.features(images, views)
        return torch.cat([grid_tokens(feature_map, 1), grid_tokens(feature_map, self.token_grid)], dim=1)

    def embed_text(self, prompts: Sequence[str]) -> Tensor:
        """Unit embeddings (C, 64) of C prompts, each the normalised sum of its words, on the teacher's device.

        Raises:
            RecipeError: if a word is not in the table (near ones are named), or a prompt has none.
        """
        bags = bags_of_words(prompts).to(self.device)
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            return self.words(bags)

    def _features(self, images: Tensor, views: Sequence[View] | None) -> Tensor:
        return self.network(images)


def street_parts() -> nn.ModuleDict:
    """The untrained ``network`` and ``words``, drawn from torch's global generator."""
    return nn.ModuleDict({"network": StreetNetwork(), "words": WordTable(DIM)})


def _shipped() -> tuple[dict[str, Tensor], str]:
    file = resources.files(__name__).joinpath(WEIGHTS)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{file} is missing or not readable ({error}); install pointlift again") from error
    return unpack(data, str(file)), str(file)
