from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pointlift.data.batch import Batch
from pointlift.data.scene import Scene
from pointlift.errors import DataError
from pointlift.students.base import Student, evaluating


class Linear(Student):
    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.decoder_channels = in_channels, 2, 3
        self.layer = nn.Linear(3 + in_channels, 2)
        self.drop = nn.Dropout(0.5).eval()

    def forward(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        assert not self.training
        return self.layer(torch.cat([batch.points, batch.features], dim=1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_of_an_array(dtype: type) -> None:
    student = Linear(1)
    points = np.random.default_rng(0).normal(size=(7, 4)).astype(dtype)
    expected = student.layer(torch.tensor(points, dtype=torch.float32))
    out = student.features(points)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, expected.detach().numpy(), rtol=1e-6)


def test_features_of_a_scene_equal_those_of_its_array() -> None:
    points = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    scene = Scene(points=points[:, :3], features=points[:, 3:], id="a")
    student = Linear(1)
    np.testing.assert_array_equal(student.features(scene), student.features(points))


def test_the_mode_of_every_module_is_restored() -> None:
    student = Linear(0).train()
    student.drop.eval()
    student.features(np.zeros((2, 3), np.float32))
    assert student.training
    assert not student.drop.training


def test_evaluating_restores_the_modes_after_an_error_too() -> None:
    student = Linear(0).train()
    student.drop.eval()

    def fail() -> None:
        with evaluating(student):
            assert not any(module.training for module in student.modules())
            assert not student.layer(torch.zeros(1, 3)).requires_grad
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert student.training
    assert student.layer.training
    assert not student.drop.training
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(("shape", "message"), [((5, 3), r"array \(N, 4\)"), ((5, 2), "not of shape"), ((5,), "shape")])
def test_wrong_arrays(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Linear(1).features(np.zeros(shape, np.float32))
