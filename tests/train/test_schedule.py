import copy
import math

import pytest
import torch
from torch import nn

from pointlift.students.base import Undecayed
from pointlift.train.options import TrainOptions
from pointlift.train.schedule import build_optimizer, learning_rate_factor, set_learning_rate


def test_warm_up_then_cosine() -> None:
    options = TrainOptions(steps=110, warmup_steps=10, final_learning_rate=0.1)
    assert [learning_rate_factor(step, options) for step in (0, 9)] == pytest.approx([1 / 11, 10 / 11])
    for step in (10, 35, 60, 109):
        progress = (step - 10) / 100
        assert learning_rate_factor(step, options) == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi * progress)) / 2)


def test_constant() -> None:
    options = TrainOptions(steps=10, schedule="constant")
    assert {learning_rate_factor(step, options) for step in range(10)} == {1.0}


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_no_decay_of_one_dimensional_parameters_and_factors_by_prefix(name: str) -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    options = TrainOptions(optimizer=name, learning_rate=0.5, weight_decay=0.1)
    optimizer = build_optimizer(module, options, {"1.": 10.0})
    found = {id(p): (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]}
    assert found[id(module[0].weight)] == (0.5, 0.1)
    assert found[id(module[0].bias)] == (0.5, 0.0)
    assert found[id(module[1].weight)] == (5.0, 0.0)
    set_learning_rate(optimizer, 0, TrainOptions(optimizer=name, learning_rate=0.5, warmup_steps=1))
    assert sorted({group["lr"] for group in optimizer.param_groups}) == [0.25, 2.5]


def test_learned_tokens_are_not_decayed() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mask, self.other = Undecayed(torch.ones(1, 2)), nn.Parameter(torch.ones(1, 2))

    copied = copy.deepcopy(Tokens()).double()
    copied.load_state_dict(Tokens().state_dict())
    nested = Tokens()
    for module, tokens in ((copied, copied), (nn.Sequential(nn.Linear(2, 2), nested), nested)):
        groups = build_optimizer(module, TrainOptions(weight_decay=0.1)).param_groups
        decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
        assert (decays[id(tokens.mask)], decays[id(tokens.other)]) == (0.0, 0.1)


def test_frozen_parameters_are_left_out() -> None:
    module = nn.Linear(2, 2)
    module.bias.requires_grad_(False)
    optimizer = build_optimizer(module, TrainOptions())
    assert [p for group in optimizer.param_groups for p in group["params"]] == [module.weight]
    assert isinstance(optimizer, torch.optim.AdamW)
