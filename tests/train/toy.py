"""A method of a few parameters that behaves like a real one; as a program, one process of a training run."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pointlift import losses
from pointlift.data.scene import Scene
from pointlift.errors import DataError
from pointlift.students.normalization import BatchNorm
from pointlift.train import TrainOptions, fit
from pointlift.train.method import Method


def scenes(count: int = 5) -> list[Scene]:
    found = []
    for index in range(count):
        rng = np.random.default_rng(index)
        points = rng.normal(size=(40 + 7 * index, 3)).astype(np.float32)
        found.append(Scene(points=points, features=points[:, :1] ** 2, views=[], labels=None, id=f"scene-{index}"))
    return found


@dataclass
class ToyBatch:
    inputs: torch.Tensor
    targets: torch.Tensor
    scene_ids: list[str]

    def to(self, device: torch.device) -> ToyBatch:
        return replace(self, inputs=self.inputs.to(device), targets=self.targets.to(device))


class Toy(Method):
    """Relational loss through global batch normalisation, on random subsets of the points."""

    def __init__(self, break_at: int | None = None, broken: str = "loss") -> None:
        super().__init__()
        self.broken, self.loss = broken, losses.build("relational")
        torch.manual_seed(0)
        self.trained = nn.Sequential(nn.Linear(4, 16), BatchNorm(16), nn.ReLU(), nn.Linear(16, 8))
        self.mixing = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 8))).float()
        self.steps, self.break_at = 0, break_at

    def sample(self, scene: Scene, rng: np.random.Generator) -> tuple[str, torch.Tensor]:
        if len(scene.points) == 0:
            raise DataError(f"scene {scene.id} is empty")
        rows = np.concatenate([scene.points, scene.features], 1)
        return scene.id, torch.from_numpy(rng.permutation(rows)[: rng.integers(10, 20)])

    def collate(self, samples: list, rng: np.random.Generator) -> ToyBatch:
        inputs = torch.cat([rows for _, rows in samples])
        return ToyBatch(inputs, torch.tanh(inputs @ self.mixing), [name for name, _ in samples])

    def forward(self, batch: ToyBatch) -> dict[str, torch.Tensor]:
        loss = self.loss(self.trained(batch.inputs), batch.targets)
        self.steps += 1
        if self.steps == self.break_at:
            loss = loss * float("nan") if self.broken == "loss" else loss + _NanGradient.apply(loss)
        return {"loss": loss}


class _NanGradient(torch.autograd.Function):
    """Zero, with a gradient that is not finite."""

    @staticmethod
    def forward(ctx: object, value: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(value)

    @staticmethod
    def backward(ctx: object, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * float("nan")


def weights(method: Method) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in method.trained.state_dict().items()}


def main(folder: str, options: str, kill_at: int) -> None:
    """Train in this process; SIGKILL it when ``kill_at`` steps are done."""

    def die(what: str, done: int, total: int) -> None:
        if done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    torch.set_num_threads(1)
    method = Toy()
    fit(method, scenes(), TrainOptions(**json.loads(options)), Path(folder), seed=3, progress=die, cpu=True)
    if int(os.environ.get("RANK", "0")) == 0:
        torch.save(weights(method), Path(folder) / "final.pt")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
