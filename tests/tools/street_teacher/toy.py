"""Views of coloured squares, for tests that need no streets."""

from __future__ import annotations

import torch

from tools.street_teacher.truth import SKY
from tools.street_teacher.views import Views


def toy_views(count: int = 4, height: int = 32, width: int = 48, seed: int = 0) -> Views:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(-1, SKY + 1, (count, height // 8, width // 8), generator=generator)
    labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    images = torch.stack([labels * 16, labels * 7 % 200, 255 - labels * 16], dim=1).clamp(0, 255)
    return Views(
        images=images.to(torch.uint8),
        labels=labels.to(torch.int8),
        materials=torch.where(labels == SKY, -1, labels.clamp(min=0) % 3).to(torch.int16),
        lit=labels % 2 == 0,
        depth=torch.where(labels == SKY, 0, 5 * labels.clamp(min=0)).to(torch.float16),
        words=(("red", "brick"), ("green", "leafy", "tree"), ("grey", "metal")),
    )
