"""What every registered student keeps; a student that is added is tested by its smallest options here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pointlift import losses
from pointlift.data.batch import Batch
from pointlift.data.dataset import Scenes
from pointlift.data.scene import Scene
from pointlift.errors import DataError
from pointlift.registry import STUDENTS
from pointlift.students.base import Student
from pointlift.train import TrainOptions, checkpoint, fit
from pointlift.train.method import Method

SMALLEST: dict[str, dict[str, Any]] = {
    "minkunet14": {"width": 0.125, "voxel_size": 0.4, "stem_kernel": 3},
    "minkunet34": {"width": 0.125, "voxel_size": 0.4, "stem_kernel": 3, "head": "mlp"},
    "point_transformer": {"size": "tiny", "points": 40, "groups": 6, "group_size": 5, "inputs": ("offset", "features")},
}
"""Options under which each student is small and quick, and looks at the features of points."""
EVERY = pytest.mark.parametrize("name", STUDENTS.names())
CHANNELS, OUTPUTS = 2, 5


def build(name: str, seed: int = 0) -> Student:
    assert name in SMALLEST, f"give the smallest options of the student '{name}' in SMALLEST"
    torch.manual_seed(seed)
    return STUDENTS.build(name, CHANNELS, OUTPUTS, **SMALLEST[name])


def settled(name: str) -> Student:
    """In evaluation mode, with batch statistics that fit the clouds."""
    student = build(name)
    with torch.no_grad():
        for _ in range(20):
            student(batch_of(90, 70))
    return student.eval()


def cloud(count: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, generator=generator) * 4, torch.rand(count, CHANNELS, generator=generator)


def batch_of(*counts: int) -> Batch:
    points, features = zip(*(cloud(count, seed) for seed, count in enumerate(counts)), strict=True)
    offsets = torch.tensor([0, *counts]).cumsum(0)
    return Batch(torch.cat(points), torch.cat(features), offsets, [f"cloud {one}" for one in range(len(counts))])


@EVERY
def test_shapes_and_types(name: str) -> None:
    student, batch = build(name), batch_of(60, 45)
    assert (student.in_channels, student.out_channels, student.loaded) == (CHANNELS, OUTPUTS, None)
    assert isinstance(student, Student)
    for mode in (True, False):
        output, decoded = student.train(mode)(batch), student.decoder_features(batch)
        assert output.shape == (105, OUTPUTS)
        assert decoded.shape == (105, student.decoder_channels)
        assert output.dtype == decoded.dtype == torch.float32
        assert output.requires_grad


@EVERY
def test_the_head_makes_the_output_of_the_decoder_s_features(name: str) -> None:
    student, batch = settled(name), batch_of(60, 45)
    with torch.no_grad():
        decoded = student.decoder_features(batch)
        torch.testing.assert_close(student.head(decoded), student(batch), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(student.head(decoded[7:9]), student.head(decoded)[7:9], rtol=1e-4, atol=1e-5)


@EVERY
def test_rows_are_those_of_the_whole(name: str) -> None:
    student, batch = settled(name), batch_of(60, 45)
    for rows in (torch.tensor([3, 3, 104, 0, 61]), torch.zeros(0, dtype=torch.int64)):
        with torch.no_grad():
            torch.testing.assert_close(student(batch, rows), student(batch)[rows], rtol=1e-4, atol=1e-5)
            found = student.decoder_features(batch, rows)
            torch.testing.assert_close(found, student.decoder_features(batch)[rows], rtol=1e-4, atol=1e-5)


@EVERY
def test_a_batch_is_its_clouds_one_by_one(name: str) -> None:
    student = settled(name)
    counts = [max(count, student.fewest_points) for count in (60, 0, 1, 45)]
    batch = batch_of(*counts)
    with torch.no_grad():
        alone = [student(Batch(*cloud(count, seed), torch.tensor([0, count]))) for seed, count in enumerate(counts)]
        torch.testing.assert_close(student(batch), torch.cat(alone), rtol=1e-4, atol=1e-5)


@EVERY
def test_the_order_of_points_matters_only_where_it_is_declared(name: str) -> None:
    student = settled(name)
    points, features = cloud(80, 0)
    order = torch.randperm(80, generator=torch.Generator().manual_seed(1))
    whole = torch.tensor([0, 80])
    with torch.no_grad():
        expected = student(Batch(points, features, whole))[order]
        found = student(Batch(points[order], features[order], whole))
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5) != student.order_matters


@EVERY
@pytest.mark.parametrize("training", [True, False])
def test_clouds_of_the_fewest_points_will_do(name: str, training: bool) -> None:
    student = build(name).train(training)
    for counts in ((0, 50), (0,), (0, 0), (1, 2)):
        counts = tuple(max(count, student.fewest_points) for count in counts)
        output = student(batch_of(*counts))
        assert output.shape == (sum(counts), OUTPUTS)
        assert output.isfinite().all()
        if training:
            output.sum().backward()
            gradients = [parameter.grad for parameter in student.parameters()]
            assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


@EVERY
def test_a_cloud_of_fewer_points_is_one_sentence(name: str) -> None:
    student = build(name)
    for count in {0, 1, student.fewest_points - 1} & set(range(student.fewest_points)):
        points = np.concatenate([part.numpy() for part in cloud(count, 0)], axis=1)
        with pytest.raises(DataError, match=rf"'points' has {count} points, .* {student.fewest_points}"):
            student.features(points)
        with pytest.raises(DataError, match=f"'a' has {count} points, .* {student.fewest_points}"):
            student.require_points("a", count)
    student.require_points("a", student.fewest_points)


@EVERY
def test_a_wrong_number_of_features_is_one_sentence(name: str) -> None:
    with pytest.raises(DataError, match="built for 2 features per point, but the points have 1"):
        build(name).features(np.zeros((60, 4), np.float32))


@EVERY
def test_weights_make_the_student(name: str, tmp_path: Path) -> None:
    student, other = settled(name), build(name, seed=1).eval()
    path = checkpoint.save(tmp_path, 1, student.state_dict())
    with torch.no_grad():
        assert not torch.allclose(student(batch_of(60)), other(batch_of(60)))
        checkpoint.load_strictly(other, checkpoint.read_weights(path), path)
        assert torch.equal(student(batch_of(60)), other(batch_of(60)))


@EVERY
def test_a_step_is_repeated_to_the_bit(name: str) -> None:
    def step() -> list[Tensor]:
        student = build(name)
        output = student(batch_of(60, 45))
        output.square().mean().backward()
        return [output, *(one.grad for one in student.parameters()), *student.state_dict().values()]

    assert all(torch.equal(one, other) for one, other in zip(step(), step(), strict=True))


@EVERY
def test_evaluation_draws_nothing_and_changes_nothing(name: str) -> None:
    student = settled(name)
    before = {key: value.clone() for key, value in student.state_dict().items()}
    state = torch.get_rng_state()
    points = np.concatenate([part.numpy() for part in cloud(90, 0)], axis=1)
    assert np.array_equal(student.features(points), student.features(points))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in student.state_dict().items())


@EVERY
def test_mixed_precision_is_close(name: str) -> None:
    student, batch = settled(name), batch_of(60, 45)
    with torch.no_grad():
        expected = student(batch)
        with torch.autocast("cpu", torch.bfloat16):
            found = student(batch).float()
    assert (found - expected).norm() < 0.1 * expected.norm()


@EVERY
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_gives_what_the_cpu_gives(name: str) -> None:
    student, batch = settled(name), batch_of(60, 45)
    with torch.no_grad():
        expected = student(batch)
        found = student.cuda()(batch.to(torch.device("cuda")))
    assert found.device.type == "cuda"
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-3, atol=1e-3)


class Regression(Method):
    """The student's output against coordinates: a method of nothing but the student."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.trained: nn.Module = student
        self.loss = losses.build("mse")

    def sample(self, scene: Scene, rng: np.random.Generator) -> Scene:
        return scene.select(rng.permutation(len(scene.points))[:50])

    def collate(self, samples: list[Scene], rng: np.random.Generator) -> Batch:
        return Batch.from_scenes(samples)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": self.loss(self.trained(batch), batch.points[:, [0, 1, 2, 0, 1]])}


@EVERY
def test_training_resumes_to_the_same_bits(name: str, tmp_path: Path) -> None:
    clouds = [cloud(60, seed) for seed in range(4)]
    scenes = Scenes([Scene(p.numpy(), f.numpy(), [], id=f"s{i}") for i, (p, f) in enumerate(clouds)])
    options = TrainOptions(steps=4, batch_size=2, schedule="constant", checkpoint_every=2)
    whole, resumed = build(name), build(name)
    fit(Regression(whole), scenes, options, cpu=True)
    fit(Regression(resumed), scenes, options.model_copy(update={"steps": 2}), tmp_path, cpu=True)
    resumed = build(name, seed=5)
    fit(Regression(resumed), scenes, options, tmp_path, cpu=True)
    for (key, value), other in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(value, other), key
