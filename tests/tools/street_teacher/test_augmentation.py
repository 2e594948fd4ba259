from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.tools.street_teacher.toy import toy_views
from tools.street_teacher.augmentation import draw_batch


@pytest.mark.parametrize("whole", [True, False])
def test_pixels_of_a_batch_show_what_their_truth_says(whole):
    views = toy_views(height=96, width=96)
    batch = draw_batch(views, torch.tensor([2, 0, 3]), 500, whole, torch.Generator().manual_seed(1))
    assert batch.images.shape == (3, 3, *((96, 96) if whole else (80, 80)))
    assert len(batch.pixels) == 500
    assert int(batch.truth["labels"].min()) >= 0
    # colours are a function of the label but for the mild change of each window
    red_minus_blue = batch.sample(batch.images)[:, [0, 2]].diff(dim=1)[:, 0]
    correlation = np.corrcoef(red_minus_blue.numpy(), batch.truth["labels"].numpy())[0, 1]
    assert correlation < -0.9


def test_rare_classes_are_drawn_more_often_than_they_occur():
    views = toy_views(count=1, height=80, width=80)
    views.labels[:] = 0
    views.labels[:, :8, :8] = 1  # 1 %
    batch = draw_batch(views, torch.tensor([0]), 400, True, torch.Generator().manual_seed(0))
    assert float((batch.truth["labels"] == 1).float().mean()) > 0.03
