"""A run: one recipe built into its parts, and the folder that holds what came of it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate.utils import get_int_from_env

from pointlift import losses
from pointlift import recipe as recipes
from pointlift.data.dataset import Dataset
from pointlift.data.opening import open_dataset
from pointlift.data.values import first_doubts
from pointlift.errors import CheckpointError, RecipeError
from pointlift.files import write_atomically
from pointlift.options import DATA_ROOT, Place, marked, option_values
from pointlift.progress import Progress
from pointlift.recipe import Recipe, differences
from pointlift.registry import METHODS, STUDENTS, TEACHERS
from pointlift.students.base import Student, checked_student, require_answers
from pointlift.teachers.base import checked_teacher
from pointlift.teachers.cache import FeatureCache, features_folder
from pointlift.teachers.pixels import PixelFeatures
from pointlift.train import checkpoint, fit, log
from pointlift.train.loop import STEP_COUNT
from pointlift.train.method import Method, Trained, checked_method, trained_by
from pointlift.train.ownership import owned

_log = logging.getLogger(__name__)


@dataclass
class Parts:
    """Builds what a recipe names; each part once, when it is first asked for."""

    recipe: Recipe

    def dataset(self, **changes: Any) -> Dataset:
        """The recipe's data set, with changed options such as ``split="val"``.

        Options that thin out a split (a data set's ``subset_options``) hold for the recipe's own split only.
        """
        return open_dataset(self.recipe.data, **changes)

    @cached_property
    def pixel_features(self) -> PixelFeatures:
        """The recipe's teacher behind its cache."""
        name = self.recipe.teacher.name
        teacher = checked_teacher(TEACHERS.get(name)(**option_values(self.recipe.teacher)), name)
        options = self.recipe.cache
        folder = options.folder or features_folder()
        cache = FeatureCache(folder, teacher, options.image_size, scale=options.scale) if options.enabled else None
        return PixelFeatures(teacher, image_size=options.image_size, scale=options.scale, cache=cache)

    @property
    def trains(self) -> Trained | None:
        """What the recipe's method trains beside the encoder, see `Method.trains`."""
        return trained_by(METHODS.get(self.recipe.method.name), option_values(self.recipe.method))

    @property
    def student_class(self) -> type[Student]:
        """The class of the recipe's student."""
        return STUDENTS.get(self.recipe.student.name).factory  # type: ignore[return-value]

    @property
    def out_channels(self) -> int:
        """Width of the student's output at each point, that of the teacher's features; 0 where none is trained."""
        return self.pixel_features.teacher.dim if self.trains == "points" else 0

    def student(self, in_channels: int, out_channels: int, seed: int, *, scratch: bool = False) -> Student:
        """A student with weights drawn from ``seed``, then those that it loads unless from ``scratch``."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            part, options = STUDENTS.get(self.recipe.student.name), option_values(self.recipe.student)
            for key in part.factory.loads if scratch else ():  # type: ignore[attr-defined]
                options.pop(key)
            return checked_student(part(in_channels, out_channels, **options), part.name, in_channels, out_channels)

    def method(self, student: Student, seed: int | None = None) -> Method:
        """The recipe's method around ``student``; what it trains beside it is drawn from ``seed``, the recipe's own."""
        loss = losses.build(self.recipe.loss.name, **option_values(self.recipe.loss))
        options = option_values(self.recipe.method)
        build = METHODS.get(self.recipe.method.name)
        features = self.pixel_features
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.recipe.seed if seed is None else seed)
            method = build(student, features, loss, self.recipe.points, self.recipe.image, **options)
        return checked_method(method, build.name)


class Run:
    """A run folder: ``recipe.yaml``, ``metrics.jsonl``, ``checkpoints/``, ``evaluation/``.

    Raises `CheckpointError` if ``folder`` holds no run.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        path = self.folder / "recipe.yaml"
        if not path.is_file():
            raise CheckpointError(f"{self.folder} is not a run folder: it has no recipe.yaml")
        self.recipe = recipes.load(path)
        self.parts = Parts(self.recipe)

    @property
    def checkpoint(self) -> Path:
        """The newest checkpoint."""
        path = checkpoint.latest(self.folder / "checkpoints")
        if path is None:
            raise CheckpointError(f"{self.folder} has no complete checkpoint yet; run the pretrain command again")
        return path

    def __repr__(self) -> str:
        path = checkpoint.latest(self.folder / "checkpoints")
        done = "no checkpoint yet" if path is None else path.name
        return f"Run({str(self.folder)!r}: {self.recipe.name}, seed {self.recipe.seed}, {done})"

    @property
    def state(self) -> dict[str, Any]:
        """What the newest checkpoint says beside its weights; a `CheckpointError` if it does not say enough."""
        path = self.checkpoint
        state = checkpoint.read_state(path)
        for key in ("step", "student", "feature_names"):
            if key not in state:
                raise CheckpointError(f"{path / checkpoint.STATE} does not say '{key}'; delete that checkpoint")
        return state

    def fresh_student(self, seed: int) -> Student:
        """A randomly initialised student of this run's shape."""
        shape = self.state["student"]
        return self.parts.student(shape["in_channels"], shape["out_channels"], seed, scratch=True)

    def student(self) -> Student:
        """The trained student, in eval mode; what the method trained beside it stays in the checkpoint."""
        student = self.fresh_student(self.recipe.seed)
        weights = checkpoint.read_weights(self.checkpoint)
        own = {key.removeprefix("student."): value for key, value in weights.items() if key.startswith("student.")}
        checkpoint.load_strictly(student, own or weights, self.checkpoint)
        return student.eval()

    def method(self) -> Method:
        """The trained method, in eval mode; its teacher is the recipe's."""
        method = self.fresh_method(self.recipe.seed)
        checkpoint.load_strictly(method.trained, checkpoint.read_weights(self.checkpoint), self.checkpoint)
        return method.eval()

    def fresh_method(self, seed: int) -> Method:
        """The method around a randomly initialised student, with all that it trains drawn from ``seed``."""
        return self.parts.method(self.fresh_student(seed), seed)

    @property
    def steps(self) -> int:
        """How many steps the whole run has, also where the recipe gives its length in epochs."""
        training = self.recipe.training
        if training.epochs is None:
            return training.steps
        steps = self.state.get(STEP_COUNT)
        if type(steps) is not int:
            raise CheckpointError(f"{self.checkpoint / checkpoint.STATE} does not say how many steps the epochs are")
        return steps

    def with_teacher(self, source: str | None) -> Run:
        """The run itself, or one whose teacher's weights lie at ``source``."""
        if source is None:
            return self
        moved = Run(self.folder)
        moved.recipe = recipes.from_values(self.recipe.to_dict(), {"teacher.source": source})
        moved.parts = Parts(moved.recipe)
        return moved

    def metrics(self) -> list[dict[str, float]]:
        """The logged training steps."""
        return log.read(self.folder)


def default_folder(recipe: Recipe) -> Path:
    """Where a run goes if nothing else is said; a `RecipeError` if the recipe's name is no name of a folder."""
    return Path("runs") / f"{folder_name(recipe.name)}-seed{recipe.seed}"


def folder_name(name: str) -> str:
    """The name itself, if a folder of that name lies where it is put; a `RecipeError` otherwise."""
    if name in ("", ".", "..") or any(one in name for one in "/\\\0"):
        raise RecipeError(
            f"the name {name!r} cannot be that of a run's folder: leave out '/' and '\\', as in 'my-log', or give --out"
        )
    return name


def train(
    recipe: Recipe, folder: Path, progress: Progress | None = None, callbacks: Sequence[Any] = (), cpu: bool = False
) -> Run:
    """Pretrain as ``recipe`` says, or go on where an interrupted run of the same recipe stopped."""
    parts = Parts(recipe)
    scenes = parts.dataset()
    teacher = parts.pixel_features.teacher
    student = parts.student(len(scenes.feature_names), parts.out_channels, recipe.seed)
    require_answers(student, recipe.student.name)
    state = {
        "student": {"in_channels": student.in_channels, "out_channels": student.out_channels},
        "feature_names": list(scenes.feature_names),
        "teacher": teacher.known_as(_learned_from(folder)),
        "scenes": hashlib.sha256("\n".join(scenes.ids).encode()).hexdigest()[:16],
    }
    for said in first_doubts(scenes, scenes.feature_names):
        _log.warning("%s: %s", scenes.name, said)
    method = parts.method(student)
    for report in (student.loaded, _counted(method)):
        if report:
            _log.info("%s", report)
    # after all that a mistake in the recipe can break, so that mending it is no other recipe
    with owned(folder) if _is_first_process() else nullcontext():
        extended = _claim(folder, recipe)
        fit(
            method,
            scenes,
            recipe.training,
            folder,
            seed=recipe.seed,
            state=state,
            progress=progress,
            callbacks=callbacks,
            cpu=cpu,
            extended=extended,
        )
    return Run(folder)


def _learned_from(folder: Path) -> str | None:
    """The fingerprint of the teacher that an interrupted run began with; None for a run that has no checkpoint yet."""
    path = checkpoint.latest(folder / "checkpoints")
    return None if path is None else checkpoint.read_state(path).get("teacher")


def prepare(recipe: Recipe, progress: Progress | None = None, cpu: bool = False) -> None:
    """Do what is done once before training: make scenes that are made on first use, and the teacher's features."""
    if recipe.training.threads:
        torch.set_num_threads(recipe.training.threads)  # as in training, since last bits depend on it
    parts = Parts(recipe)
    scenes = parts.dataset()
    method = parts.method(parts.student(len(scenes.feature_names), parts.out_channels, recipe.seed))
    method.to(torch.device("cuda" if torch.cuda.is_available() and not cpu else "cpu"))
    scenes.prepare(progress)
    method.prepare(scenes, progress)


def _is_first_process() -> bool:
    """Whether this is the only one of the processes that train together, or the first of them."""
    return get_int_from_env(["RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK"], 0) == 0


def _counted(method: Method) -> str:
    """Numbers of parameters in words, of a method that says them part by part."""
    counts: dict[str, int] = method.parameter_counts()
    return ", ".join(f"{name}: {count:,} parameters" for name, count in counts.items())


def _claim(folder: Path, recipe: Recipe) -> bool:
    """Write the recipe into a new run folder, or check that the run in it is the same; whether it is made longer."""
    path = folder / "recipe.yaml"
    if not path.is_file():
        _write(path, recipe)
        return False
    changed = differences(recipes.load(path), recipe)
    if not changed:
        return False
    if all(_is_longer(key, *values) for key, values in changed.items()):
        for key, (old, new) in changed.items():
            _log.info("%s: extended, %s was %s and is %s", folder, key, old, new)
        _log.info("the learning rate follows the schedule of the longer run from here on, not that of the first one")
        _write(path, recipe)
        return True
    threads = "training.threads"
    if set(changed) == {threads}:
        old, new = changed[threads]
        raise CheckpointError(
            f"{folder}: {threads} was {_said(old)} and is {_said(new)}, and sums over other threads may differ in "
            f"their last bits; to accept that, set {threads} to {_said(new)} in {path}, or go on with --set {threads}="
            f"{_said(old)}"
        )
    said = ", ".join(f"{key} was {old!r} and is {new!r}" for key, (old, new) in list(changed.items())[:3])
    raise CheckpointError(f"{folder} holds a run of another recipe ({said}); give another --out, or delete it")


def _is_longer(key: str, old: Any, new: Any) -> bool:
    return key in ("training.steps", "training.epochs") and None not in (old, new) and new > old


def _said(value: Any) -> str:
    return "null" if value is None else str(value)


def _write(path: Path, recipe: Recipe) -> None:
    """Keep a recipe with its places made absolute, so that the run is found again from any folder."""
    absolute: dict[str, Any] = {}
    for key, mark in marked(recipe, Place):
        value = recipes.value_at(recipe, key)
        place = None if value is None else Path(value).expanduser()
        # a teacher's source may be a public name, and files of a data set may be named from its root
        is_folder = mark is DATA_ROOT or (isinstance(value, Path) and not key.startswith("data."))
        if place is not None and not place.is_absolute() and (is_folder or place.exists()):
            absolute[key] = str(place.absolute())
    kept = recipes.from_values(recipe.to_dict(), absolute)
    write_atomically(path, yaml.safe_dump(kept.to_dict(), sort_keys=False))
