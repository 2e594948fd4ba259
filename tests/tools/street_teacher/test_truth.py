from __future__ import annotations

import pytest
import torch

from pointlift.errors import DataError
from pointlift.teachers.street import words
from tools.street_teacher.truth import SKY, Truth, bag_table


def said(row: torch.Tensor) -> set[str]:
    return {word for word, value in zip(words.VOCABULARY, row, strict=True) if value}


def test_what_is_true_of_pixels():
    truth = Truth([("red", "metal"), ("grass", "green")])
    found = truth.of(
        torch.tensor([5, 2, SKY]),
        torch.tensor([0, 1, -1]),
        torch.tensor([True, False, False]),
        torch.tensor([20.0, 40, 0]),
    )
    assert said(found[0]) == {"car", "automobile", "vehicle", "red", "metal", "metallic", "lit", "sunny"}
    assert said(found[1]) == {"terrain", "ground", "verge", "grass", "green", "shaded", "shadowed", "far", "distant"}
    assert said(found[2]) == {"sky"}
    assert "near" in said(truth.of(torch.tensor([0]), torch.tensor([0]), torch.tensor([True]), torch.tensor([3.0]))[0])


def test_descriptions_are_true_and_not_empty():
    truth = Truth([("red", "metal", "hatchback"), ("grass", "green")])
    labels = torch.tensor([5, 2] * 200)
    known = truth.of(labels, torch.tensor([0, 1] * 200), labels > 3, torch.full((400,), 20.0))
    bags = truth.describe(labels, known, torch.Generator().manual_seed(0))
    assert bool((bags.bool() <= known).all())
    sizes = bags.sum(dim=1)
    assert (int(sizes.min()), int(sizes.max())) == (1, 4)
    assert len({tuple(bag) for bag in bags.tolist()}) > 50


def test_a_material_word_outside_the_vocabulary_is_refused():
    with pytest.raises(DataError, match="'velvet'"):
        bag_table([("red", "velvet")])
