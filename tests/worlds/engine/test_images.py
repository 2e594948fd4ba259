from __future__ import annotations

import numpy as np
import pytest

from pointlift.data.scene import View
from pointlift.errors import DataError
from pointlift.worlds.engine import images
from pointlift.worlds.engine.cameras import Camera


def seen() -> dict[str, np.ndarray]:
    """A row of three pixels: a surface, one without a label, and the sky."""
    return {
        "image": np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], dtype=np.uint8),
        "labels": np.array([[4, -1, -1]]),
        "material": np.array([[0, 1, -1]]),
        "depth": np.array([[2.5, 7.0, 0.0]], dtype=np.float32),
        "lit": np.array([[True, True, False]]),
    }


def written(folder, name: str = "front") -> View:
    for file, content in images.pictures(name, seen()).items():  # type: ignore[arg-type]
        (folder / file).write_bytes(content)
    camera = Camera(name, np.diag([10.0, 10.0, 1.0]), (1, 3), np.eye(4))
    info = {"views": {name: images.calibration(camera, camera.camera_from_points((0, 0, 2)))}}
    return images.views_of(info, folder)[0]


def test_what_is_written_is_read_back(tmp_path):
    view = written(tmp_path)
    np.testing.assert_array_equal(view.image, seen()["image"])
    np.testing.assert_array_equal(images.label_image(view), [[4, -1, -1]])
    np.testing.assert_array_equal(images.depth_image(view), [[2.5, 0, 0]])
    np.testing.assert_array_equal(view.camera_from_points[:3, 3], [0, 0, 2])
    assert view.depth == tmp_path / "front-depth.png"


def test_what_is_missing_or_damaged_is_named(tmp_path):
    view = written(tmp_path)
    (tmp_path / "front-labels.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"front-labels\.png: the image cannot be decoded"):
        images.label_image(view)
    (tmp_path / "front-depth.png").unlink()
    with pytest.raises(DataError, match=r"front-depth\.png: the file is missing; only views of the package's own"):
        images.depth_image(view)


def test_a_view_of_another_data_set_is_refused():
    other = View("left", np.eye(3), np.eye(4), np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(DataError, match="view 'left': only views of the package's own worlds have a depth image"):
        images.depth_image(other)
