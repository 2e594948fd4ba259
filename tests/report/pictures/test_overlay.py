from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pointlift.data import Pairs
from pointlift.report.pictures import overlay


def near(path, color, tolerance: int = 12) -> int:
    """Number of pixels of a picture that have about this colour (0 to 1)."""
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return int((np.abs(picture - np.round(255 * np.asarray(color))).max(axis=2) <= tolerance).sum())


def test_palette_has_a_colour_per_class_and_grey_for_ignored():
    palette = overlay.class_palette(("a", "b", "c"), ((255, 0, 0), (0, 20, 0), (10, 200, 30)))
    assert palette.shape == (4, 3)
    np.testing.assert_allclose(palette[0], [1, 0, 0])
    np.testing.assert_allclose(palette[1], [0, 0.6, 0])  # brightened, its hue kept
    np.testing.assert_allclose(palette[-1], overlay.IGNORED_COLOR)
    many = overlay.class_palette([str(n) for n in range(30)])
    assert many.shape == (31, 3)
    assert ((many >= 0) & (many <= 1)).all()


def test_class_overlay_shows_the_classes_that_the_view_sees(scene, tmp_path):
    palette = overlay.class_palette(("a", "b", "c"), ((255, 0, 255), (0, 255, 255), (255, 255, 0)))
    scene.labels[:] = 1
    overlay.save_class_overlay(tmp_path / "classes.png", scene, 1, scene.pairs(), ("a", "b", "c"), palette)
    assert near(tmp_path / "classes.png", palette[1]) > 300
    assert near(tmp_path / "classes.png", palette[0]) == near(tmp_path / "classes.png", palette[2]) == 0


def test_depth_overlay_of_another_view_differs_and_depths_are_coloured(scene, tmp_path):
    for index in (0, 1):
        overlay.save_depth_overlay(tmp_path / f"{index}.png", scene, index, scene.pairs())
    assert (tmp_path / "0.png").read_bytes() != (tmp_path / "1.png").read_bytes()


@pytest.mark.parametrize("labelled", [True, False])
def test_views_without_points_and_scenes_without_labels_are_drawn(scene, tmp_path, labelled):
    nothing = Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 2), np.float32))
    palette = overlay.class_palette(("a", "b", "c"))
    overlay.save_depth_overlay(tmp_path / "depth.png", scene, 0, nothing)
    overlay.save_class_overlay(tmp_path / "classes.png", scene, 0, nothing, ("a", "b", "c"), palette)
    if not labelled:
        scene.labels = None
    overlay.save_birds_eye(tmp_path / "above.png", scene, ("a", "b", "c"), palette)
    assert len(list(tmp_path.iterdir())) == 3


def test_boxes_are_drawn_from_above_and_grey_if_they_have_no_class(scene, tmp_path):
    crimson, palette = (220 / 255, 20 / 255, 60 / 255), overlay.class_palette(("a", "b", "c"))
    scene.labels[:] = -1
    overlay.save_birds_eye(tmp_path / "none.png", scene, ("a", "b", "c"), palette)
    scene.boxes = np.array([[5.0, 0, 0, 6, 3, 2, 0.3], [-5.0, 4, 0, 6, 3, 2, 1.2]])
    scene.box_labels = np.array([-1, -1])
    overlay.save_birds_eye(tmp_path / "grey.png", scene, ("a", "b", "c"), palette)
    scene.box_labels[0] = 2
    overlay.save_birds_eye(tmp_path / "one.png", scene, ("a", "b", "c"), palette)
    scene.box_labels = None
    overlay.save_birds_eye(tmp_path / "both.png", scene, ("a", "b", "c"), palette)
    none, grey, one, both = (near(tmp_path / f"{name}.png", crimson) for name in ("none", "grey", "one", "both"))
    assert none == grey
    assert one > grey + 100
    assert both > one + 100
