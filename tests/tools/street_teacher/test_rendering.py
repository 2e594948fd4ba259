from __future__ import annotations

import numpy as np
import torch

from pointlift.datasets.street import Street
from tools.street_teacher.rendering import Streets, views_of
from tools.street_teacher.truth import SKY


def test_rendered_images_are_those_of_the_data_set(tmp_path):
    size, cameras = (32, 64), ("front", "right")
    views = views_of(Streets("teacher", 1, 1, 2, cameras=cameras, image_size=size), tmp_path)
    dataset = Street(
        root=tmp_path / "streets", split="teacher", sequences=2, frames=2, cameras=cameras, image_size=size
    )
    for index in (2, 3):
        for place, view in enumerate(dataset.views(index)):
            ours = 2 * (index - 2) + place
            assert np.array_equal(view.image.transpose(2, 0, 1), views.images[ours].numpy())
            labels = dataset.label_image(index, view.name)
            assert np.array_equal(np.where(labels < 0, SKY, labels), views.labels[ours].numpy())
    assert set(views.materials[views.labels == SKY].tolist()) <= {-1}
    again = views_of(Streets("teacher", 1, 1, 2, cameras=cameras, image_size=size), tmp_path)
    assert again.words == views.words
    assert all(torch.equal(value, again.tensors()[name]) for name, value in views.tensors().items())
