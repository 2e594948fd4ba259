from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from pointlift.errors import DataError
from pointlift.worlds.engine import workers
from pointlift.worlds.engine.rays import EMBREE
from pointlift.worlds.rooms import frames
from pointlift.worlds.rooms.frames import FrameSpec

TINY = (24, 32)


def spec_in(root: Path, moment: int = 0, seed: int = 3, kind: str = "bathroom", size=TINY) -> FrameSpec:
    return FrameSpec(root / f"{kind}-{seed}" / f"{moment:04d}", kind, seed, moment, size)


def cloud_in(root: Path, points: int = 500) -> FrameSpec:
    return FrameSpec(root / "bathroom-3" / "cloud", "bathroom", 3, -1, (0, 0), points)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_frame_is_made_once_and_read_back(tmp_path):
    spec = spec_in(tmp_path)
    assert not frames.intact(spec)
    scene = frames.read_frame(spec, "bathroom-0003/0000").validate()
    made = (spec.folder / "frame.json").stat().st_mtime_ns
    again = frames.read_frame(spec, "bathroom-0003/0000").validate()
    assert (spec.folder / "frame.json").stat().st_mtime_ns == made
    np.testing.assert_array_equal(scene.points, again.points)
    assert (scene.up_axis, scene.features.shape[1], [view.name for view in scene.views]) == ("-y", 3, ["color"])
    info = json.loads((spec.folder / "frame.json").read_text())
    assert info["made_from"]["generator_version"] == frames.GENERATOR_VERSION
    assert set(info["crc32"]) == {"color.png", "depth.png", "labels.png", "instances.png"}
    assert FrameSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_every_point_projects_onto_the_pixel_that_measured_it(tmp_path):
    scene = frames.read_frame(spec_in(tmp_path), "x")
    view = scene.views[0]
    depth = frames.depth_image(view)
    pixels, z = view.project(scene.points)
    row, column = np.nonzero(depth)
    np.testing.assert_allclose(pixels, np.stack([column, row], axis=1), atol=1e-3)
    np.testing.assert_allclose(z, depth[row, column], atol=1e-6)
    np.testing.assert_allclose(scene.features, view.image[row, column] / 255, atol=1e-6)
    np.testing.assert_array_equal(scene.labels, frames.label_image(view)[row, column])
    pairs = scene.pairs(min_depth=0.1, border=0.0)
    assert len(pairs.point_index) > 0.99 * len(scene)
    assert frames.label_agreement(scene) > 0.999


def test_the_same_spec_gives_the_same_bytes_and_another_seed_others(tmp_path):
    first, second = (spec_in(tmp_path / name, moment=3) for name in "ab")
    frames.make(first)
    frames._room.cache_clear()
    frames.make(second)
    assert bytes_of(first.folder) == bytes_of(second.folder)
    other = spec_in(tmp_path / "a", moment=3, seed=4)
    frames.make(other)
    assert bytes_of(other.folder)["color.png"] != bytes_of(first.folder)["color.png"]
    one, two = (cloud_in(tmp_path / name) for name in "cd")
    frames.make(one)
    frames.make(two)
    assert bytes_of(one.folder) == bytes_of(two.folder)


@pytest.mark.skipif(not EMBREE, reason="embreex is not installed")
def test_without_embree_a_room_looks_the_same(monkeypatch, tmp_path):
    fast, slow = (spec_in(tmp_path / name, 2, size=(48, 64)) for name in ("fast", "slow"))
    frames._room.cache_clear()
    frames.make(fast)
    monkeypatch.setattr("pointlift.worlds.engine.rays.EMBREE", False)
    frames._room.cache_clear()
    frames.make(slow)
    frames._room.cache_clear()
    a, b = (frames.read(spec).view for spec in (fast, slow))
    assert (frames.label_image(a) == frames.label_image(b)).mean() > 0.998
    assert np.abs(a.image.astype(int) - b.image).mean() < 1.0


@pytest.mark.parametrize("name", ["color.png", "depth.png", "labels.png", "instances.png", "frame.json"])
def test_a_damaged_frame_is_made_again_and_the_file_is_named(tmp_path, caplog, name):
    spec = spec_in(tmp_path)
    frames.make(spec)
    before = bytes_of(spec.folder)
    path, content = spec.folder / name, before[name]
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    with caplog.at_level(logging.WARNING):
        frames.read_frame(spec, "x").validate()
    assert str(path) in caplog.text
    assert "made again" in caplog.text
    assert bytes_of(spec.folder) == before


def test_a_damaged_cloud_is_made_again(tmp_path, caplog):
    spec = cloud_in(tmp_path)
    scene = frames.read_room(spec, {}, "x").validate()
    path = scene.files["points"]
    path.write_bytes(path.read_bytes()[:100])
    with caplog.at_level(logging.WARNING):
        again = frames.read_room(spec, {}, "x")
    assert str(path) in caplog.text
    np.testing.assert_array_equal(scene.points, again.points)


def test_a_frame_of_another_version_is_not_taken_for_this_one(tmp_path, monkeypatch):
    spec = spec_in(tmp_path)
    frames.make(spec)
    monkeypatch.setattr(frames, "GENERATOR_VERSION", frames.GENERATOR_VERSION + 1)
    assert not frames.intact(spec)


def test_the_estimate_of_space_is_enough_and_not_wild(tmp_path):
    for spec in (spec_in(tmp_path, size=(192, 256)), cloud_in(tmp_path, 20_000)):
        frames.make(spec)
        taken = sum(len(content) for content in bytes_of(spec.folder).values())
        assert taken < spec.bytes < 5 * taken


def test_processes_make_the_bytes_that_this_one_makes(tmp_path):
    here, there = ([spec_in(tmp_path / name, moment) for moment in range(4)] for name in ("here", "there"))
    counted: list[int] = []
    workers.make_all(here, 0, lambda: counted.append(0))
    workers.make_all(there, 2, lambda: counted.append(1))
    assert counted == [0] * 4 + [1] * 4
    for a, b in zip(here, there, strict=True):
        assert bytes_of(a.folder) == bytes_of(b.folder)


def test_views_of_other_data_sets_have_no_label_image(tmp_path):
    view = frames.read(spec_in(tmp_path)).view
    view.source = view.image
    with pytest.raises(DataError, match="only views of the data set 'rooms' have a labels image"):
        frames.label_image(view)
