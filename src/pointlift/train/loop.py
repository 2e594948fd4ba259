"""The one training loop: knows methods only through their protocol, and resumes to the same bits."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs

from pointlift.data.dataset import as_dataset
from pointlift.data.scene import Scene
from pointlift.errors import CheckpointError, RecipeError, TrainingError
from pointlift.progress import Progress
from pointlift.train import checkpoint
from pointlift.train.loader import StepBatches, batches
from pointlift.train.log import MetricLog
from pointlift.train.method import Method
from pointlift.train.options import TrainOptions
from pointlift.train.preparation import first_process
from pointlift.train.schedule import build_optimizer, set_learning_rate

STEP_COUNT = "step count"
"""Under this name a checkpoint says how many steps the run's epochs are."""

Callback = Callable[[int, Method, dict[str, float]], None]


def fit(
    method: Method,
    scenes: Sequence[Scene],
    options: TrainOptions,
    folder: Path | None = None,
    *,
    seed: int = 0,
    state: dict[str, Any] | None = None,
    progress: Progress | None = None,
    callbacks: Sequence[Callback] = (),
    cpu: bool = False,
) -> dict[str, float]:
    """Train ``method.trained`` for as long as ``options`` say; returns the last logged metrics.

    Args:
        method: what a step is.
        scenes: the training scenes.
        options: length, optimiser, schedule, precision.
        folder: run folder for checkpoints and logs, from which an interrupted run goes on; None writes nothing.
        seed: of the order of scenes, augmentation and pairs.
        state: JSON-able facts that go into every checkpoint, and that a resumed run must share.
        progress: called with ("training", done, total) after each step.
        callbacks: called with (step, method, metrics) after every logged step, on the main process.
        cpu: train on the CPU even where there is a GPU.

    Raises:
        TrainingError: the loss or the gradient is not finite.
        RecipeError: fp16 is asked for on a CPU.
        CheckpointError: a checkpoint cannot be written or read.
    """
    scenes = as_dataset(scenes)
    if options.threads:
        torch.set_num_threads(options.threads)
    accelerator = _accelerator(options, cpu)
    progress = progress if accelerator.is_main_process else None
    method.to(accelerator.device)
    with first_process(accelerator.is_main_process, progress) as heard:  # it fills the caches, others find them full
        scenes.prepare(heard)
        method.prepare(scenes, heard)
    source = StepBatches(method, scenes, options.batch_size, seed, accelerator.process_index, accelerator.num_processes)
    state = dict(state or {})
    in_epochs = options.epochs is not None
    options = options.resolved(source.order.length)
    if in_epochs:
        state[STEP_COUNT] = options.steps  # a resumed run must share it: data that grew would bend its schedule
    optimizer = build_optimizer(method.trained, options, method.learning_rate_factors)
    first = _resume(folder, method, optimizer, accelerator, state)
    model, stepping = accelerator.prepare(method, optimizer)
    metrics: dict[str, float] = {}
    logged, clock = first, time.perf_counter()
    with MetricLog(folder if accelerator.is_main_process else None, first) as log:
        for done, batch in enumerate(batches(source, first, options), start=first + 1):
            torch.manual_seed(seed * 1_000_003 + done)  # dropout and the like depend on (seed, step) alone
            values = _step(accelerator, model, stepping, batch, done, options, method)
            if done % options.log_every == 0 or done == options.steps:
                metrics = {key: float(value) for key, value in values.items()}
                seconds = (time.perf_counter() - clock) / (done - logged)
                logged, clock = done, time.perf_counter()
                log.write(done, {**metrics, "seconds_per_step": seconds})
                if accelerator.is_main_process:
                    for callback in callbacks:
                        callback(done, method, metrics)
            if folder and (done % options.checkpoint_every == 0 or done == options.steps):
                _save(folder, done, method, optimizer, accelerator, options, state)
            if progress:
                progress("training", done, options.steps)
    return metrics


def _accelerator(options: TrainOptions, cpu: bool) -> Accelerator:
    on_cpu = cpu or not torch.cuda.is_available()
    if options.precision == "fp16" and on_cpu:
        raise RecipeError("training.precision is fp16, which needs a GPU; use fp32 on a CPU")
    precision = "no" if options.precision == "fp32" else options.precision
    # Buffers are the batch statistics, which the student's normalisation already makes global.
    parallel = DistributedDataParallelKwargs(broadcast_buffers=False)
    # accelerate otherwise keeps the precision and, in a single process, the device of the first run
    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    return Accelerator(mixed_precision=precision, cpu=cpu, kwargs_handlers=[parallel])


def _step(
    accelerator: Accelerator,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Any,
    step: int,
    options: TrainOptions,
    method: Method,
) -> dict[str, torch.Tensor | float]:
    model.train()
    values = dict(model(batch.to(accelerator.device)))
    loss = values["loss"]
    _require_finite("loss", float(loss.detach()), step, batch.scene_ids)
    rate = set_learning_rate(optimizer, step - 1, options)
    accelerator.backward(loss)
    limit = float("inf") if options.clip_norm is None else options.clip_norm
    norm = accelerator.clip_grad_norm_(method.trained.parameters(), limit)
    if accelerator.scaler is None:  # a scaler expects overflows and skips the step
        _require_finite("gradient", float(norm), step, batch.scene_ids)
    values["gradient_norm"] = norm
    optimizer.step()
    optimizer.zero_grad()
    return {**{key: _detached(value) for key, value in values.items()}, "learning_rate": rate}


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, torch.Tensor) else value


def _require_finite(what: str, value: float, step: int, scene_ids: Sequence[str]) -> None:
    if value != value or value in (float("inf"), float("-inf")):
        raise TrainingError(
            f"the {what} is {value} at step {step} (scenes {', '.join(scene_ids)}); try a lower "
            "training.learning_rate, training.clip_norm=1, or training.precision=fp32, and run `pointlift check` on "
            "the data; the checkpoints so far are kept"
        )


def _resume(
    folder: Path | None,
    method: Method,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    facts: dict[str, Any],
) -> int:
    path = checkpoint.latest(folder / "checkpoints") if folder else None
    if path is None:
        return 0
    state = checkpoint.read_state(path)
    for key, value in facts.items():
        if state.get(key) != value:
            raise CheckpointError(
                f"{folder} was trained with another {key} ({state.get(key)!r}, and now {value!r}), so it cannot go on; "
                "give another --out, or delete it"
            )
    checkpoint.load_strictly(method.trained, checkpoint.read_weights(path), path)
    checkpoint.load_optimizer(path, optimizer, state["optimizer"])
    if state.get("scaler") and accelerator.scaler is not None:
        accelerator.scaler.load_state_dict(state["scaler"])
    return int(state["step"])


def _save(
    folder: Path,
    step: int,
    method: Method,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    options: TrainOptions,
    state: dict[str, Any],
) -> None:
    if accelerator.is_main_process:
        scaler = accelerator.scaler.state_dict() if accelerator.scaler is not None else None
        weights = method.trained.state_dict()
        content = {**state, "scaler": json.loads(json.dumps(scaler))}
        checkpoint.save(folder / "checkpoints", step, weights, optimizer, content, options.keep_checkpoints)
    accelerator.wait_for_everyone()
