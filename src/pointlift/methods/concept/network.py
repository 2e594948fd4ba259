"""The network of concept distillation: the student, and what only its pretraining needs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pointlift.methods.concept.heads import ConceptExtraction
from pointlift.methods.concept.reconstruction import PatchDecoder
from pointlift.students.point_transformer import Encoding, PointTransformer


class ConceptNetwork(nn.Module):
    """All that is trained: the student, and on top of it what only pretraining needs.

    ``concepts`` is None where the head reads the patches themselves, ``head`` where there is no token set to predict,
    and ``decoder`` where nothing is reconstructed. ``mean`` and ``deviation`` (T, D) are those of the whole training
    images (not of crops); with standardised units the head predicts ``(tokens − mean) / deviation``.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        student: PointTransformer,
        concepts: ConceptExtraction | None,
        head: nn.Module | None,
        decoder: PatchDecoder | None,
        shape: tuple[int, int],
    ) -> None:
        super().__init__()
        self.student, self.concepts, self.head, self.decoder = student, concepts, head, decoder
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("deviation", torch.ones(shape))

    def tokens(self, encoding: Encoding) -> Tensor:
        """The predicted token sets (B, T, D), in the units of the loss."""
        assert self.head is not None
        return self.head(encoding.tokens if self.concepts is None else self.concepts(encoding.layers))

    def parameter_counts(self) -> dict[str, int]:
        """Numbers of parameters: of the encoder without its output layer, and of what pretraining puts on top."""
        parts: dict[str, nn.Module | None] = {
            "encoder": self.student,
            "concept module": self.concepts,
            "concept head": self.head,
            "reconstruction decoder": self.decoder,
        }
        counts = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items() if part is not None}
        output = sum(p.numel() for p in self.student.head.parameters())
        counts["encoder"] -= output
        return counts | ({"student's output layer": output} if output else {})
