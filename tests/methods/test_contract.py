"""What every registered method keeps; a method that is added is tested by a small one of its kind here."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from typing import Any, get_args

import numpy as np
import pytest
import torch

from pointlift import losses
from pointlift.data.augmentation import PointAugmentation
from pointlift.errors import RecipeError
from pointlift.losses import Loss
from pointlift.options import option_values
from pointlift.registry import METHODS, STUDENTS
from pointlift.students.base import Student
from pointlift.teachers.cache import FeatureCache
from pointlift.teachers.pixels import PixelFeatures
from pointlift.train.loader import StepBatches
from pointlift.train.method import Method, Trained
from tests.losses.test_base import within_regions
from tests.methods.frames import Frames, TokenTeacher
from tests.methods.frames import student as point_transformer

SMALLEST: dict[str, tuple[dict[str, Any], ...]] = {
    "point_pixel": ({"pairs_per_scene": 30}, {"pairs_per_scene": 30, "views_per_scene": 1, "shuffle_pairs": True}),
    "concept": ({"concept_tokens": 4}, {"target": "patches"}, {"target": "none", "reconstruction": 1.0}),
}
"""Options under which each method is small, of every kind of thing that it trains."""
CASES = [(name, options) for name in METHODS.names() for options in SMALLEST.get(name, ({},))]
EVERY = pytest.mark.parametrize(("name", "options"), CASES, ids=lambda value: value if isinstance(value, str) else "")


def student(name: str, outputs: int) -> Student:
    if name == "concept":
        return point_transformer(outputs)
    torch.manual_seed(0)
    return STUDENTS.build("minkunet14", 1, outputs, width=0.125, voxel_size=0.2, stem_kernel=3)


def build(name: str, options: dict[str, Any], loss: Loss | None = None) -> Method:
    assert name in SMALLEST, f"give the smallest options of the method '{name}' in SMALLEST"
    teacher = TokenTeacher()
    features = PixelFeatures(teacher, cache=FeatureCache(None, teacher))
    outputs = teacher.dim if METHODS.get(name).factory.trains(**options) == "points" else 0
    moved = PointAugmentation(min_pairs=5)
    return METHODS.build(name, student(name, outputs), features, loss or losses.build("mse"), moved, None, **options)


def values(thing: Any) -> Iterator[Any]:
    """The numbers, words and arrays that a sample or a batch is made of."""
    if dataclasses.is_dataclass(thing):
        thing = [getattr(thing, one.name) for one in dataclasses.fields(thing)]
    if isinstance(thing, dict):
        thing = list(thing.items())
    if isinstance(thing, (list, tuple)):
        for one in thing:
            yield from values(one)
    else:
        yield thing


def same(first: Any, second: Any) -> bool:
    pairs = list(zip(values(first), values(second), strict=True))
    return all(np.array_equal(np.asarray(one), np.asarray(other)) or one is other for one, other in pairs)


def global_states() -> list[Any]:
    """Of the generators that nothing should draw from."""
    return [torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()]  # noqa: NPY002


@EVERY
def test_it_declares_what_it_trains(name: str, options: dict[str, Any]) -> None:
    every = option_values(METHODS.options(name)(**options))
    assert METHODS.get(name).factory.trains(**every) in (*get_args(Trained), None)
    counts = build(name, options).parameter_counts()
    assert all(isinstance(part, str) and count > 0 for part, count in counts.items())


@EVERY
def test_only_what_is_trained_is_saved(name: str, options: dict[str, Any]) -> None:
    method = build(name, options)
    assert {key.split(".")[0] for key in method.state_dict()} == {"trained"}
    assert all(
        any(key.startswith(prefix) for key in method.trained.state_dict()) for prefix in method.learning_rate_factors
    )


@EVERY
def test_a_sample_draws_from_its_generator_alone(name: str, options: dict[str, Any]) -> None:
    method, frames = build(name, options), Frames(views=2)
    method.prepare(frames)
    samples = []
    for seed, own in ((1, 7), (2, 7), (2, 8)):
        torch.manual_seed(seed)
        before = global_states()
        samples.append(method.sample(frames[3], np.random.default_rng(own)))
        assert same(global_states(), before)
    assert same(samples[0], samples[1])
    assert not same(samples[1], samples[2])


@EVERY
def test_a_step_is_finite_and_everything_trained_gets_a_gradient(name: str, options: dict[str, Any]) -> None:
    method, frames = build(name, options), Frames(views=2)
    method.prepare(frames)
    method.train()
    batch = StepBatches(method, frames, batch_size=3, seed=0)[0].to(torch.device("cpu"))
    assert len(batch.scene_ids) == 3
    logged = method(batch)
    assert logged["loss"].shape == ()
    assert all(torch.as_tensor(value).isfinite() for value in logged.values())
    logged["loss"].backward()
    for key, parameter in method.trained.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, key
        assert parameter.grad is None or parameter.grad.isfinite().all(), key


@EVERY
def test_a_batch_is_the_same_again(name: str, options: dict[str, Any]) -> None:
    method, frames = build(name, options), Frames(views=2)
    method.prepare(frames)
    source = StepBatches(method, frames, batch_size=2, seed=4)
    assert same(source[5], source[5])
    assert not same(source[5], source[6])


@EVERY
def test_a_loss_that_asks_for_what_a_pair_does_not_have_is_one_sentence(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match="the loss needs regions with each pair, which this method does not give"):
        build(name, options, Loss(within_regions))
