"""The one training loop: knows methods only through their protocol, and resumes to the same bits."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs

from pointlift.data.dataset import as_dataset
from pointlift.data.scene import Scene
from pointlift.errors import CheckpointError, RecipeError, TrainingError
from pointlift.memory import memory_errors_named
from pointlift.progress import Progress
from pointlift.train import checkpoint
from pointlift.train.loader import StepBatches, batches
from pointlift.train.log import MetricLog
from pointlift.train.method import Method
from pointlift.train.options import TrainOptions
from pointlift.train.preparation import first_process
from pointlift.train.schedule import build_optimizer, set_learning_rate
from pointlift.train.sending import worker_errors_named
from pointlift.train.stopping import stop_heard

STEP_COUNT = "step count"
"""Under this name a checkpoint says how many steps the run's epochs are."""

MEMORY_REMEDY = (
    "set a lower training.batch_size, fewer training.workers, a larger student.voxel_size or a narrower student; the "
    "checkpoints so far are kept"
)

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
    extended: bool = False,
) -> dict[str, float]:
    """Train ``method.trained`` for as long as ``options`` say; returns the last logged metrics.

    Asked to stop (Ctrl-C, SIGTERM, SIGHUP) while there is a ``folder``, it ends the step, saves and raises.

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
        extended: whether a run that goes on may have more steps than it began with.

    Raises:
        TrainingError: the loss or the gradient is not finite, or a data-loading process ended.
        RecipeError: fp16 is asked for on a CPU, or the warm-up is longer than the run.
        CheckpointError: a checkpoint cannot be written or read.
        InterruptedRunError: somebody asked it to stop; all is saved.
        MemoryExhaustedError: memory ran out.
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
    first = _resume(folder, method, optimizer, accelerator, state, extended)
    model, stepping = accelerator.prepare(method, optimizer)
    training = _Training(method, model, stepping, optimizer, accelerator, options, seed)
    told = callbacks if accelerator.is_main_process else ()
    with worker_errors_named(options.workers), memory_errors_named("training", MEMORY_REMEDY):
        return _steps(training, source, first, folder, state, progress, told)


@dataclass
class _Training:
    """What a step and a checkpoint are made from; ``model`` and ``stepping``: method and optimizer over processes."""

    method: Method
    model: torch.nn.Module
    stepping: torch.optim.Optimizer
    optimizer: torch.optim.Optimizer
    accelerator: Accelerator
    options: TrainOptions
    seed: int


def _steps(
    training: _Training,
    source: StepBatches,
    first: int,
    folder: Path | None,
    state: dict[str, Any],
    progress: Progress | None,
    callbacks: Sequence[Callback],
) -> dict[str, float]:
    """Step after step, and what is said and saved in between; returns the last logged metrics."""
    options, main = training.options, training.accelerator.is_main_process
    metrics: dict[str, float] = {}
    logged, clock = first, time.perf_counter()
    with MetricLog(folder if main else None, first) as log, stop_heard(folder is not None) as stop:
        for done, batch in enumerate(batches(source, first, options), start=first + 1):
            values = _step(training, batch, done)
            if done % options.log_every == 0 or done == options.steps:
                metrics = {key: float(value) for key, value in values.items()}
                seconds = (time.perf_counter() - clock) / (done - logged)
                logged, clock = done, time.perf_counter()
                log.write(done, {**metrics, "seconds_per_step": seconds})
                for callback in callbacks:
                    callback(done, training.method, metrics)
            stops = stop.asked(training.accelerator) and done < options.steps
            if folder and (stops or done % options.checkpoint_every == 0 or done == options.steps):
                _save(training, folder, done, state)
            if progress:
                progress("training", done, options.steps)
            if stops:
                raise stop.error(f"saved at step {done} of {options.steps}; the same command goes on from there")
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


def _step(training: _Training, batch: Any, step: int) -> dict[str, torch.Tensor | float]:
    accelerator, options, method = training.accelerator, training.options, training.method
    torch.manual_seed(training.seed * 1_000_003 + step)  # dropout and the like depend on (seed, step) alone
    training.model.train()
    values = dict(training.model(batch.to(accelerator.device)))
    loss = values["loss"]
    _require_finite("loss", float(loss.detach()), step, batch.scene_ids)
    rate = set_learning_rate(training.stepping, step - 1, options)
    accelerator.backward(loss)
    limit = float("inf") if options.clip_norm is None else options.clip_norm
    norm = accelerator.clip_grad_norm_(method.trained.parameters(), limit)
    if accelerator.scaler is None:  # a scaler expects overflows and skips the step
        _require_finite("gradient", float(norm), step, batch.scene_ids)
    values["gradient_norm"] = norm
    training.stepping.step()
    training.stepping.zero_grad()
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
    extended: bool,
) -> int:
    path = checkpoint.latest(folder / "checkpoints") if folder else None
    if path is None:
        return 0
    state = checkpoint.read_state(path)
    for key, value in facts.items():
        if state.get(key) != value and not (extended and key == STEP_COUNT):
            raise CheckpointError(
                f"{folder} was trained with another {key} ({state.get(key)!r}, and now {value!r}), so it cannot go on; "
                "give another --out, or delete it"
            )
    checkpoint.load_strictly(method.trained, checkpoint.read_weights(path), path)
    checkpoint.load_optimizer(path, optimizer, state["optimizer"])
    if state.get("scaler") and accelerator.scaler is not None:
        accelerator.scaler.load_state_dict(state["scaler"])
    return int(state["step"])


def _save(training: _Training, folder: Path, step: int, state: dict[str, Any]) -> None:
    accelerator = training.accelerator
    if accelerator.is_main_process:
        if not folder.is_dir():
            raise CheckpointError(f"{folder} is no longer there: it was moved or deleted while it was trained")
        scaler = accelerator.scaler.state_dict() if accelerator.scaler is not None else None
        weights = training.method.trained.state_dict()
        content = {**state, "scaler": json.loads(json.dumps(scaler))}
        checkpoint.save(
            folder / "checkpoints", step, weights, training.optimizer, content, training.options.keep_checkpoints
        )
    accelerator.wait_for_everyone()
