from __future__ import annotations

import numpy as np
import pytest

from pointlift.errors import DataError


@pytest.mark.parametrize("as_mask", [True, False])
def test_select_keeps_the_same_points_in_every_field(scene, as_mask):
    mask = scene.labels == 1
    part = scene.select(mask if as_mask else np.flatnonzero(mask)).validate()
    assert len(part) == mask.sum()
    np.testing.assert_array_equal(part.points, scene.points[mask])
    np.testing.assert_array_equal(part.features, scene.features[mask])
    np.testing.assert_array_equal(part.instances, np.flatnonzero(mask))
    assert (part.labels == 1).all()
    assert part.views == scene.views


def test_a_good_scene_validates_to_itself(scene):
    assert scene.validate() is scene
    scene.labels = scene.instances = None
    scene.validate()


BAD_SCENES = {
    "empty": (lambda s: setattr(s, "points", np.empty((0, 3), np.float32)), "scan.bin: there are no points"),
    "point_width": (lambda s: setattr(s, "points", s.points[:, :2]), r"scan.bin: points must be float32 \(500, 3\)"),
    "point_type": (lambda s: setattr(s, "points", s.points.astype(float)), "points must be float32.*float64"),
    "point_nan": (lambda s: s.points.__setitem__((7, 1), np.nan), "scan.bin: points has 1 rows .* first is row 7"),
    "feature_length": (lambda s: setattr(s, "features", s.features[:-1]), "scene random/0: features must be"),
    "feature_rank": (lambda s: setattr(s, "features", s.features[:, 0]), "features must be float32"),
    "feature_inf": (lambda s: s.features.__setitem__((0, 0), np.inf), "features has 1 rows"),
    "label_length": (lambda s: setattr(s, "labels", s.labels[:-1]), "labels must be int64"),
    "label_type": (lambda s: setattr(s, "labels", s.labels.astype(np.int32)), "labels must be int64"),
    "label_negative": (lambda s: s.labels.__setitem__(0, -2), "labels must be >= -1, not -2"),
    "instance_length": (lambda s: setattr(s, "instances", s.instances[1:]), "instances must be int64"),
    "boxes": (lambda s: setattr(s, "boxes", np.array([[np.nan] * 7])), "boxes has 1 rows with NaN"),
    "box_size": (lambda s: setattr(s, "boxes", np.zeros((1, 7))), "box 0 has a length, width or height that is not"),
    "box_labels": (lambda s: setattr(s, "box_labels", np.zeros(2, int)), r"box_labels must be int64 \(0\)"),
    "object_class": (
        lambda s: setattr(s, "object_class", "chair"),
        "object_class must be an integer >= -1, not 'chair'",
    ),
    "object_class_low": (lambda s: setattr(s, "object_class", -2), "object_class must be an integer >= -1, not -2"),
    "normal_columns": (
        lambda s: setattr(s, "normal_columns", (0, 1, 2)),
        r"normal_columns must be three different columns of the 1 features, not \(0, 1, 2\)",
    ),
    "normal_column_twice": (lambda s: setattr(s, "normal_columns", (0, 0, 0)), "three different columns"),
    "up_axis": (lambda s: setattr(s, "up_axis", "up"), "up_axis must be x, y or z"),
    "same_names": (lambda s: setattr(s.views[1], "name", "front"), "names of the views must differ: front, front"),
    "list": (lambda s: setattr(s, "labels", [0] * 500), "labels must be int64 .* not list"),
}


@pytest.mark.parametrize("case", BAD_SCENES)
def test_a_bad_scene_is_one_sentence_that_names_file_and_field(scene, case):
    spoil, message = BAD_SCENES[case]
    spoil(scene)
    with pytest.raises(DataError, match=message) as raised:
        scene.validate()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("up_axis", ["x", "y", "z", "-x", "-y", "-z"])
def test_upright_turns_the_scene_until_z_is_up_and_pixels_stay(scene, up_axis):
    scene.up_axis = up_axis
    upright = scene.validate().upright()
    sign, axis = (-1 if up_axis.startswith("-") else 1), "xyz".index(up_axis[-1])
    np.testing.assert_array_equal(upright.points[:, 2], sign * scene.points[:, axis])
    assert upright.up_axis == "z"
    for before, after in zip(scene.views, upright.views, strict=True):
        np.testing.assert_allclose(after.project(upright.points)[0], before.project(scene.points)[0], atol=1e-6)
    upright.validate()  # its rotations are no mirrors
