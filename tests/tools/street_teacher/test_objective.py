from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tools.street_teacher import objective


def test_the_description_loss_is_its_literal_equation():
    generator = torch.Generator().manual_seed(0)
    pixels = F.normalize(torch.randn(5, 8, generator=generator), dim=1)
    descriptions = F.normalize(torch.randn(5, 8, generator=generator), dim=1)
    truth = torch.rand(5, 6, generator=generator) < 0.6
    bags = torch.zeros(5, 6)
    for i in range(5):
        truth[i, i] = True
        bags[i, i] = 1.0
    total = 0.0
    for i in range(5):
        pixel_sum = description_sum = 0.0
        for j in range(5):
            if i == j or not truth[i, j]:  # description j is the word j alone
                pixel_sum += float(torch.exp(pixels[i] @ descriptions[j] / objective.TEMPERATURE))
            if i == j or not truth[j, i]:
                description_sum += float(torch.exp(pixels[j] @ descriptions[i] / objective.TEMPERATURE))
        own = float(torch.exp(pixels[i] @ descriptions[i] / objective.TEMPERATURE))
        total -= (np.log(own / pixel_sum) + np.log(own / description_sum)) / 2
    found = objective.description_loss(3 * pixels, descriptions, bags, truth)
    assert float(found) == pytest.approx(total / 5, rel=1e-4)
