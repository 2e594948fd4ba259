"""How well the teacher does on streets it has not seen: zero-shot 2D mIoU, and the structure of its features."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pointlift.structure import tolerance, uniformity
from pointlift.teachers.sampling import sample_features
from pointlift.teachers.street.words import CLASS_WORDS, COLORS, VOCABULARY, bags_of_words
from tools.street_teacher.truth import SKY, Truth
from tools.street_teacher.views import Views

PIXELS = 200
"""Pixels of each image whose features the structure is measured on."""
_CHUNK = 8  # images at a time


def measure(parts: nn.ModuleDict, views: Views, seed: int = 0) -> dict[str, Any]:
    """Zero-shot segmentation with the plain class names as prompts, and structure, on views.

    Returns:
        ``images``; ``IoU`` by class and ``mIoU`` over the classes that occur, of the labelled pixels with the sky left
        out; ``mIoU_with_sky``; at random labelled pixels ``tolerance`` and ``uniformity`` of the unit features and
        ``color_accuracy``: the share where, of the prompts "red car", "blue car", … with the true class, a true one is
        nearest.
    """
    parts.eval()
    with torch.no_grad():
        chunks = torch.arange(len(views)).split(_CHUNK)
        maps = torch.cat([parts["network"](views.images[index].float() / 255) for index in chunks])
        return {
            "images": len(views),
            **_segmentation(parts, maps, views),
            **_at_pixels(parts, maps, views, torch.Generator().manual_seed(seed)),
        }


def _segmentation(parts: nn.ModuleDict, maps: Tensor, views: Views) -> dict[str, Any]:
    prompts = parts["words"](bags_of_words([words[0] for words in CLASS_WORDS.values()]))
    confusion, with_sky = torch.zeros(SKY, SKY), torch.zeros(SKY + 1, SKY + 1)
    for index in torch.arange(len(views)).split(_CHUNK):
        truth = views.labels[index].long()
        # Cosines of interpolated features are interpolated cosines but for a factor, which an arg max does not see.
        scores = torch.einsum("bdhw,cd->bchw", maps[index], prompts)
        scores = F.interpolate(scores, size=views.size, mode="bilinear", align_corners=False)
        confusion += _confusion(scores[:, :SKY], truth.where(truth < SKY, -1))
        with_sky += _confusion(scores, truth)
    ious = _ious(confusion)
    return {
        "mIoU": float(ious.nanmean()),
        "mIoU_with_sky": float(_ious(with_sky).nanmean()),
        "IoU": {name: float(value) for name, value in zip(CLASS_WORDS, ious, strict=False)},
    }


def _at_pixels(parts: nn.ModuleDict, maps: Tensor, views: Views, generator: torch.Generator) -> dict[str, float]:
    view, rows, columns = _pixels(views.labels, generator)
    sizes = torch.tensor([views.size]).expand(len(maps), 2)
    features = F.normalize(sample_features(maps, view, torch.stack([columns, rows], dim=1), sizes), dim=1)
    facts = views.at(view, rows, columns)
    return {
        "tolerance": tolerance(features, facts["labels"]),
        "uniformity": uniformity(features),
        "color_accuracy": _color_accuracy(parts, features, facts["labels"], Truth(views.words).of(**facts)),
    }


def _color_accuracy(parts: nn.ModuleDict, features: Tensor, labels: Tensor, truth: Tensor) -> float:
    classes = [words[0] for words in CLASS_WORDS.values()]
    prompts = parts["words"](bags_of_words([f"{color} {name}" for name in classes for color in COLORS]))
    cosines = torch.einsum("pd,pcd->pc", features, prompts.view(len(classes), len(COLORS), -1)[labels])
    true = truth[:, [VOCABULARY.index(color) for color in COLORS]]
    colored = true.any(dim=1)
    right = true.gather(1, cosines.argmax(dim=1, keepdim=True))[:, 0]
    return float(right[colored].float().mean())


def _confusion(scores: Tensor, truth: Tensor) -> Tensor:
    """(C, C) counts of (true, predicted) at the pixels whose truth is not −1."""
    classes = scores.shape[1]
    kept = truth >= 0
    pairs = truth[kept] * classes + scores.argmax(dim=1)[kept]
    return torch.bincount(pairs, minlength=classes**2).view(classes, classes).float()


def _ious(confusion: Tensor) -> Tensor:
    """(C,) intersections over unions; NaN for classes that do not occur."""
    hits = confusion.diagonal()
    union = confusion.sum(dim=0) + confusion.sum(dim=1) - hits
    return torch.where(confusion.sum(dim=1) > 0, hits / union, torch.nan)


def _pixels(truth: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Image, row and column of `PIXELS` random pixels of each image that are labelled and not sky."""
    count, height, width = truth.shape
    scores = torch.rand(truth.shape, generator=generator).where((truth >= 0) & (truth < SKY), -1.0)
    best = scores.flatten(1).topk(min(PIXELS, height * width), dim=1)
    kept = best.values >= 0
    position = best.indices[kept]
    return torch.arange(count)[:, None].expand_as(kept)[kept], position // width, position % width
