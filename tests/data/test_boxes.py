from __future__ import annotations

import numpy as np
import pytest

from pointlift.data.boxes import corners, moved_boxes, occupied
from pointlift.data.up import UP_AXES, UpAxis, horizontal_axes, rotation_about, up_vector, upright_rotation

STILL = np.zeros(3)


def boxes_of(count: int = 6) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.c_[rng.normal(0, 5, (count, 3)), rng.uniform(0.5, 4, (count, 3)), rng.uniform(-3, 3, (count, 1))]


def literal_corners(box: np.ndarray, up_axis: UpAxis) -> set[tuple[float, ...]]:
    """From the definition: half a length along the front, half a width beside it, half a height up."""
    a, b = (np.eye(3)[axis] for axis in horizontal_axes(up_axis))
    front, side = np.cos(box[6]) * a + np.sin(box[6]) * b, -np.sin(box[6]) * a + np.cos(box[6]) * b
    found = set()
    for x in (-0.5, 0.5):
        for y in (-0.5, 0.5):
            for z in (-0.5, 0.5):
                corner = box[:3] + x * box[3] * front + y * box[4] * side + z * box[5] * up_vector(up_axis)
                found.add(tuple(np.round(corner, 6) + 0.0))
    return found


@pytest.mark.parametrize("up_axis", UP_AXES)
def test_corners_are_those_of_the_definition(up_axis: UpAxis) -> None:
    boxes = boxes_of()
    for box, found in zip(boxes, corners(boxes, up_axis), strict=True):
        assert {tuple(np.round(one, 6) + 0.0) for one in found} == literal_corners(box, up_axis)


def test_with_z_up_the_yaw_goes_from_x_to_y() -> None:
    box = np.array([[0, 0, 0, 2.0, 1.0, 1.0, np.pi / 2]])
    np.testing.assert_allclose(corners(box, "z")[0, 4:].mean(axis=0), [0, 1, 0], atol=1e-12)  # the front
    np.testing.assert_allclose(corners(box, "-y")[0, 4:].mean(axis=0), [0, 0, 1], atol=1e-12)


@pytest.mark.parametrize("up_axis", UP_AXES)
def test_a_turn_about_up_adds_to_the_yaw_and_a_mirror_negates_it(up_axis: UpAxis) -> None:
    boxes = boxes_of()
    turned = moved_boxes(boxes, rotation_about(up_axis, 0.7), STILL, up_axis, up_axis)
    np.testing.assert_allclose(np.exp(1j * turned[:, 6]), np.exp(1j * (boxes[:, 6] + 0.7)))
    np.testing.assert_allclose(turned[:, 3:6], boxes[:, 3:6])
    mirror = np.eye(3)
    second = horizontal_axes(up_axis)[1]
    mirror[second, second] = -1
    flipped = moved_boxes(boxes, mirror, STILL, up_axis, up_axis)
    np.testing.assert_allclose(np.exp(1j * flipped[:, 6]), np.exp(-1j * boxes[:, 6]))


@pytest.mark.parametrize("up_axis", UP_AXES)
def test_upright_boxes_come_back(up_axis: UpAxis) -> None:
    boxes, turn = boxes_of(), upright_rotation(up_axis)
    there = moved_boxes(boxes, turn, STILL, up_axis, "z")
    back = moved_boxes(there, turn.T, STILL, "z", up_axis)
    np.testing.assert_allclose(back[:, :6], boxes[:, :6], atol=1e-12)
    np.testing.assert_allclose(np.exp(1j * back[:, 6]), np.exp(1j * boxes[:, 6]))


def test_no_boxes_stay_none() -> None:
    assert moved_boxes(np.empty((0, 7)), np.eye(3), STILL, "z", "z").shape == (0, 7)
    assert occupied(np.empty((0, 7)), np.zeros((4, 3)), "z").shape == (0,)


def test_a_box_that_falls_over_contains_what_it_did() -> None:
    box = np.array([[1.0, 2, 3, 4, 2, 1, 0.0]])
    forward = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])  # x goes down, z forward
    found = moved_boxes(box, forward, STILL, "z", "z")[0]
    np.testing.assert_allclose(found[:3], [3, 2, -1])
    np.testing.assert_allclose(sorted(found[3:6]), [1, 2, 4], atol=1e-12)
    assert found[5] == pytest.approx(4)  # its height is what its length was


def test_occupied_boxes_have_a_point_inside_or_on_a_face() -> None:
    boxes = np.array([[0, 0, 0, 2.0, 1, 1, np.pi / 4], [5, 0, 0, 1, 1, 1, 0], [9, 9, 9, 1, 1, 1, 0]])
    points = np.array([[0.7, 0.7, 0.2], [4.5, 0.0, 0.5], [8.0, 9, 9]], np.float32)
    assert occupied(boxes, points, "z").tolist() == [True, True, False]
    assert occupied(boxes, points * (1, -1, 1), "z").tolist() == [False, True, False]
