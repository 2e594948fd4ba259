"""Random windows of views with random colours, and pixels drawn from them so that rare classes are not lost."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pointlift.teachers.sampling import sample_features
from pointlift.teachers.street.network import STRIDE
from tools.street_teacher.views import Views

ZOOM = 1.6
SHRINK = 5 / 6
"""A window is seen at this share of the views' size, so that objects appear both smaller and larger than they are."""
_CANDIDATES = 3000  # pixels of each image among which are drawn


@dataclass(frozen=True)
class Batch:
    """B windows and P of their pixels.

    Attributes:
        images: (B, 3, h, w) in [0, 1].
        view: (P,) which window.
        pixels: (P, 2) (u, v) in the window.
        truth: labels, materials, lit and depth (P,), see `Views.at`.
    """

    images: Tensor
    view: Tensor
    pixels: Tensor
    truth: dict[str, Tensor]

    def sample(self, maps: Tensor) -> Tensor:
        """Features (P, D) of the pixels in feature maps (B, D, h', w')."""
        sizes = torch.tensor([self.images.shape[-2:]]).expand(len(maps), 2)
        return sample_features(maps, self.view, self.pixels, sizes)


def draw_batch(views: Views, index: Tensor, pixels: int, whole: bool, generator: torch.Generator) -> Batch:
    """Windows of the views ``index``, or these ``whole`` but for a flip, and at most ``pixels`` labelled pixels."""
    height, width = views.size
    scale = 1.0 if whole else SHRINK
    size = tuple(max(STRIDE, int(side * scale) // STRIDE * STRIDE) for side in (height, width))
    window = _windows(len(index), whole, generator)
    images = _look_through(views.images[index].float() / 255, window, size)
    view, place = _places(len(index), generator)
    columns, rows = _source_pixels(place, window[view], (height, width))
    truth = views.at(index[view], rows, columns)
    kept = _balanced(truth["labels"], pixels, generator)
    extent = torch.tensor([size[1], size[0]])
    return Batch(
        images=_recolor(images, generator),
        view=view[kept],
        pixels=(place[kept] + 1) / 2 * extent - 0.5,
        truth={name: values[kept] for name, values in truth.items()},
    )


def _windows(count: int, whole: bool, generator: torch.Generator) -> Tensor:
    """(B, 4): scales along x and y (x negative: flipped) and centres, in coordinates that run from −1 to 1."""
    random = torch.rand(count, 4, generator=generator)
    scale = torch.ones(count) if whole else 1 / (1 + (ZOOM - 1) * random[:, 0])
    flip = torch.where(random[:, 1] < 0.5, -1.0, 1.0)
    centres = (2 * random[:, 2:] - 1) * (1 - scale[:, None])
    return torch.cat([(scale * flip)[:, None], scale[:, None], centres], dim=1)


def _look_through(images: Tensor, window: Tensor, size: tuple[int, ...]) -> Tensor:
    matrix = torch.zeros(len(images), 2, 3)
    matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, :, 2] = window[:, 0], window[:, 1], window[:, 2:]
    grid = F.affine_grid(matrix, [len(images), 3, *size], align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _places(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random places (P, 2) in the windows, x and y from −1 to 1, and the windows (P,) they are in."""
    place = 2 * torch.rand(count * _CANDIDATES, 2, generator=generator) - 1
    return torch.arange(count).repeat_interleave(_CANDIDATES), place


def _source_pixels(place: Tensor, window: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Columns and rows (P,) of the views' pixels under places of their windows."""
    height, width = size
    extent = torch.tensor([width, height])
    position = (place * window[:, :2] + window[:, 2:] + 1) / 2 * extent
    pixel = position.floor().long().clamp(min=0).minimum(extent - 1)
    return pixel[:, 0], pixel[:, 1]


def _balanced(labels: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Indices of labelled pixels, drawn so that a class of n pixels counts as √n."""
    counts = torch.bincount(labels[labels >= 0], minlength=1).float()
    weights = counts.clamp(min=1).rsqrt()[labels.clamp(min=0)].masked_fill(labels < 0, 0.0)
    return torch.multinomial(weights, min(count, int((labels >= 0).sum())), generator=generator)


def _recolor(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mild changes of exposure, white balance and contrast, and noise."""
    random = torch.randn(len(images), 5, 1, 1, generator=generator)
    gain = torch.exp(0.12 * random[:, :1] + 0.04 * random[:, 1:4])
    gamma = torch.exp(0.1 * random[:, 4:])
    noise = torch.randn(images.shape, generator=generator)
    return ((images * gain).clamp(1e-4, 1) ** gamma + 0.01 * noise).clamp(0, 1)
