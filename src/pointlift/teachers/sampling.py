"""Teacher features at the pixels that points project to."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def sample_features(feature_maps: Tensor, view_index: Tensor, pixels: Tensor, image_sizes: Tensor) -> Tensor:
    """Bilinear samples of feature maps at pixels of the original images.

    A pixel (u, v) of an image of (height, width) lies at x = (u + 0.5) w / width − 0.5, y = (v + 0.5) h / height − 0.5
    of its (h, w) feature map and is clamped to the map's border: the convention of
    ``grid_sample(align_corners=False, padding_mode="border")``, whatever size the teacher saw the image at.

    Args:
        feature_maps: (V, D, h, w), any float type; quickest in channels-last memory, as the feature cache gives them.
        view_index: (P,) which map each pixel belongs to.
        pixels: (P, 2) as (u, v) in pixels of the original image; integers are pixel centres.
        image_sizes: (V, 2) original (height, width) of each view's image.

    Returns:
        (P, D) float32.
    """
    views, dim, height, width = feature_maps.shape
    if view_index.ndim != 1 or pixels.shape != (len(view_index), 2) or image_sizes.shape != (views, 2):
        raise ValueError(
            "expected view_index (P,), pixels (P, 2), image_sizes (V, 2), got "
            f"{tuple(view_index.shape)}, {tuple(pixels.shape)}, {tuple(image_sizes.shape)} for {views} maps"
        )
    if not bool(torch.isfinite(pixels.sum())):
        raise ValueError("pixels must be finite")
    view_index = view_index.to(feature_maps.device, torch.int64)
    sizes = image_sizes.to(feature_maps.device, torch.float64)[view_index]  # (P, 2)
    centres = pixels.to(feature_maps.device, torch.float64) + 0.5
    left, right, along_x = _neighbours(centres[:, 0] * (width / sizes[:, 1]) - 0.5, width)
    top, bottom, along_y = _neighbours(centres[:, 1] * (height / sizes[:, 0]) - 0.5, height)

    first = view_index * (height * width)
    upper, lower = first + top * width, first + bottom * width
    corners = torch.stack([upper + left, upper + right, lower + left, lower + right], dim=1)  # (P, 4)
    weights = torch.stack(
        [(1 - along_x) * (1 - along_y), along_x * (1 - along_y), (1 - along_x) * along_y, along_x * along_y], dim=1
    )
    # A weighted sum of four rows of a table is embedding_bag: one pass, with nothing of size (P, 4, D) in between.
    table = feature_maps.permute(0, 2, 3, 1).reshape(views * height * width, dim).float()
    return F.embedding_bag(corners, table, per_sample_weights=weights.float(), mode="sum")


def _neighbours(position: Tensor, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """The two cells around each position, clamped to the border, and the weight of the second."""
    position = position.clamp(0, length - 1)
    before = position.floor()
    first = before.long()
    return first, (first + 1).clamp(max=length - 1), position - before
