"""From a View to what a teacher takes: the size that fits its stride, and the resized tensor."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

if TYPE_CHECKING:
    from pointlift.data.scene import View
    from pointlift.teachers.base import Teacher

PREPROCESSING_VERSION = 1
"""Part of every teacher's fingerprint: raise it when anything in this module changes what a teacher sees."""


def teacher_size(
    image_size: tuple[int, int], stride: int, target: tuple[int, int] | None = None, scale: float = 1.0
) -> tuple[int, int]:
    """The size at which a teacher sees an image: each side the multiple of its stride nearest to what is wanted.

    Args:
        image_size: (height, width) of the image in pixels.
        stride: the teacher's stride in pixels.
        target: wanted (height, width) whatever the image's own; None keeps the image's size.
        scale: factor on the wanted size; above 1 gives a finer feature map.

    Returns:
        (height, width), both at least one stride.
    """
    if stride < 1 or not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"stride must be at least 1 and scale above 0, got stride={stride}, scale={scale}")
    wanted = image_size if target is None else target
    if min(wanted) < 1:
        raise ValueError(f"an image size must be positive, got {tuple(wanted)}")
    height, width = (max(1, math.floor(side * scale / stride + 0.5)) * stride for side in wanted)
    return height, width


def view_to_tensor(view: View, size: tuple[int, int]) -> Tensor:
    """The view's image as float32 (3, height, width) in [0, 1], resized with antialiased bilinear interpolation.

    Pixel centres map as u' + 0.5 = (u + 0.5) width' / width (``align_corners=False``), which is what
    `sample_features` assumes.
    """
    image = view.image
    if image.shape[:2] != tuple(size):
        # PIL widens the filter when it shrinks an image, which is the antialiasing that torch leaves off by default.
        image = np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))
    channels_first = np.ascontiguousarray(image.transpose(2, 0, 1))
    return torch.from_numpy(channels_first).float().div_(255.0)


def view_features(
    teacher: Teacher,
    views: Sequence[View],
    image_size: tuple[int, int] | None = None,
    scale: float = 1.0,
    batch_size: int = 8,
    device: torch.device | str | None = "cpu",
) -> list[Tensor]:
    """The teacher's (C, h, w) float32 map of each view on a device (None: its own); equal sizes go in one batch.

    A teacher that ``reads_files`` is given no pixels, and always the size of the image.
    """
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, view in enumerate(views):
        size = view.size if teacher.reads_files else teacher_size(view.size, teacher.stride, image_size, scale)
        groups[size].append(index)
    maps: list[Tensor] = [torch.empty(0)] * len(views)
    for size, members in groups.items():
        for start in range(0, len(members), batch_size):
            batch = members[start : start + batch_size]
            if teacher.reads_files:
                images = torch.zeros(()).expand(len(batch), 3, *size)  # takes no memory
            else:
                images = torch.stack([view_to_tensor(views[index], size) for index in batch])
            features = teacher.features(images, [views[index] for index in batch])
            features = features if device is None else features.to(device)
            for index, feature_map in zip(batch, features, strict=True):
                maps[index] = feature_map
    return maps
