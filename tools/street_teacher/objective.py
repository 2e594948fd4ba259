"""What the teacher is trained on: pixels against class prompts, and pixels against descriptions of them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

TEMPERATURE = 0.07


def class_loss(pixels: Tensor, names: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of a softmax over cosines with the class prompts, as in LSeg (Li et al., ICLR 2022).

    Args:
        pixels: (P, D) embeddings.
        names: (C, D) unit embeddings of one prompt a class.
        labels: (P,) classes.
    """
    return F.cross_entropy(F.normalize(pixels, dim=1) @ names.T / TEMPERATURE, labels)


def description_loss(pixels: Tensor, descriptions: Tensor, bags: Tensor, truth: Tensor) -> Tensor:
    """Contrastive loss of pixels and their descriptions, both ways; it keeps what tells pixels of a class apart.

    Like CLIP's (Radford et al., ICML 2021), but what is true of a pixel by chance is no negative for it.

    Args:
        pixels: (P, D) embeddings.
        descriptions: (P, D) unit embeddings of one true description of each.
        bags: (P, V) the descriptions' words.
        truth: (P, V) the words that are true of each pixel.
    """
    logits = F.normalize(pixels, dim=1) @ descriptions.T / TEMPERATURE  # (pixels, descriptions)
    true = truth.float() @ bags.T >= bags.sum(dim=1)
    own = torch.eye(len(pixels), dtype=torch.bool)
    logits = logits.masked_fill(true & ~own, float("-inf"))
    target = torch.arange(len(pixels))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
