from __future__ import annotations

import errno
import hashlib
import logging
import multiprocessing
import os
import pickle
import signal
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pointlift.errors import CheckpointError, DataError
from pointlift.files import write_atomically
from pointlift.teachers import cache as cache_module
from pointlift.teachers.cache import FeatureCache
from pointlift.teachers.images import view_features
from tests.teachers.helpers import MeanColor, make_view, random_image


def save_image(path: Path, seed: int = 0, size: tuple[int, int] = (16, 24)) -> Path:
    Image.fromarray(random_image(seed, *size)).save(path)
    return path


def entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def view(tmp_path):
    return make_view(save_image(tmp_path / "image.png"))


@pytest.mark.parametrize("as_array", [False, True])
def test_computed_once_and_right(tmp_path, view, as_array):
    if as_array:
        view = make_view(view.image)
    teacher = MeanColor()
    features = FeatureCache(tmp_path / "cache", teacher).features(view)
    assert features.dtype == torch.float16
    assert features.shape == (3, 4, 6)
    assert features.permute(1, 2, 0).is_contiguous()  # channels last, as sampling likes it
    torch.testing.assert_close(features, view_features(MeanColor(), [view])[0].half())
    again = FeatureCache(tmp_path / "cache", teacher)  # another process, say
    assert torch.equal(again.features(view), features)
    assert torch.equal(again.features(view), features)
    assert teacher.images == 1
    (entry,) = entries(tmp_path / "cache")
    assert entry.parent.name == teacher.fingerprint[:16]
    assert entry.name.endswith("-16x24.safetensors")


def test_key_is_teacher_image_and_size(tmp_path, view):
    folder = tmp_path / "cache"
    teacher = MeanColor()
    first = FeatureCache(folder, teacher).features(view)
    assert FeatureCache(folder, teacher, (8, 12)).features(view).shape == (3, 2, 3)
    assert FeatureCache(folder, teacher, scale=2.0).features(view).shape == (3, 8, 12)
    assert FeatureCache(folder, teacher, (16, 24)).features(view).shape == (3, 4, 6)  # the same size: no new entry
    assert teacher.images == 3
    torch.testing.assert_close(FeatureCache(folder, MeanColor(2.0)).features(view), first * 2)
    assert len(entries(folder)) == 4
    copy = make_view(save_image(tmp_path / "copy.png"), name="other camera")
    FeatureCache(folder, teacher).features(copy)  # the same bytes elsewhere are the same image
    assert teacher.images == 3


def test_a_changed_image_is_never_stale(tmp_path, view):
    cache = FeatureCache(tmp_path / "cache", MeanColor())
    before = cache.features(view)
    status = os.stat(view.path)
    save_image(view.path, seed=1)
    os.utime(view.path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    after = cache.features(view)
    assert not torch.equal(before, after)
    torch.testing.assert_close(after, view_features(MeanColor(), [view])[0].half())


def test_an_image_is_hashed_once_in_a_process(tmp_path, view, monkeypatch):
    cache = FeatureCache(tmp_path / "cache", MeanColor())
    cache.features(view)
    monkeypatch.setattr(cache_module.hashlib, "sha256", None)
    cache.features(view)


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "text", "other key"])
def test_a_damaged_entry_is_computed_again_with_a_warning(tmp_path, view, caplog, damage):
    teacher = MeanColor()
    right = FeatureCache(tmp_path / "cache", teacher).features(view)
    (entry,) = entries(tmp_path / "cache")
    content = bytearray(entry.read_bytes())
    if damage == "truncate":
        entry.write_bytes(content[:-10])
    elif damage == "flip":
        content[-1] ^= 1
        entry.write_bytes(content)
    elif damage == "empty":
        entry.write_bytes(b"")
    elif damage == "text":
        entry.write_text("no features at all")
    else:
        other = make_view(random_image(7))
        cache = FeatureCache(tmp_path / "cache", teacher)
        cache.features(other)
        os.replace(cache.folder / f"{cache.key(other)}.safetensors", entry)
    with caplog.at_level(logging.WARNING):
        assert torch.equal(FeatureCache(tmp_path / "cache", teacher).features(view), right)
    assert str(entry) in caplog.text
    assert "damaged" in caplog.text
    caplog.clear()
    images = teacher.images
    assert torch.equal(FeatureCache(tmp_path / "cache", teacher).features(view), right)  # it is mended
    assert teacher.images == images
    assert not caplog.records


def test_an_entry_of_the_first_edition_is_read(tmp_path, view, caplog):
    teacher = MeanColor()
    content = save_image(tmp_path / "image.png").read_bytes()
    feature_map = torch.arange(4 * 6 * 3).reshape(4, 6, 3).half()  # which the teacher would never say
    head = f"torch.float16 {tuple(feature_map.shape)}".encode()
    metadata = {
        "checksum": f"{zlib.crc32(feature_map.numpy().tobytes(), zlib.crc32(head)):08x}",
        "fingerprint": teacher.fingerprint,
        "image_sha256": hashlib.sha256(content).hexdigest(),
        "image_size": "16x24",
    }
    folder = tmp_path / "cache" / teacher.fingerprint[:16]
    folder.mkdir(parents=True)
    name = f"{hashlib.sha256(content).hexdigest()[:32]}-16x24.safetensors"
    save_file({"features": feature_map}, folder / name, metadata)
    found = FeatureCache(tmp_path / "cache", teacher).features(view)
    assert torch.equal(found, feature_map.permute(2, 0, 1))
    assert teacher.images == 0
    assert not caplog.records


def test_fill_batches_what_is_missing(tmp_path):
    teacher = MeanColor()
    cache = FeatureCache(tmp_path / "cache", teacher)
    views = [make_view(random_image(seed)) for seed in range(5)]
    cache.features(views[2])
    assert cache.fill([*views, views[0]]) == 4
    assert teacher.shapes == [(1, 3, 16, 24), (4, 3, 16, 24)]
    assert cache.fill(views) == 0
    assert cache.fill([]) == 0


def test_memory_only():
    teacher = MeanColor()
    cache = FeatureCache(None, teacher, memory_megabytes=0)
    view = make_view(random_image(0))
    assert torch.equal(cache.features(view), cache.features(view))
    assert teacher.images == 1
    assert torch.equal(pickle.loads(pickle.dumps(cache)).features(view), cache.features(view))
    assert cache.teacher.images == 1


def test_memory_keeps_what_was_used_last(tmp_path):
    views = [make_view(random_image(seed)) for seed in range(3)]
    size = 4 * 6 * 3 * 2  # bytes of a map
    cache = FeatureCache(tmp_path / "cache", MeanColor(), memory_megabytes=2 * size / 2**20)
    for index in (0, 1, 0, 2):
        cache.features(views[index])
    assert set(cache.store.memory) == {cache.key(views[0]), cache.key(views[2])}
    assert cache.store.memory_bytes == 2 * size
    none = FeatureCache(tmp_path / "cache", cache.teacher, memory_megabytes=0)
    none.features(views[0])
    assert not none.store.memory


def test_pickling_leaves_out_what_the_disk_has(tmp_path, view):
    cache = FeatureCache(tmp_path / "cache", MeanColor())
    pickled = pickle.loads(pickle.dumps(cache))
    assert not pickled.store.memory
    assert torch.equal(pickled.features(view), cache.features(view))


# --- what goes wrong ---


def test_a_full_disk_leaves_nothing(tmp_path, view, monkeypatch):
    real_open = Path.open

    def full(self, mode="r", **options):
        file = real_open(self, mode, **options)
        if mode == "xb":

            class Full:
                def __enter__(self):
                    return self

                def __exit__(self, *_):
                    file.close()

                def write(self, content):
                    file.write(content[: len(content) // 2])
                    raise OSError(errno.ENOSPC, "No space left on device")

            return Full()
        return file

    monkeypatch.setattr(Path, "open", full)
    cache = FeatureCache(tmp_path / "cache", MeanColor())
    with pytest.raises(CheckpointError, match=r"cache.*the disk is full; make room or choose another folder"):
        cache.features(view)
    assert entries(tmp_path / "cache") == []
    monkeypatch.undo()
    assert cache.features(view).shape == (3, 4, 6)
    assert len(entries(tmp_path / "cache")) == 1


def test_a_file_where_the_folder_should_be(tmp_path, view):
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(CheckpointError, match=r"safetensors: cannot be written"):
        FeatureCache(tmp_path / "cache", MeanColor()).features(view)


def _write_half_and_wait(path: Path) -> None:
    def stop(*_):
        time.sleep(60)

    os.replace = stop
    write_atomically(path, b"x" * 100_000)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_a_process_killed_while_writing(tmp_path, view):
    cache = FeatureCache(tmp_path / "cache", MeanColor())
    path = cache.folder / f"{cache.key(view)}.safetensors"
    process = multiprocessing.get_context("fork").Process(target=_write_half_and_wait, args=(path,))
    process.start()
    for _ in range(500):
        if any(path.parent.glob(".*.tmp")):
            break
        time.sleep(0.01)
    process.kill()
    process.join()
    (left_over,) = path.parent.glob(".*.tmp")
    assert not path.exists()
    assert cache.features(view).shape == (3, 4, 6)
    cache.store.remove_stale()
    assert left_over.exists()  # it could belong to a process that still runs
    long_ago = time.time() - 2 * 3600
    os.utime(left_over, (long_ago, long_ago))
    cache.store.remove_stale()
    assert entries(tmp_path / "cache") == [path]


def _read_all(folder: Path, results: multiprocessing.Queue) -> None:
    torch.set_num_threads(1)
    cache = FeatureCache(folder, MeanColor(), memory_megabytes=0)
    results.put(sum(float(cache.features(make_view(random_image(seed))).float().sum()) for seed in range(10)))


def test_several_processes_share_a_folder(tmp_path):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=_read_all, args=(tmp_path / "cache", results)) for _ in range(3)]
    for process in processes:
        process.start()
    sums = [results.get(timeout=30) for _ in processes]
    for process in processes:
        process.join()
    assert len(set(sums)) == 1
    assert len(entries(tmp_path / "cache")) == 10


def test_an_image_that_is_missing_or_does_not_decode(tmp_path):
    cache = FeatureCache(tmp_path / "cache", MeanColor())
    with pytest.raises(DataError, match=r"absent\.png"):
        cache.features(make_view(tmp_path / "absent.png"))
    path = save_image(tmp_path / "half.png", size=(64, 64))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"half\.png"):
        cache.features(make_view(path))
    assert entries(tmp_path / "cache") == []


def test_features_beyond_half_precision(tmp_path):
    view = make_view(np.full((8, 8, 3), 255, np.uint8), name="front")
    with pytest.raises(DataError, match="'front'.*half precision"):
        FeatureCache(tmp_path / "cache", MeanColor(1e6)).features(view)


def test_a_worker_does_not_compute_on_an_accelerator(tmp_path, view, monkeypatch):
    teacher = MeanColor()
    filled = FeatureCache(tmp_path / "cache", teacher)
    filled.features(view)
    monkeypatch.setattr(torch.utils.data, "get_worker_info", object)
    monkeypatch.setattr(MeanColor, "device", torch.device("cuda"))
    assert FeatureCache(tmp_path / "cache", teacher).features(view).shape == (3, 4, 6)
    with pytest.raises(DataError, match="fill the cache first"):
        FeatureCache(tmp_path / "other", teacher).features(view)
