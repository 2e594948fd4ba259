import base64
import io

import numpy as np
from PIL import Image

from pointlift.data.up import UP_AXES
from pointlift.report.pictures import raster
from pointlift.report.pictures.raster import Frame


def flat_frame(elevation: float = np.pi / 2) -> Frame:
    return Frame("z", np.array([-10.0, -10.0]), np.array([10.0, 10.0]), 5.0, elevation)


def test_forward_is_up_and_left_is_left() -> None:
    red = np.array([[255, 0, 0]], np.uint8)
    for point, (row, column) in {(8.0, 0.0, 0.0): (10, 50), (0.0, 8.0, 0.0): (50, 10)}.items():
        picture = raster.draw_cloud(flat_frame(), np.array([point]), red, 1.0)
        assert picture.shape == (100, 100, 4)
        assert tuple(picture[row, column]) == (255, 0, 0, 255)
        assert picture[..., 3].astype(bool).sum() == 5


def test_what_is_nearer_the_eye_is_drawn_last() -> None:
    points = np.array([[0.0, 0, 2.0], [0, 0, 0.0]])
    picture = raster.draw_cloud(flat_frame(), points, np.array([[255, 0, 0], [0, 255, 0]], np.uint8))
    assert tuple(picture[50, 50, :3]) == (255, 0, 0)
    behind = np.array([[1.0, 0, 0], [0, 0, 1.0]])  # at 45 degrees both fall on one pixel
    picture = raster.draw_cloud(flat_frame(np.pi / 4), behind, np.array([[255, 0, 0], [0, 255, 0]], np.uint8))
    assert (picture[..., 1] == 255).sum() >= (picture[..., 0] == 255).sum()


def test_a_frame_holds_most_points_whatever_the_up_axis() -> None:
    points = np.random.default_rng(0).normal(0, 5, (1000, 3))
    for axis in UP_AXES:
        frame = raster.frame_of(points, axis)
        plane = frame.plane(points)
        assert ((plane >= frame.low) & (plane <= frame.high)).all(axis=1).mean() > 0.95
        assert frame.size[1] == 860
    assert min(raster.frame_of(np.zeros((3, 3)), "z").size) >= 1


def test_a_close_up_contains_its_points() -> None:
    points = np.random.default_rng(0).normal(0, 1, (50, 3))
    frame = raster.close_up(flat_frame(), points)
    plane = frame.plane(points)
    assert ((plane >= frame.low) & (plane <= frame.high)).all()
    assert frame.size[0] == frame.size[1]


def test_clouds_keep_transparency_and_photographs_their_size() -> None:
    cloud = raster.draw_cloud(flat_frame(), np.zeros((1, 3)), np.array([[200, 30, 40]], np.uint8))
    kind, data = raster.cloud_uri(cloud).split(",")
    assert kind == "data:image/png;base64"
    image = np.array(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))
    assert image[0, 0, 3] == 0
    assert np.abs(image[50, 50].astype(int) - (200, 30, 40, 255)).max() <= 8
    photo = raster.photo_uri(np.full((20, 30, 3), 90, np.uint8)).split(",")[1]
    assert Image.open(io.BytesIO(base64.b64decode(photo))).size == (30, 20)


def test_dots_lie_on_their_pixels() -> None:
    image = np.zeros((10, 20, 3), np.uint8)
    drawn = raster.draw_on_image(image, np.array([[4.0, 2.0]]), np.array([5.0]), np.array([[9, 8, 7]], np.uint8), 2)
    assert drawn.shape == (20, 40, 3)
    rows, columns = np.nonzero(drawn.any(axis=2))
    assert (abs(rows.mean() - 5), abs(columns.mean() - 9)) <= (0.5, 0.5)
