"""Learning rate and optimiser as pure functions of the options, so that resuming needs no state of their own."""

from __future__ import annotations

import math

import torch
from torch import nn

from pointlift.students.base import Undecayed
from pointlift.train.options import TrainOptions


def learning_rate_factor(step: int, options: TrainOptions) -> float:
    """Share of the peak learning rate at ``step`` (0-based): linear warm-up, then cosine to its final share.

    With w warm-up steps of S: (step + 1) / (w + 1) while step < w; after that, with t = (step − w) / (S − w) and final
    share f, f + (1 − f) · (1 + cos πt) / 2.
    """
    warmup = min(options.warmup_steps, options.steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if options.schedule == "constant":
        return 1.0
    progress = (step - warmup) / max(1, options.steps - warmup)
    return options.final_learning_rate + (1 - options.final_learning_rate) * 0.5 * (1 + math.cos(math.pi * progress))


def build_optimizer(
    module: nn.Module, options: TrainOptions, factors: dict[str, float] | None = None
) -> torch.optim.Optimizer:
    """AdamW or SGD over the trainable parameters of ``module``.

    Weight decay skips parameters of one dimension (biases and normalisation) and learned tokens (`Undecayed`).
    ``factors`` maps a prefix of parameter names to a factor on the learning rate, such as ``{"head.": 100.0}``. Each
    group carries its ``peak``.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        factor = next((value for prefix, value in (factors or {}).items() if name.startswith(prefix)), 1.0)
        decays = parameter.ndim > 1 and not isinstance(parameter, Undecayed)
        decay = options.weight_decay if decays else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    settings = [
        {"params": parameters, "lr": options.learning_rate * factor, "weight_decay": decay}
        for (factor, decay), parameters in groups.items()
    ]
    if options.optimizer == "adamw":
        optimizer: torch.optim.Optimizer = torch.optim.AdamW(settings, betas=options.betas)
    else:
        optimizer = torch.optim.SGD(settings, momentum=options.momentum, dampening=options.dampening)
    for group in optimizer.param_groups:
        group["peak"] = group["lr"]
    return optimizer


def set_learning_rate(optimizer: torch.optim.Optimizer, step: int, options: TrainOptions) -> float:
    """Set every group's learning rate for ``step``; returns the first group's."""
    factor = learning_rate_factor(step, options)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor
    return optimizer.param_groups[0]["lr"]
