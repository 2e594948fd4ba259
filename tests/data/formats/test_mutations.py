"""Damaged files of every format of points and meshes: the right kind of values, or one sentence."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from pointlift.data import objects
from pointlift.data.formats.mesh import read_off
from pointlift.data.formats.ply import parse_ply_faces
from pointlift.data.formats.scan import read_scan
from pointlift.data.scene import Scene
from tests.data.formats.mutations import survive
from tests.data.formats.test_pcd import compressed

NEEDED = ("intensity",)
TABLE = np.random.default_rng(0).random((30, 4)).astype(np.float32)
ROWS = "".join(f"{' '.join(f'{value:.5g}' for value in row)}\n" for row in TABLE)
FIELDS = "FIELDS x y z intensity\nSIZE 4 4 4 4\nTYPE F F F F\nCOUNT 1 1 1 1\nWIDTH 30\nHEIGHT 1\nPOINTS 30\n"
PLY = "ply\nformat {} 1.0\nelement vertex 30\n" + "".join(
    f"property float {name}\n" for name in ("x", "y", "z", "intensity")
)
FACES = "element face 2\nproperty list uchar int vertex_indices\nproperty uchar red\nend_header\n"
FACE = np.array([(3, [0, 1, 2], 9)] * 2, [("n", "u1"), ("v", ">i4", (3,)), ("r", "u1")]).tobytes()


def saved() -> bytes:
    content = io.BytesIO()
    np.save(content, TABLE)
    return content.getvalue()


FILES = {
    "a.bin": TABLE.tobytes(),
    "a.pcd.bin": np.concatenate([TABLE, TABLE[:, :1]], axis=1).tobytes(),
    "a.npy": saved(),
    "ascii.pcd": f"{FIELDS}DATA ascii\n{ROWS}".encode(),
    "binary.pcd": f"{FIELDS}DATA binary\n".encode() + TABLE.tobytes(),
    "compressed.pcd": f"{FIELDS}DATA binary_compressed\n".encode() + compressed(TABLE.T.tobytes()),
    "ascii.ply": f"{PLY.format('ascii')}{FACES}{ROWS}3 0 1 2 9\n3 0 1 2 9\n".encode(),
    "binary.ply": f"{PLY.format('binary_big_endian')}{FACES}".encode() + TABLE.astype(">f4").tobytes() + FACE,
}


def read(path: Path) -> Callable[[bytes], None]:
    def check(data: bytes) -> None:
        path.write_bytes(data)
        scene: Scene = read_scan(path, NEEDED)
        assert np.isfinite(scene.points).all()
        assert ((scene.features >= -1e-4) & (scene.features <= 1 + 1e-4)).all()

    return check


@pytest.mark.parametrize("name", FILES)
def test_scans(name: str, tmp_path: Path) -> None:
    read(tmp_path / name)(FILES[name])
    assert survive(read(tmp_path / name), FILES[name], 300, seed=1) > 10


@pytest.mark.parametrize("name", ["ascii.ply", "binary.ply"])
def test_faces(name: str) -> None:
    def check(data: bytes) -> None:
        faces = parse_ply_faces(data, Path(name))
        assert faces.dtype == np.int64
        assert faces.min() >= 0

    check(FILES[name])
    assert survive(check, FILES[name], 300, seed=2) > 10


OFF = b"OFF\n4 3 0\n0 0 0\n2 0 0\n2 1.5 0\n0 1 0\n3 0 1 2\n4 0 1 2 3\n3 0 2 3 255 0 0\n"


def mesh(path: Path) -> Callable[[bytes], None]:
    def check(data: bytes) -> None:
        path.write_bytes(data)
        found = read_off(path)
        assert np.isfinite(found.vertices).all()
        assert 0 <= found.faces.min() <= found.faces.max() < len(found.vertices)

    return check


def test_meshes(tmp_path: Path) -> None:
    mesh(tmp_path / "a.off")(OFF)
    assert survive(mesh(tmp_path / "a.off"), OFF, 500, seed=3) > 10


def rows(path: Path) -> Callable[[bytes], None]:
    def check(data: bytes) -> None:
        path.write_bytes(data)
        assert objects.read_rows(path, 4, "x, y, z, intensity").shape[1] == 4

    return check


def test_tables_of_text(tmp_path: Path) -> None:
    assert survive(rows(tmp_path / "a.txt"), ROWS.replace(" ", ",").encode(), 300, seed=4) > 10


def stored(path: Path) -> Callable[[bytes], None]:
    def check(data: bytes) -> None:
        path.write_bytes(data)
        objects.check_keys(path, {"data": (None, 3), "label": (1,)})
        classes = objects.read_classes(path, "label", 5)
        assert classes.dtype == np.int64
        for row in range(min(len(classes), 3)):
            objects.read_hdf5(path, "data", row)

    return check


def hdf5(path: Path) -> bytes:
    with h5py.File(path, "w") as file:
        file["data"] = np.random.default_rng(0).random((6, 8, 3)).astype(np.float32)
        file.create_dataset("label", data=np.arange(6)[:, None] % 5, compression="gzip")
    return path.read_bytes()


def test_hdf5(tmp_path: Path) -> None:
    data = hdf5(tmp_path / "made.h5")
    stored(tmp_path / "a.h5")(data)
    assert survive(stored(tmp_path / "a.h5"), data, 300, seed=5) > 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_many_more(seed: int, tmp_path: Path) -> None:
    for name, data in FILES.items():
        survive(read(tmp_path / name), data, 1500, seed)
    survive(mesh(tmp_path / "a.off"), OFF, 1500, seed)
    survive(rows(tmp_path / "a.txt"), ROWS.encode(), 1500, seed)
    survive(stored(tmp_path / "a.h5"), hdf5(tmp_path / "made.h5"), 1500, seed)


# ---- numbers that do not fit, and sizes that cannot be


def test_an_array_that_its_file_cannot_hold_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("label", (200_000_000, 1), "i8", chunks=(1000, 1))
        file["data"] = np.zeros((2, 5, 3), np.float32)
        file["names"] = "a name"
        file.create_group("group")
        file["part"] = [[1.0], [1.5]]
    with pytest.raises(objects.DataError, match="'label' declares 1,600,000,000 bytes, more than the file can hold"):
        objects.read_classes(tmp_path / "a.h5", "label", 5)
    with pytest.raises(objects.DataError, match="row 1: 'part' is 1.5, which does not fit its type int64"):
        objects.read_classes(tmp_path / "a.h5", "part", 5)
    for key in ("names", "group"):
        with pytest.raises(objects.DataError, match=f"'{key}' must be an array of numbers"):
            objects.check_keys(tmp_path / "a.h5", {key: (None, 3)})
