from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointlift.commands.check import check, tables
from pointlift.data import Scene
from pointlift.data.dataset import Scenes
from pointlift.datasets.semantickitti.dataset import SemanticKITTI
from pointlift.errors import DataError


class Listed(Scenes):
    def __init__(self, *scenes: Scene) -> None:
        known = {"name": "listed", "class_names": ("a", "b", "c"), "feature_names": ("intensity",)}
        super().__init__(scenes, **known)


def test_the_figures_equal_a_direct_count(street):
    data = SemanticKITTI(root=street, split="all")
    summary = check(data)
    json.dumps(summary)
    scenes = list(data)
    points = np.concatenate([scene.points for scene in scenes])
    labels = np.concatenate([scene.labels for scene in scenes])
    assert (summary["scenes"], summary["scenes_read"], summary["unlabelled_scenes"]) == (7, 7, 0)
    sizes = [len(scene) for scene in scenes]
    assert summary["points_per_scene"] == {"min": min(sizes), "median": np.median(sizes), "max": max(sizes)}
    for axis, name in enumerate("xyz"):
        assert summary["coordinates"][name]["min"] == points[:, axis].min()
        assert summary["coordinates"][name]["max"] == points[:, axis].max()
        assert summary["coordinates"][name]["mean"] == pytest.approx(points[:, axis].mean(), abs=1e-4)
    assert 0 <= summary["features"]["intensity"]["min"] < summary["features"]["intensity"]["max"] <= 1
    for index, name in enumerate(data.class_names):
        assert summary["labels"][name]["points"] == (labels == index).sum()
        assert summary["labels"][name]["share"] == pytest.approx((labels == index).sum() / (labels >= 0).sum())
    assert summary["labels"]["ignored"]["share"] == pytest.approx((labels < 0).mean())
    seen = sum(len(scene.pairs().point_index) for scene in scenes) / len(points)
    assert summary["seen_by_cameras"] == {"any": pytest.approx(seen), "views": {"image_2": pytest.approx(seen)}}
    assert summary["scenes_with_pose"] == 7
    assert set(summary["seconds_per_scene"]) == {"read", "images", "pairs"}
    assert summary["warnings"] == []
    assert summary["pictures"] == []


def test_a_point_seen_twice_counts_once_for_any(scene):
    for view in scene.views:
        view.camera_from_points = scene.views[0].camera_from_points
    summary = check(Listed(scene))
    pairs = scene.pairs()
    assert len(np.unique(pairs.point_index)) < len(pairs.point_index)
    assert summary["seen_by_cameras"]["any"] == len(np.unique(pairs.point_index)) / 500
    assert summary["seen_by_cameras"]["views"]["left"] == pairs.per_view(2)[1] / 500


def test_pictures_of_every_view_and_from_above_are_written(street, tmp_path):
    calls = []
    data = SemanticKITTI(root=street, split="all")
    summary = check(data, 4, tmp_path / "out", pictures=1, progress=lambda *state: calls.append(state))
    assert [Path(path).name for path in summary["pictures"]] == [
        "00_000000-above.png",
        "00_000000-image_2-depth.png",
        "00_000000-image_2-classes.png",
    ]
    for path in summary["pictures"]:
        assert min(Image.open(path).size) > 300
    assert calls == [("scenes", done, 4) for done in (1, 2, 3, 4)]


def test_a_limit_spreads_over_the_data_set(scene):
    data = Listed(*[scene] * 10)
    reads = []
    data.__class__ = type("Counted", (Listed,), {"__getitem__": lambda s, i: reads.append(i) or scene})
    assert check(data, 4)["scenes_read"] == 4
    assert reads == [0, 2, 5, 7]
    assert check(data, 100)["scenes_read"] == 10
    with pytest.raises(DataError, match="must be at least 1"):
        check(data, 0)


def test_scenes_without_labels_images_and_poses(scene, tmp_path):
    scene.labels, scene.views = None, []
    summary = check(Listed(scene), out=tmp_path)
    assert summary["labels"] is None
    assert summary["unlabelled_scenes"] == 1
    assert summary["seen_by_cameras"] == {"any": 0.0, "views": {}}
    assert summary["warnings"] == ["there is no image (1 of 1 scenes)"]
    assert len(summary["pictures"]) == 1


def test_what_is_allowed_but_looks_wrong_is_a_warning(scene):
    scene.views[0].intrinsics = scene.views[0].intrinsics * [[1, 1, 2], [1, 1, 1], [1, 1, 1]]  # image cropped, K not
    scene.views[1].camera_from_points = np.diag([1.0, -1.0, -1.0, 1.0])  # looks down
    text = " ".join(check(Listed(scene, scene))["warnings"])
    assert "principal point (98, 30) of view 'front' is far from the middle of its 100 x 60 image" in text
    scene.features[:] = 0.5
    assert "same value everywhere" in " ".join(check(Listed(scene))["warnings"])


def test_intrinsics_of_another_resolution_are_an_error(scene):
    scene.views[0].intrinsics = scene.views[0].intrinsics * [[2, 2, 2], [2, 2, 2], [1, 1, 1]]  # image resized, K not
    with pytest.raises(DataError, match=r"view 'front': the intrinsics, .* those of images of about 197 x 121 pixels"):
        check(Listed(scene))


def test_a_view_that_sees_nothing_is_a_warning(scene):
    scene.points[:, 0] = -np.abs(scene.points[:, 0]) - 1.0
    assert "the view 'front' sees no point (1 of 1 scenes)" in check(Listed(scene))["warnings"]


def test_data_that_cannot_be_right_is_an_error(scene, tmp_path):
    with pytest.raises(DataError, match="'listed' has no scenes"):
        check(Listed())
    scene.labels[0] = 3
    with pytest.raises(DataError, match="scene random/0: label 3 is not one of the 3 classes"):
        check(Listed(scene))
    scene.labels[0], scene.features = 0, np.zeros((500, 2), np.float32)
    with pytest.raises(DataError, match="it has 2 features, the data set names 1: intensity"):
        check(Listed(scene))
    scene.features = np.zeros((500, 1), np.float32)
    scene.views[0].source = tmp_path / "gone.png"
    with pytest.raises(DataError, match=r"gone.png: the image file is missing"):
        check(Listed(scene))


def test_real_scans_check_out(semantickitti_mini, tmp_path):
    summary = check(SemanticKITTI(root=semantickitti_mini, split="all"), limit=3, out=tmp_path, pictures=1)
    assert 0.14 < summary["seen_by_cameras"]["any"] < 0.18
    assert summary["warnings"] == []
    assert len(summary["pictures"]) == 3


def test_tables_show_every_figure_as_text(scene, street):
    report = check(SemanticKITTI(root=street, split="val"))
    shown = {title: (heading, rows) for title, heading, rows in tables(report)}
    assert set(shown) == {"data set semantickitti", "counts", "ranges", "points that cameras see", "labels"}
    for heading, rows in shown.values():
        assert all(len(row) == len(heading) and all(isinstance(cell, str) for cell in row) for row in rows)
    assert ["road", f"{report['labels']['road']['points']:,}", f"{report['labels']['road']['share']:.2%}"] in (
        shown["labels"][1]
    )
    scene.labels, scene.views = None, []
    titles = [title for title, _, _ in tables(check(Listed(scene)))]
    assert "labels" not in titles
    assert titles[-1] == "warnings: allowed, but looks wrong"
