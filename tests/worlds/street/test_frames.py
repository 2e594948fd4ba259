from __future__ import annotations

import errno
import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pointlift.data.scene import Scene
from pointlift.errors import DataError
from pointlift.worlds.engine import cache as generated
from pointlift.worlds.engine import workers
from pointlift.worlds.engine.rays import EMBREE, Caster
from pointlift.worlds.street import ego, frames
from pointlift.worlds.street.frames import FrameSpec
from tests.worlds.street.boxes import box_world

TINY = (24, 48)


class _BoxTown:
    """Stands in for a town where only the cache is tested."""

    frames = 16

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def world(self, number: int):
        return box_world(x=0.1 * self.seed + 0.5 * number)


@pytest.fixture
def boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "_town", lambda seed, style: _BoxTown(seed))


def spec_in(
    root: Path, number: int = 0, seed: int = 3, style: str = "suburb", size=TINY, cameras=("front", "left")
) -> FrameSpec:
    return FrameSpec(root / f"{style}-{seed}" / f"{number:04d}", style, seed, number, 32, cameras, size)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def hidden(root: Path) -> list[Path]:
    return list(root.rglob(".*"))


@pytest.fixture(scope="module")
def town_scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Scene]:
    """Real frames of three kinds of town."""
    root = tmp_path_factory.mktemp("streets")
    specs = [
        spec_in(root, number, seed, style, (192, 384), ("front", "left", "right"))
        for seed, (style, number) in enumerate((("suburb", 0), ("centre", 7), ("coast", 15)))
    ]
    return [frames.read_scene(spec, spec.folder.name) for spec in specs]


# ---- what a frame holds


def test_a_frame_is_made_once_and_read_back(boxes, tmp_path):
    spec = spec_in(tmp_path)
    assert not frames.intact(spec)
    scene = frames.read_scene(spec, "suburb-0003/0000").validate()
    assert frames.intact(spec)
    made = (spec.folder / "frame.json").stat().st_mtime_ns
    again = frames.read_scene(spec, "suburb-0003/0000").validate()
    assert (spec.folder / "frame.json").stat().st_mtime_ns == made
    np.testing.assert_array_equal(scene.points, again.points)
    assert (scene.labels.dtype, scene.instances.dtype, scene.features.shape[1]) == (np.int64, np.int64, 1)
    assert scene.dropped == again.dropped > 0
    assert [view.name for view in scene.views] == ["front", "left"]
    assert scene.views[0].size == TINY
    assert hidden(tmp_path) == []
    info = json.loads((spec.folder / "frame.json").read_text())
    assert info["made_from"]["generator_version"] == frames.GENERATOR_VERSION
    assert set(info["crc32"]) == {path.name for path in spec.folder.iterdir()} - {"frame.json"}


def test_depth_and_label_images_are_those_that_were_rendered(boxes, tmp_path):
    spec = spec_in(tmp_path)
    view = frames.read(spec).views[0]
    street, _ = _BoxTown(3).world(0).split()
    seen = frames.seen_by("front", spec, street, Caster(street.vertices, street.faces))
    np.testing.assert_array_equal(view.image, seen["image"])
    np.testing.assert_array_equal(frames.label_image(view), seen["labels"])
    np.testing.assert_allclose(frames.depth_image(view), seen["depth"], atol=0.5 / 256 + 1e-6)
    assert view.depth == view.path.with_name("front-depth.png")


def test_the_same_spec_gives_the_same_bytes_and_another_seed_others(tmp_path):
    first, second = (spec_in(tmp_path / name, number=3) for name in "ab")
    frames.make(first)
    frames._town.cache_clear()
    frames.make(second)
    assert bytes_of(first.folder) == bytes_of(second.folder)
    other = spec_in(tmp_path / "a", number=3, seed=4)
    frames.make(other)
    assert bytes_of(other.folder)["front.png"] != bytes_of(first.folder)["front.png"]


def test_a_camera_sees_the_same_whatever_others_there_are(boxes, tmp_path):
    both, one = spec_in(tmp_path / "a"), spec_in(tmp_path / "b", cameras=("left",))
    frames.make(both)
    frames.make(one)
    assert bytes_of(both.folder)["left.png"] == bytes_of(one.folder)["left.png"]
    assert bytes_of(both.folder)["scan.safetensors"] == bytes_of(one.folder)["scan.safetensors"]


# ---- what the cameras truly see


def test_labels_of_visible_points_are_those_of_the_images(town_scenes):
    for scene in town_scenes:
        assert frames.label_agreement(scene) > 0.99
        visible = frames.visible_points(scene)
        assert 0.5 < len(visible.point_index) / len(scene.pairs().point_index) < 1


def test_visible_points_are_those_that_a_ray_from_the_camera_reaches(boxes, tmp_path):
    spec = spec_in(tmp_path, size=(96, 192), cameras=("front",))
    scene = frames.read_scene(spec, "x")
    world, _ = _BoxTown(3).world(0).split()
    pose = world.world_from_lidar
    eye = ego.camera("front", (96, 192)).placed(world.world_from_ego).pose[:3, 3]
    pairs = scene.pairs(min_depth=0.5, border=0.0)
    target = scene.points[pairs.point_index].astype(float) @ pose[:3, :3].T + pose[:3, 3]
    length = np.linalg.norm(target - eye, axis=1)
    distance = Caster(world.vertices, world.faces).first_hit(eye, (target - eye) / length[:, None])[0]
    reached = distance > length - 0.3
    found = np.isin(pairs.point_index, frames.visible_points(scene).point_index)
    assert (found == reached).mean() > 0.97
    assert not reached.all()


@pytest.mark.skipif(not EMBREE, reason="embreex is not installed")
def test_without_embree_a_town_looks_the_same(monkeypatch, tmp_path):
    fast, slow = (spec_in(tmp_path / name, 0, 0, "suburb", (80, 160), ("front",)) for name in ("fast", "slow"))
    frames.make(fast)
    monkeypatch.setattr("pointlift.worlds.engine.rays.EMBREE", False)
    frames.make(slow)
    a, b = (frames.read(spec).views[0] for spec in (fast, slow))
    assert (frames.label_image(a) == frames.label_image(b)).mean() > 0.999
    assert np.abs(a.image.astype(int) - b.image).mean() < 0.5
    first, second = (frames.load_tensors((spec.folder / "scan.safetensors").read_bytes()) for spec in (fast, slow))
    assert abs(len(first["points"]) - len(second["points"])) < 0.001 * len(first["points"])


# ---- damage


@pytest.mark.parametrize("name", ["front.png", "left-depth.png", "left-labels.png", "scan.safetensors", "frame.json"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "changed"])
def test_a_damaged_frame_is_made_again_and_the_file_is_named(boxes, tmp_path, caplog, name, damage):
    spec = spec_in(tmp_path)
    frames.make(spec)
    before = bytes_of(spec.folder)
    path, content = spec.folder / name, before[name]
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    else:
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    with caplog.at_level(logging.WARNING):
        frames.read_scene(spec, "x").validate()
    assert str(path) in caplog.text
    assert "made again" in caplog.text
    assert bytes_of(spec.folder) == before
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("content", ["[]", "3", "", '{"checksum": 1}'])
def test_nonsense_in_the_description_is_damage_too(boxes, tmp_path, content):
    spec = spec_in(tmp_path)
    frames.make(spec)
    (spec.folder / "frame.json").write_text(content)
    assert not frames.intact(spec)
    frames.read(spec)
    assert frames.intact(spec)


def test_a_file_in_the_place_of_a_frame_is_replaced(boxes, tmp_path):
    spec = spec_in(tmp_path)
    spec.folder.parent.mkdir(parents=True)
    spec.folder.write_text("not a folder")
    frames.read(spec)
    assert frames.intact(spec)


def test_a_frame_of_another_version_is_not_taken_for_this_one(boxes, tmp_path, monkeypatch):
    spec = spec_in(tmp_path)
    frames.make(spec)
    monkeypatch.setattr(frames, "GENERATOR_VERSION", frames.GENERATOR_VERSION + 1)
    assert not frames.intact(spec)


# ---- the disk


def test_no_room_is_said_before_anything_is_made(boxes, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 1000))
    with pytest.raises(DataError, match=r"1 frames need about .* MB and the disk has .* MB left"):
        frames.make(spec_in(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_is_one_sentence_and_leaves_nothing(boxes, tmp_path, monkeypatch):
    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match="the disk is full; make room or choose another folder"):
        frames.make(spec_in(tmp_path))
    assert hidden(tmp_path) == []


def test_a_file_where_a_folder_should_be_is_named(boxes, tmp_path):
    (tmp_path / "root").write_text("a file")
    with pytest.raises(DataError, match="root.*cannot be written"):
        frames.make(spec_in(tmp_path / "root"))


def test_the_estimate_of_space_is_enough_and_not_wild(town_scenes):
    folder = town_scenes[0].views[0].path.parent
    spec = spec_in(folder, size=(192, 384), cameras=("front", "left", "right"))
    taken = sum(len(content) for content in bytes_of(folder).values())
    assert taken < spec.bytes < 4 * taken


# ---- several processes


def test_what_another_process_has_made_is_not_made_again(boxes, tmp_path, monkeypatch):
    specs = [spec_in(tmp_path, number) for number in range(2)]
    frames.make(specs[0])
    made: list[FrameSpec] = []
    monkeypatch.setattr(generated, "make", made.append)
    workers.make_all(specs, 0, lambda: None)
    assert made == specs[1:]


def test_two_makers_of_one_frame_leave_one_complete_frame(boxes, tmp_path, monkeypatch):
    spec = spec_in(tmp_path)
    frames.make(spec)
    before = bytes_of(spec.folder)
    frames.make(spec)  # as another process would that began before the first had finished
    assert bytes_of(spec.folder) == before
    assert hidden(tmp_path) == []


def test_processes_make_the_bytes_that_this_one_makes(tmp_path):
    here = [spec_in(tmp_path / "here", number, cameras=("front",)) for number in range(4)]
    there = [spec_in(tmp_path / "there", number, cameras=("front",)) for number in range(4)]
    counted: list[int] = []
    workers.make_all(here, 0, lambda: counted.append(0))
    workers.make_all(there, 2, lambda: counted.append(1))
    assert counted == [0] * 4 + [1] * 4
    for a, b in zip(here, there, strict=True):
        assert bytes_of(a.folder) == bytes_of(b.folder)


def test_frames_that_no_process_made_are_made_here(boxes, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(workers, "_PROGRAM", "import sys; sys.exit(1)")
    specs = [spec_in(tmp_path, number) for number in range(5)]
    counted: list[int] = []
    workers.make_all(specs, 2, lambda: counted.append(1))
    assert len(counted) == 5
    assert all(frames.intact(spec) for spec in specs)
    assert "has stopped" in caplog.text


def test_an_error_in_a_process_is_the_same_sentence(tmp_path):
    (tmp_path / "root").write_text("a file")
    specs = [spec_in(tmp_path / "root", number, cameras=("front",)) for number in range(4)]
    with pytest.raises(DataError, match="root.*cannot be written"):
        workers.make_all(specs, 2, lambda: None)


def test_a_script_without_a_guard_runs_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from pointlift.datasets.street import Street\n"
        f"root = Path({str(tmp_path)!r})\n"
        "with open(root / 'runs', 'a') as file: file.write('x')\n"
        "options = {'sequences': 1, 'frames': 4, 'cameras': ('front',), 'image_size': (16, 32)}\n"
        "data = Street(root=root / 'streets', workers=2, **options)\n"
        "assert data.prepare()['made'] == 4\n"
    )
    subprocess.run([sys.executable, script], check=True)
    assert (tmp_path / "runs").read_text() == "x"
