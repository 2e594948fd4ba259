from __future__ import annotations

import torch

from tools.street_teacher.views import collect


def test_collecting_views_joins_equal_materials():
    def image(materials):
        blank = torch.zeros(2, 2)
        return {
            "images": torch.zeros(3, 2, 2, dtype=torch.uint8),
            "labels": blank.to(torch.int8),
            "materials": torch.tensor(materials),
            "lit": blank.bool(),
            "depth": blank.half(),
        }

    views = collect([(image([[0, 1], [-1, 0]]), (("a", "b"), ("c",))), (image([[0, 0], [1, 1]]), (("c",), ("b", "a")))])
    assert views.words == (("a", "b"), ("c",))
    assert views.materials.tolist() == [[[0, 1], [-1, 0]], [[1, 1], [0, 0]]]
