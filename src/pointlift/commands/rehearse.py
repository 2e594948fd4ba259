"""A rehearsal of a run: every part built, two steps taken, and from these what the whole run would need."""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from pointlift import recipe as recipes
from pointlift.data.dataset import Dataset, Subset
from pointlift.errors import RecipeError
from pointlift.options import option_values
from pointlift.progress import Progress
from pointlift.recipe import Recipe
from pointlift.registry import TEACHERS
from pointlift.run import Parts
from pointlift.students.base import require_answers
from pointlift.train import fit, log
from pointlift.train.loader import SceneOrder
from pointlift.train.method import Method

_log = logging.getLogger(__name__)

STEPS = 2
_ALWAYS = ("student", "teacher")


def dry_run(recipe: Recipe, *, progress: Progress | None = None, cpu: bool = False) -> dict[str, Any]:
    """Build everything that ``recipe`` names, take two steps on the data that is there, and keep nothing.

    Where the teacher's weights are not on this machine, a randomly initialised one of the same shape stands in, and the
    result says so. The time of a step is the second one's, so that what happens once is not multiplied; memory is the
    peak of this process (on a GPU, of its tensors).

    Args:
        recipe: what is rehearsed.
        progress: called with (what, done, total).
        cpu: stay on the CPU even where there is a GPU.

    Returns:
        ``scenes``, ``steps``, ``parameters``, ``memory_bytes``, ``disk_bytes`` and ``seconds``, each with its parts.

    Raises:
        PointliftError: whatever would stop the run itself.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # as torchrun and accelerate set it
        raise RecipeError("a dry run takes one process; start it without torchrun")
    device = torch.device("cuda" if torch.cuda.is_available() and not cpu else "cpu")
    with TemporaryDirectory(prefix="pointlift-") as temporary:
        folder = Path(temporary)
        parts, stand_in = _with_some_teacher(recipe, folder)
        scenes, teacher = parts.dataset(), parts.pixel_features.teacher
        epoch = SceneOrder(scenes, recipe.seed).length
        options = recipe.training.resolved(epoch)
        few = _few(scenes, min(len(scenes), STEPS * options.batch_size))
        student = parts.student(len(scenes.feature_names), parts.out_channels, recipe.seed)
        require_answers(student, recipe.student.name)
        method = parts.method(student).to(device)
        preparing = _prepared(method, few, progress)
        rehearsal = {"steps": STEPS, "epochs": None, "log_every": 1, "checkpoint_every": STEPS, "warmup_steps": 0}
        changed = options.model_copy(update=rehearsal)
        metrics = fit(method, few, changed, folder / "run", seed=recipe.seed, progress=progress, cpu=cpu)
        step = log.read(folder / "run")[-1]["seconds_per_step"]
        features, checkpoint = _size(folder / "features"), _size(folder / "run" / "checkpoints")
    images_here = sum(len(few.views(index)) for index in range(len(few)))
    more = len(scenes) / len(few)
    return {
        "recipe": recipe.name,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "teacher": recipe.teacher.name,
        "teacher_is_random": stand_in,
        "loss": metrics["loss"],
        "scenes": len(scenes),
        "images": round(images_here * more),
        "batch_size": options.batch_size,
        "steps": options.steps,
        "epochs": options.steps * options.batch_size / epoch,
        "parameters": {"student": _count(student), "teacher": _count(teacher), **_counted(method)},
        "memory_bytes": _peak_memory(device),
        "disk_bytes": {"features": round(features * more), "checkpoints": checkpoint * options.keep_checkpoints},
        "seconds": {"features": preparing * more, "step": step, "training": step * options.steps},
    }


def table(result: dict[str, Any]) -> list[list[str]]:
    """What `dry_run` found, as rows to print."""
    seconds, disk, parameters = result["seconds"], result["disk_bytes"], result["parameters"]
    stand_in = ", randomly initialised: its weights are not on this machine" if result["teacher_is_random"] else ""
    rows = [
        ["device", result["device"]],
        ["teacher", f"{result['teacher']}, {parameters['teacher'] / 1e6:,.1f} M parameters{stand_in}"],
        ["student", f"{parameters['student'] / 1e6:,.1f} M parameters"],
        *([f"  {name}", f"{count:,} parameters"] for name, count in parameters.items() if name not in _ALWAYS),
        ["data", f"{result['scenes']:,} scenes with {result['images']:,} images"],
        ["steps", f"{result['steps']:,} of {result['batch_size']} scenes, {result['epochs']:.4g} epochs"],
        ["loss at step 2", f"{result['loss']:.4f}"],
        ["memory, peak", f"{result['memory_bytes'] / 2**30:.1f} GiB"],
        ["disk, checkpoints", f"{disk['checkpoints'] / 2**30:.2f} GiB"],
        ["time a step", f"{seconds['step']:.2f} s"],
        ["time of training", _duration(seconds["training"])],
    ]
    if disk["features"]:
        rows.insert(8, ["disk, teacher features", f"{disk['features'] / 2**30:.2f} GiB"])
        rows.append(["time of teacher features", _duration(seconds["features"])])
    return rows


def _few(scenes: Dataset, count: int) -> Subset:
    """Some scenes of a data set, evenly spread; made one by one where a data set makes its scenes on first use."""
    return Subset(scenes, [position * len(scenes) // count for position in range(count)])


def _with_some_teacher(recipe: Recipe, folder: Path) -> tuple[Parts, bool]:
    """The recipe's parts with a cache under ``folder``, and whether its teacher is a randomly initialised stand-in."""
    own = recipes.from_values(recipe.to_dict(), {"cache.folder": str(folder / "features")})
    kind = TEACHERS.get(recipe.teacher.name).factory
    changed = kind.stand_in(**option_values(recipe.teacher))  # type: ignore[attr-defined]
    if changed is None:
        return Parts(own), False
    _log.warning(
        "the weights of the teacher %s are not on this machine: a randomly initialised one of the same shape stands in",
        recipe.teacher.name,
    )
    return Parts(recipes.from_values(own.to_dict(), {f"teacher.{key}": value for key, value in changed.items()})), True


def _prepared(method: Method, scenes: Dataset, progress: Progress | None) -> float:
    """Seconds of the work before training, such as the teacher's features of every image; it is not done again."""
    start = time.perf_counter()
    method.prepare(scenes, progress)
    seconds = time.perf_counter() - start
    method.prepare = _nothing_more  # type: ignore[method-assign]
    return seconds


def _nothing_more(scenes: Dataset, progress: Progress | None = None) -> None:
    """What is left to prepare afterwards."""


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource  # there is none on Windows

    unit = 1 if sys.platform == "darwin" else 1024  # the same field has bytes there and kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _counted(method: Method) -> dict[str, int]:
    """Numbers of parameters of a method that trains more than the student, part by part."""
    return method.parameter_counts()


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"
