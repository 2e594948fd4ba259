"""Rendered images with all that is known of their pixels, as tensors that fit in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

_LONG = torch.int64
_TENSORS = ("images", "labels", "materials", "lit", "depth")


@dataclass(frozen=True)
class Views:
    """N images of one size and their pixels' truth.

    Attributes:
        images: (N, 3, H, W) uint8 RGB.
        labels: (N, H, W) int8 classes of the data set, then the sky; −1 where neither.
        materials: (N, H, W) int16 rows of ``words``; −1 in the sky.
        lit: (N, H, W) bool, whether in sunlight.
        depth: (N, H, W) float16 metres; 0 in the sky.
        words: M tuples of words that are true of a material.
    """

    images: Tensor
    labels: Tensor
    materials: Tensor
    lit: Tensor
    depth: Tensor
    words: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return int(self.images.shape[2]), int(self.images.shape[3])

    def tensors(self) -> dict[str, Tensor]:
        """All but the words, by name."""
        return {name: getattr(self, name) for name in _TENSORS}

    def at(self, view: Tensor, rows: Tensor, columns: Tensor) -> dict[str, Tensor]:
        """``labels``, ``materials``, ``lit`` and ``depth`` of P pixels, as `Truth.of` takes them."""
        where = (view, rows, columns)
        return {
            "labels": self.labels[where].to(_LONG),
            "materials": self.materials[where].to(_LONG),
            "lit": self.lit[where],
            "depth": self.depth[where].float(),
        }


def collect(items: Iterable[tuple[dict[str, Tensor], tuple[tuple[str, ...], ...]]]) -> Views:
    """Views from single images, each with its own list of materials; equal sets of words become one row."""
    rows: dict[tuple[str, ...], int] = {}
    parts: dict[str, list[Tensor]] = {name: [] for name in _TENSORS}
    for tensors, words in items:
        row_of = torch.tensor([rows.setdefault(tuple(sorted(known)), len(rows)) for known in words], dtype=torch.int16)
        material = tensors["materials"].to(_LONG)
        joined = torch.where(material >= 0, row_of[material.clamp(min=0)], torch.tensor(-1, dtype=torch.int16))
        for name, part in parts.items():
            part.append(joined if name == "materials" else tensors[name])
    return Views(**{name: torch.stack(part) for name, part in parts.items()}, words=tuple(rows))
