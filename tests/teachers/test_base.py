from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from torch import nn

from pointlift.errors import PointliftError
from pointlift.teachers.base import fingerprint_of
from tests.teachers.helpers import MeanColor


def test_frozen_whatever_the_parent_does():
    teacher = MeanColor()
    parent = nn.ModuleDict({"teacher": teacher, "student": nn.Linear(3, 3)})
    parent.train()
    assert parent["student"].training
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    images = torch.rand(2, 3, 8, 12, requires_grad=True)
    features = teacher.features(images)
    assert features.shape == (2, 3, 2, 3)
    assert not features.requires_grad
    assert not features.is_inference()  # so that a loss may save it for its backward pass
    torch.testing.assert_close(teacher(images), features)


def test_float32_inside_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert MeanColor().features(torch.rand(1, 3, 8, 8)).dtype == torch.float32


def test_wrong_sizes_name_the_nearest_right_one():
    with pytest.raises(ValueError, match=r"nearest right size is 8x12"):
        MeanColor().features(torch.rand(1, 3, 9, 11))
    with pytest.raises(ValueError, match=r"nearest right size is 4x4"):
        MeanColor().features(torch.rand(1, 3, 1, 4))


@pytest.mark.parametrize(
    "images", [torch.rand(3, 8, 8), torch.rand(1, 4, 8, 8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8)]
)
def test_what_is_no_image_batch(images):
    with pytest.raises(ValueError, match="float images"):
        MeanColor().features(images)


def test_tokens_and_text_are_optional():
    assert (MeanColor.has_features, MeanColor.has_text, MeanColor.token_shape) == (True, False, None)
    with pytest.raises(PointliftError, match="MeanColor has no token sets"):
        MeanColor().tokens(torch.rand(1, 3, 8, 8))
    with pytest.raises(PointliftError, match="MeanColor has no text encoder"):
        MeanColor().embed_text(["a car"])


def test_the_fingerprint_is_the_hash_of_what_it_says():
    teacher = MeanColor(0.5)
    text = '{"class": "Some kind", "layer": 3, "preprocessing": 1}' + "weight torch.float32 ()"
    expected = hashlib.sha256(text.encode() + np.float32(0.5).tobytes()).hexdigest()
    assert fingerprint_of(teacher, "Some kind", layer=3) == expected


def test_the_fingerprint_does_not_know_the_name_of_the_class():
    class Renamed(MeanColor):
        pass

    assert Renamed().fingerprint == MeanColor().fingerprint
    assert fingerprint_of(MeanColor(), "MeanColor") != fingerprint_of(MeanColor(), "Other")


def test_by_default_nothing_can_stand_in():
    assert MeanColor.stand_in(weight=1.0) is None


def test_fingerprint_depends_on_weights_and_settings():
    fingerprint = MeanColor().fingerprint
    assert len(fingerprint) == 64
    assert int(fingerprint, 16) >= 0
    assert fingerprint == MeanColor().fingerprint
    assert fingerprint != MeanColor(1.0000001).fingerprint
    assert fingerprint != fingerprint_of(MeanColor(), "MeanColor", layer=3)
