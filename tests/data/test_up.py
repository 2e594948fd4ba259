from __future__ import annotations

import numpy as np
import pytest
import torch

from pointlift.data.up import (
    UP_AXES,
    UpAxis,
    axes_about,
    heights,
    horizontal_axes,
    rotation_about,
    up_vector,
    upright_rotation,
)

POINTS = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)


def test_every_axis_with_its_two_directions() -> None:
    assert UP_AXES == ("x", "y", "z", "-x", "-y", "-z")
    assert horizontal_axes("z") == (0, 1)
    assert horizontal_axes("-y") == (0, 2)
    np.testing.assert_array_equal(up_vector("-y"), [0, -1, 0])


@pytest.mark.parametrize("up_axis", UP_AXES)
def test_the_horizontal_axes_and_up_are_right_handed(up_axis: UpAxis) -> None:
    a, b = horizontal_axes(up_axis)
    np.testing.assert_array_equal(np.cross(np.eye(3)[a], np.eye(3)[b]), up_vector(up_axis))
    np.testing.assert_array_equal(axes_about(up_axis), [np.eye(3)[a], np.eye(3)[b], up_vector(up_axis)])


@pytest.mark.parametrize("up_axis", UP_AXES)
def test_heights_are_along_up_for_arrays_and_tensors(up_axis: UpAxis) -> None:
    np.testing.assert_array_equal(heights(POINTS, up_axis), (POINTS @ up_vector(up_axis)).astype(np.float32))
    assert torch.equal(heights(torch.from_numpy(POINTS), up_axis), torch.from_numpy(heights(POINTS, up_axis).copy()))


@pytest.mark.parametrize("up_axis", UP_AXES)
def test_the_upright_frame_is_a_rotation_that_puts_up_on_z(up_axis: UpAxis) -> None:
    turn = upright_rotation(up_axis)
    np.testing.assert_array_equal(turn @ up_vector(up_axis), [0, 0, 1])
    np.testing.assert_array_equal(turn @ turn.T, np.eye(3))
    assert np.linalg.det(turn) == pytest.approx(1)


def test_of_a_cameras_frame_forward_is_where_it_looks_and_its_right_is_on_the_right() -> None:
    turn = upright_rotation("-y")  # x right, y down, z forward -> x forward, y left, z up
    np.testing.assert_array_equal(turn @ [0, 0, 1], [1, 0, 0])
    np.testing.assert_array_equal(turn @ [1, 0, 0], [0, -1, 0])


@pytest.mark.parametrize("up_axis", UP_AXES)
def test_a_turn_about_up_goes_from_the_first_horizontal_axis_to_the_second(up_axis: UpAxis) -> None:
    a, b = horizontal_axes(up_axis)
    turn = rotation_about(up_axis, np.pi / 2)
    np.testing.assert_allclose(turn @ np.eye(3)[a], np.eye(3)[b], atol=1e-15)
    np.testing.assert_allclose(turn @ up_vector(up_axis), up_vector(up_axis), atol=1e-15)
    np.testing.assert_allclose(rotation_about(up_axis, 0.3) @ rotation_about(up_axis, -0.3), np.eye(3), atol=1e-15)
