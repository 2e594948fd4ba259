"""What a training run may choose: length, optimiser, schedule, precision and bookkeeping."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pointlift.errors import RecipeError
from pointlift.options import LOCAL


class TrainOptions(BaseModel):
    """Options of one training run; steps count optimiser updates, the batch is the global one over all processes."""

    model_config = ConfigDict(extra="forbid")

    steps: int = Field(1000, ge=1)
    epochs: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="length in passes over the data instead; overrides steps"
    )
    batch_size: int = Field(2, ge=1, description="scenes per step, over all processes together")

    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0, description="not applied to one-dimensional parameters")
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD")
    dampening: float = Field(0.0, ge=0, le=1, description="of SGD")
    betas: tuple[float, float] = (0.9, 0.999)
    clip_norm: float | None = Field(None, gt=0, description="largest norm of the whole gradient")

    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_steps: int = Field(0, ge=0)
    warmup_epochs: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="warm-up in passes over the data instead; overrides warmup_steps"
    )
    final_learning_rate: float = Field(0.0, ge=0, le=1, description="at the end of the cosine, as a share of the peak")

    precision: Literal["fp32", "bf16", "fp16"] = "fp32"

    workers: Annotated[int, LOCAL] = Field(
        0, ge=0, description="processes that prepare scenes; 0 prepares them in the training process"
    )
    threads: int | None = Field(None, ge=1, description="CPU threads of torch; null leaves torch's own choice")
    log_every: Annotated[int, LOCAL] = Field(10, ge=1)
    checkpoint_every: Annotated[int, LOCAL] = Field(200, ge=1)
    keep_checkpoints: Annotated[int, LOCAL] = Field(2, ge=1)

    def resolved(self, epoch_length: int) -> TrainOptions:
        """The same options with their length in steps, for a data set of which an epoch has ``epoch_length`` scenes.

        E epochs are ceil(E · epoch_length / batch_size) steps: the last step may begin one pass more. So are those of
        the warm-up. A `RecipeError` if the warm-up is longer than the run.
        """
        changes: dict[str, int | None] = {}
        if self.epochs is not None:
            changes = {"steps": max(1, self._steps(self.epochs, epoch_length)), "epochs": None}
        if self.warmup_epochs is not None:
            changes |= {"warmup_steps": self._steps(self.warmup_epochs, epoch_length), "warmup_epochs": None}
        found = self.model_copy(update=changes)
        if found.warmup_steps > found.steps:
            raise RecipeError(
                f"warmup_steps is {found.warmup_steps}, but the whole run has {found.steps} steps; set it lower, or "
                f"{'steps' if self.epochs is None else 'epochs'} higher"
            )
        return found

    def _steps(self, epochs: float, epoch_length: int) -> int:
        # 1.1 passes over 10 scenes are 11 scenes, whatever a float says of it
        return math.ceil(round(epochs * epoch_length, 6) / self.batch_size)
