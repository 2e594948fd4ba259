from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pointlift.data.scene import Scene, View
from pointlift.evaluation.visibility import Visibility
from pointlift.report.pictures import cameras
from pointlift.report.pictures.cameras import arranged, camera_pictures, facing_forward, mosaic, names_in_words

NUSCENES = {"FRONT": 0, "FRONT_RIGHT": -55, "BACK_RIGHT": -110, "BACK": 180, "BACK_LEFT": 110, "FRONT_LEFT": 55}
STREET = {"front": 0, "left": 90, "right": -90, "rear": 180}


def view(name: str, degrees: float, size: tuple[int, int] = (32, 64)) -> View:
    """A level camera of 90 degrees that looks ``degrees`` to the left of x."""
    yaw = np.deg2rad(degrees)
    axis = np.array([np.cos(yaw), np.sin(yaw), 0.0])
    rotation = np.stack([[axis[1], -axis[0], 0.0], [0.0, 0.0, -1.0], axis])
    transform = np.eye(4)
    transform[:3, :3] = rotation
    height, width = size
    K = np.array([[width / 2, 0, width / 2 - 0.5], [0, width / 2, height / 2 - 0.5], [0, 0, 1]])
    image = np.full((height, width, 3), 40 + int(degrees) % 200, np.uint8)
    return View(name, K, transform, image)


def names(rows: list[list[View]]) -> list[list[str]]:
    return [[one.name for one in row] for row in rows]


@dataclass
class Colors:
    def __call__(self, features: torch.Tensor) -> np.ndarray:
        return np.full((len(features), 3), 200, np.uint8)


def stage(asked: list[str] | None = None) -> SimpleNamespace:
    def dense(one: View) -> torch.Tensor:
        if asked is not None:
            asked.append(one.name)
        return torch.ones(4, 2, 4)

    palette = np.array([[255, 0, 0, 255], [0, 0, 0, 0]], np.uint8)
    subjects = [SimpleNamespace(label="mine"), SimpleNamespace(label="other")]
    return SimpleNamespace(
        visibility=Visibility(1.0, None), dense=dense, palette=palette, names=("thing",), subjects=subjects
    )


def scene(views: list[View]) -> Scene:
    angles = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    points = np.stack([10 * np.cos(angles), 10 * np.sin(angles), 0 * angles], axis=1).astype(np.float32)
    return Scene(points, points[:, :1], views, np.zeros(360, np.int64), "one")


def test_cameras_stand_as_on_the_car() -> None:
    six = [view(name, yaw) for name, yaw in NUSCENES.items()]
    expected = [["FRONT_LEFT", "FRONT", "FRONT_RIGHT"], ["BACK_LEFT", "BACK", "BACK_RIGHT"]]
    assert names(arranged(six)) == expected
    assert names(arranged(six[::-1])) == expected
    four = [view(name, yaw) for name, yaw in STREET.items()]
    assert names(arranged(four)) == [["left", "front", "right"], ["rear"]]
    assert names(arranged(four[:1])) == [["front"]]
    assert names_in_words(arranged(four)) == "cameras, left, front, right; below: rear"
    assert names_in_words(arranged(four[:1])) == "camera, front"


FRAMES = {
    "x right, y forward": [[0, 1, 0], [-1, 0, 0], [0, 0, 1]],  # as nuScenes
    "x back, y right": [[-1, 0, 0], [0, -1, 0], [0, 0, 1]],
    "x left, y back": [[0, -1, 0], [1, 0, 0], [0, 0, 1]],
    "y up, x left, z forward": [[0, 0, 1], [1, 0, 0], [0, 1, 0]],
}
"""From points in other frames to (forward, left, up)."""


@pytest.mark.parametrize("frame", FRAMES)
def test_points_may_be_in_another_frame(frame: str) -> None:
    turn = np.eye(4)
    turn[:3, :3] = FRAMES[frame]
    up_axis = "y" if "y up" in frame else "z"
    views = [view(name, yaw) for name, yaw in NUSCENES.items()]
    for one in views:
        one.camera_from_points = one.camera_from_points @ turn
    for order in (views, views[1:] + views[:1]):
        assert names(arranged(order, up_axis))[0] == ["FRONT_LEFT", "FRONT", "FRONT_RIGHT"]
    usual = np.array([[10, 0, 0], [0, 3, 0], [0, 0, 1], [-5, -2, 1]], np.float32)
    own = Scene((usual @ turn[:3, :3]).astype(np.float32), usual[:, :1], views, up_axis=up_axis)
    np.testing.assert_array_equal(facing_forward(own).points, usual)
    facing = facing_forward(replace(own, boxes=np.array([[*own.points[0], 1, 2, 3, 0.0]], np.float64)))
    np.testing.assert_allclose(facing.boxes[0, :3], usual[0], atol=1e-6)  # boxes and cameras came along
    for one, other in zip(facing.views, views, strict=True):
        np.testing.assert_allclose(one.project(facing.points)[1], other.project(own.points)[1], atol=1e-6)
    blind = replace(own, views=[])
    np.testing.assert_array_equal(facing_forward(blind).points, blind.upright().points)


def test_a_camera_that_looks_down_has_no_direction() -> None:
    down = view("down", 0)
    down.camera_from_points[:3, :3] = [[0, -1, 0], [-1, 0, 0], [0, 0, -1]]
    assert names(arranged([down])) == [["down"]]
    np.testing.assert_array_equal(facing_forward(scene([down])).points, scene([down]).points)


def test_many_cameras_break_into_rows_and_too_many_are_thinned() -> None:
    room = [view(f"{number}", 3 * number - 45) for number in range(30)]
    assert [len(row) for row in arranged(room[:9])] == [4, 4, 1]
    asked: list[str] = []
    outputs = [torch.ones(360, 4), torch.ones(360, 4)]
    pictures = camera_pictures(stage(asked), scene(room), Colors(), outputs)
    assert len(asked) == len(set(asked)) == cameras.MOST
    assert "12 cameras" in pictures[0].alt


def test_a_mosaic_has_every_pixel_in_its_place() -> None:
    tiles = [np.full((2, 3, 3), value, np.uint8) for value in (10, 20, 30)]
    whole = mosaic([tiles[:2], tiles[2:]])
    assert whole.shape == (2 + 6 + 2, 3 + 6 + 3, 4)
    expected = np.zeros_like(whole)
    expected[:2, :3], expected[:2, 9:] = (10, 10, 10, 255), (20, 20, 20, 255)
    expected[8:, 4:7] = 30, 30, 30, 255
    np.testing.assert_array_equal(whole, expected)
    assert mosaic([tiles[:1]]) is tiles[0]


@pytest.mark.parametrize("rig", [NUSCENES, STREET, {"only": 0}])
def test_every_kind_shows_every_camera(rig: dict[str, float]) -> None:
    views = [view(name, yaw, (32, 64) if yaw else (40, 50)) for name, yaw in rig.items()]
    asked: list[str] = []
    outputs = [torch.ones(360, 4), torch.ones(360, 4)]
    pictures = camera_pictures(stage(asked), scene(views), Colors(), outputs)
    assert [picture.caption for picture in pictures[1:]] == ["teacher", "ground truth, legend below", "mine", "other"]
    assert sorted(asked) == sorted(rig)
    assert all(name in pictures[0].caption for name in rig)
    assert len({picture.size for picture in pictures}) == 1
    cell = (1152 - 2 * 6) // 3  # pixels to each of three in a row
    several = (cell * 40 // 50 + 6 + cell * 32 // 64, 1152)
    assert pictures[0].size == (several if len(rig) > 1 else (80, 100))
    assert len({picture.alt for picture in pictures}) == len(pictures)


def test_dots_lie_where_the_points_are_seen() -> None:
    """The point straight ahead is the middle of the front camera, whatever the size at which it is shown."""
    ahead = np.array([[10.0, 0.0, 0.0], [10.0, 5.0, 0.0]], np.float32)
    one = Scene(ahead, ahead[:, :1], [view("front", 0, (33, 65))], None, "one")
    seen = cameras.seen_by(one, one.views[0], one.pairs(), 650)
    np.testing.assert_allclose(seen.pixels[0], (324.5, 164.5), atol=1e-4)
    assert seen.image.shape == (330, 650, 3)
    np.testing.assert_allclose(seen.depth, 10.0)
    drawn = seen.dots(np.array([[255, 0, 0, 255], [0, 255, 0, 255]], np.uint8))
    assert (drawn[164, 324] == (255, 0, 0)).all()
    left = 324.5 - 325 / 2  # half of the view's half, at 45 degrees to its edge
    assert (drawn[164, int(left)] == (0, 255, 0)).all()
