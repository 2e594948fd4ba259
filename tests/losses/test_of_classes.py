"""A loss of class probabilities asks before any work whether the teacher's features are some."""

from __future__ import annotations

import pytest

from pointlift import losses
from pointlift.errors import RecipeError


@pytest.mark.parametrize("name", ["posterior"])
def test_a_loss_of_classes_requires_them(name: str) -> None:
    loss = losses.build(name)
    loss.require(classes=True)
    with pytest.raises(RecipeError, match="choose teacher.name labelmaps or segmenter without text_source"):
        loss.require()


@pytest.mark.parametrize("name", ["relational", "contrastive", "similarity"])
def test_others_take_any_features(name: str) -> None:
    losses.build(name).require()
