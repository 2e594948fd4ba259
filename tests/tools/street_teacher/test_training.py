from __future__ import annotations

import dataclasses

import torch

from tests.tools.street_teacher.toy import toy_views
from tools.street_teacher import training


def test_training_is_a_function_of_views_and_settings():
    views = toy_views()
    settings = training.Settings(steps=6, batch_size=2, pixels=128, described=32)
    state = torch.random.get_rng_state()
    first, second = (training.train(views, settings).state_dict() for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    other = training.train(views, dataclasses.replace(settings, seed=1)).state_dict()
    assert not torch.equal(first["words.vectors"], other["words.vectors"])
