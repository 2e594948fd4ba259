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

from pointlift.data.scene import Scene
from pointlift.errors import TrainingError
from pointlift.methods.base import Method, Progress
from pointlift.train import checkpoint
from pointlift.train.loader import StepBatches, batches
from pointlift.train.log import MetricLog
from pointlift.train.options import TrainOptions
from pointlift.train.schedule import build_optimizer, set_learning_rate

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
    """Train ``method.trained`` for ``options.steps`` steps; returns the last logged metrics.

    Args:
        method: what a step is.
        scenes: the training scenes.
        options: length, optimiser, schedule, precision.
        folder: run folder for checkpoints and logs, from which an interrupted run goes on; None writes nothing.
        seed: of the order of scenes, augmentation and pairs.
        state: JSON-able facts that go into every checkpoint.
        progress: called with ("training", done, total) after each step.
        callbacks: called with (step, method, metrics) after every logged step, on the main process.
        cpu: train on the CPU even where there is a GPU.

    Raises:
        TrainingError: the loss or the gradient is not finite.
        CheckpointError: a checkpoint cannot be written or read.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    accelerator = _accelerator(options, cpu)
    method.to(accelerator.device)
    with accelerator.main_process_first():  # the first process fills the cache, the others then find it full
        method.prepare(scenes, progress)
    optimizer = build_optimizer(method.trained, options, method.learning_rate_factors)
    first = _resume(folder, method, optimizer, accelerator)
    model, optimizer = accelerator.prepare(method, optimizer)
    source = StepBatches(method, scenes, options.batch_size, seed, accelerator.process_index, accelerator.num_processes)
    log = MetricLog(folder if accelerator.is_main_process else None, first)
    metrics: dict[str, float] = {}
    clock = time.perf_counter()
    for step, batch in enumerate(batches(source, first, options), start=first):
        torch.manual_seed(seed * 1_000_003 + step)  # dropout and the like depend on (seed, step) alone
        values = _step(accelerator, model, optimizer, batch, step, options, method)
        done = step + 1
        if done % options.log_every == 0 or done == options.steps:
            metrics = {key: float(value) for key, value in values.items()}
            seconds, clock = (time.perf_counter() - clock) / options.log_every, time.perf_counter()
            log.write(done, {**metrics, "seconds_per_step": seconds})
            if accelerator.is_main_process:
                for callback in callbacks:
                    callback(done, method, metrics)
        if folder and (done % options.checkpoint_every == 0 or done == options.steps):
            _save(folder, done, method, optimizer, accelerator, options, state or {})
        if progress and accelerator.is_main_process:
            progress("training", done, options.steps)
    log.close()
    return metrics


def _accelerator(options: TrainOptions, cpu: bool) -> Accelerator:
    precision = "no" if options.precision == "fp32" else options.precision
    # Buffers are the batch statistics, which the student's normalisation already makes global.
    parallel = DistributedDataParallelKwargs(broadcast_buffers=False)
    AcceleratorState._reset_state()  # accelerate keeps the precision of the first run of a process otherwise
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
    rate = set_learning_rate(optimizer, step, options)
    accelerator.backward(loss)
    if options.clip_norm is not None:
        norm = accelerator.clip_grad_norm_(method.trained.parameters(), options.clip_norm)
        if options.precision != "fp16":  # there the scaler expects overflows and skips the step
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


def _resume(folder: Path | None, method: Method, optimizer: torch.optim.Optimizer, accelerator: Accelerator) -> int:
    path = checkpoint.latest(folder / "checkpoints") if folder else None
    if path is None:
        return 0
    state = checkpoint.read_state(path)
    checkpoint.load_strictly(method.trained, checkpoint.read_weights(path), path)
    checkpoint.load_optimizer(path, optimizer, state["optimizer"])
    if state.get("scaler") and accelerator.scaler is not None:
        accelerator.scaler.load_state_dict(state["scaler"])
    return int(state["step"])


def _save(
    folder: Path,
    step: int,
    method: Method,
    optimizer: Any,
    accelerator: Accelerator,
    options: TrainOptions,
    state: dict[str, Any],
) -> None:
    if accelerator.is_main_process:
        scaler = accelerator.scaler.state_dict() if accelerator.scaler is not None else None
        plain = getattr(optimizer, "optimizer", optimizer)
        weights = method.trained.state_dict()
        content = {**state, "scaler": json.loads(json.dumps(scaler))}
        checkpoint.save(folder / "checkpoints", step, weights, plain, content, options.keep_checkpoints)
    accelerator.wait_for_everyone()
