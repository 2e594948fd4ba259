"""Direct local alignment: each patch of the image against the point patch whose centre falls nearest to it.

The ablation of concept distillation without concepts and captioner; the matching in pixels is a reconstruction of the
paper's "nearest projection distance".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pointlift.data import camera
from pointlift.data.scene import View


class ImagePatches(NamedTuple):
    """Of one image: features (Q, D) and places (Q, 2) in pixels of its patches, and where (N, 2) its points fall.

    Points that the image does not see are NaN.
    """

    features: Tensor
    places: Tensor
    pixels: Tensor


@dataclass
class ImagePatchBatch:
    """`ImagePatches` of B clouds, one after the other; ``counts`` are their numbers of image patches."""

    features: Tensor
    places: Tensor
    pixels: Tensor
    counts: list[int]

    @classmethod
    def of(cls, samples: list[ImagePatches]) -> ImagePatchBatch:
        """Concatenate."""
        features, places, pixels = (torch.cat(parts) for parts in zip(*samples, strict=True))
        return cls(features, places, pixels, [len(sample.features) for sample in samples])

    def to(self, device: torch.device) -> ImagePatchBatch:
        """The same on another device."""
        features, places, pixels = (
            part.to(device, non_blocking=True) for part in (self.features, self.places, self.pixels)
        )
        return ImagePatchBatch(features, places, pixels, self.counts)


def image_patches(view: View, feature_map: Tensor, points: np.ndarray, min_depth: float) -> ImagePatches:
    """The patches of a view's dense features (D, h, w), and where it sees points (N, 3) of the scene's frame."""
    (height, width), (rows, columns) = view.size, feature_map.shape[1:]
    v = (torch.arange(rows) + 0.5) * height / rows - 0.5
    u = (torch.arange(columns) + 0.5) * width / columns - 0.5
    places = torch.stack([u.repeat(rows), v.repeat_interleave(columns)], dim=1)
    pixels, depth = view.project(points)
    pixels = pixels.astype(np.float32)
    seen = (depth > min_depth) & camera.in_image(pixels, (height, width))
    return ImagePatches(
        feature_map.flatten(1).T.contiguous(), places, torch.from_numpy(np.where(seen[:, None], pixels, np.nan))
    )


def nearest_patches(batch: ImagePatchBatch, centre_rows: Tensor) -> tuple[Tensor, Tensor]:
    """For each image patch the point patch whose centre projects nearest to it, the lowest among equals.

    Args:
        batch: image patches of B clouds.
        centre_rows: (B, G) which row of the concatenated points is the centre of each patch.

    Returns:
        (P,) rows of the image patches that have one, and (P,) their point patches, counted through the whole batch.
    """
    groups = centre_rows.shape[1]
    image_rows, patches, first = [], [], 0
    for cloud, (places, rows) in enumerate(zip(batch.places.split(batch.counts), centre_rows, strict=True)):
        distances = torch.cdist(places, batch.pixels[rows], compute_mode="donot_use_mm_for_euclid_dist")
        distances = distances.nan_to_num(nan=torch.inf, posinf=torch.inf)
        smallest, nearest = distances.min(dim=1)
        found = torch.nonzero(smallest.isfinite())[:, 0]  # none where the image sees no centre of this cloud
        image_rows.append(first + found)
        patches.append(cloud * groups + nearest[found])
        first += len(places)
    return torch.cat(image_rows), torch.cat(patches)
