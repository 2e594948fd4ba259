import io
from pathlib import Path

import numpy as np
import pytest

from pointlift.data.formats.ply import write_ply
from pointlift.data.formats.scan import read_scan
from pointlift.data.scene import Scene
from pointlift.errors import DataError

NEEDED = ("intensity",)


def cloud(points: int = 20) -> np.ndarray:
    """x, y, z, intensity."""
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(size=(points, 3)) * 9, rng.random((points, 1))], axis=1).astype(np.float32)


def npy(path: Path, values: np.ndarray) -> Path:
    np.save(path, values)
    return path


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def ascii_ply(path: Path, columns: dict[str, str], rows: np.ndarray) -> Path:
    lines = ["ply", "format ascii 1.0", f"element vertex {len(rows)}"]
    lines += [f"property {kind} {name}" for name, kind in columns.items()]
    lines += ["end_header", *(" ".join(f"{value:.9g}" for value in row) for row in rows)]
    return written(path, "\n".join(lines).encode())


def same(scene: Scene, values: np.ndarray, atol: float = 1e-7) -> None:
    assert np.array_equal(scene.points, values[:, :3])
    assert np.allclose(scene.features, values[:, 3:], rtol=0, atol=atol)
    assert scene.points.dtype == scene.features.dtype == np.float32
    assert scene.views == []
    assert scene.labels is None


# ---- every kind


def test_bin_of_kitti(tmp_path: Path) -> None:
    scene = read_scan(written(tmp_path / "000007.bin", cloud().tobytes()), NEEDED)
    same(scene, cloud())
    assert scene.id == "000007"
    assert scene.points.flags.writeable
    assert scene.points.flags.c_contiguous


def test_bin_of_nuscenes_has_a_ring_and_intensity_in_8_bits(tmp_path: Path) -> None:
    values = cloud()
    values[:, 3] = np.arange(20) * 13
    rows = np.concatenate([values, np.zeros((20, 1), np.float32)], axis=1)
    scene = read_scan(written(tmp_path / "n015__LIDAR_TOP.pcd.bin", rows.tobytes()), NEEDED)
    values[:, 3] /= 255
    same(scene, values)
    assert scene.id == "n015__LIDAR_TOP"
    values[:, 3] /= 2
    same(read_scan(tmp_path / "n015__LIDAR_TOP.pcd.bin", NEEDED, intensity_scale=510), values)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16])
def test_npy(kind: type, tmp_path: Path) -> None:
    values = cloud().astype(kind)
    same(read_scan(npy(tmp_path / "a.npy", values), NEEDED), values.astype(np.float32))
    same(read_scan(npy(tmp_path / "b.npy", values[:, :3])), values[:, :3].astype(np.float32))
    many = np.concatenate([values, 9 * values[:, 3:]], axis=1)
    same(read_scan(npy(tmp_path / "c.npy", many), ("intensity", "elongation")), many.astype(np.float32))


@pytest.mark.parametrize("name", ["intensity", "Intensity", "scalar_Intensity", "reflectance", "reflectivity"])
def test_ply_with_intensity_under_its_names(name: str, tmp_path: Path) -> None:
    path = ascii_ply(tmp_path / "a.ply", {"x": "float", "y": "float", "z": "float", name: "float"}, cloud())
    same(read_scan(path, NEEDED), cloud())


def test_ply_with_colours_and_other_features(tmp_path: Path) -> None:
    colors = np.arange(60, dtype=np.uint8).reshape(20, 3)
    write_ply(tmp_path / "a.ply", cloud()[:, :3], colors)
    scene = read_scan(tmp_path / "a.ply", ("red", "green", "blue"))
    same(scene, np.concatenate([cloud()[:, :3], colors / np.float32(255)], axis=1))
    same(read_scan(tmp_path / "a.ply"), cloud()[:, :3])
    rows = np.concatenate([cloud()[:, :3], np.full((20, 1), 7.5, np.float32)], axis=1)
    path = ascii_ply(tmp_path / "b.ply", {"x": "float", "y": "float", "z": "float", "scalar_Elongation": "float"}, rows)
    same(read_scan(path, ("elongation",)), rows)


def test_intensity_of_8_bits_is_known_by_its_type_or_by_the_scale(tmp_path: Path) -> None:
    rows = cloud()
    rows[:, 3] = np.arange(20)
    expected = rows / np.array([1, 1, 1, 255], np.float32)
    kinds = {"x": "float", "y": "float", "z": "float", "intensity": "uchar"}
    same(read_scan(ascii_ply(tmp_path / "a.ply", kinds, rows), NEEDED), expected)
    same(read_scan(written(tmp_path / "a.bin", rows.tobytes()), NEEDED, intensity_scale=255), expected)
    with pytest.raises(DataError, match="intensity_scale is 0; it must be above 0"):
        read_scan(tmp_path / "a.bin", NEEDED, intensity_scale=0)


def test_pcd(tmp_path: Path) -> None:
    header = "FIELDS x y z intensity\nSIZE 4 4 4 4\nTYPE F F F F\nCOUNT 1 1 1 1\nPOINTS 20\nDATA binary\n"
    same(read_scan(written(tmp_path / "a.pcd", header.encode() + cloud().tobytes()), NEEDED), cloud())


def test_a_file_without_intensity_serves_a_student_that_needs_none(tmp_path: Path) -> None:
    same(read_scan(written(tmp_path / "a.bin", cloud().tobytes())), cloud()[:, :3])


# ---- every mistake


def with_value(row: int, column: int, value: float) -> bytes:
    values = cloud()
    values[row, column] = value
    return values.tobytes()


def pickled() -> bytes:
    content = io.BytesIO()
    np.save(content, np.array([{}, None], object), allow_pickle=True)
    return content.getvalue()


def array(values: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, values)
    return content.getvalue()


def archive() -> bytes:
    content = io.BytesIO()
    np.savez(content, cloud())
    return content.getvalue()


PLY = b"""ply
format ascii 1.0
element vertex 1
property float x
property float y
property float z
end_header
1 2 3
"""


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.bin", b"", "the file is empty, there are no points"),
        ("a.npy", array(np.empty((0, 4), np.float32)), "there are no points"),
        (
            "a.ply",
            PLY.replace(b"vertex 1", b"vertex 0").replace(b"float z", b"float z\nproperty float intensity"),
            "there are no",
        ),
        ("a.bin", cloud().tobytes()[:-3], "truncated or has other columns: 317 bytes are not a multiple of 16"),
        ("a.bin", b"\0" * 20, "multiple of 16 (x, y, z, intensity as float32); nuScenes' five are read from"),
        ("a.pcd.bin", b"\0" * 16, "KITTI's four are read from .bin"),
        ("a.bin", np.full((3, 4), np.nan, np.float32).tobytes(), "each of the 3 points has NaN or infinity"),
        ("a.npy", array(np.full((3, 4), 1e300)), "row 0: 'x' is 1e+300, which does not fit its type float32"),
        ("a.bin", (1000 * cloud()).tobytes(), "so divide millimetres by 1000"),
        ("a.bin", with_value(5, 3, 37), "intensity must lie in [0, 1], but goes from"),
        ("a.bin", with_value(5, 3, 37), "to 37 (first in row 5); give what stands for 1, such as intensity_scale=255"),
        ("a.bin", with_value(5, 3, -1), "intensity must lie in [0, 1]"),
        ("a.bin", with_value(5, 0, 4e6), "a coordinate is 4,000,000 m; points must be metres in the sensor's frame"),
        (
            "a.ply",
            PLY,
            "'intensity' is missing: the student needs x, y, z, intensity of every point, but the file has x, y, z",
        ),
        ("a.ply", PLY.replace(b"float x", b"float X_"), "'x' is missing"),
        ("a.ply", PLY[:-6], "truncated: its header promises 1 points, but 0 rows"),
        ("a.npy", array(cloud()[:, :3]), "an array (N, 4) of x, y, z, intensity, but the file has (20, 3)"),
        ("a.npy", array(cloud()[:, 0]), "but the file has (20,)"),
        ("a.npy", array(cloud().astype(complex)), "one array of numbers (N, 4)"),
        ("a.npy", pickled(), "is a pickle, which is never loaded"),
        ("a.npy", archive(), "one array of numbers"),
        ("a.npy", array(cloud())[:-8], "the array cannot be read"),
        ("a.npy", b"text", "the array cannot be read"),
        ("a.las", b"LASF", "a scan must be one of .bin, .npy, .pcd, .pcd.bin, .ply, not '.las'"),
        ("a", b"", "a scan must be one of"),
    ],
)
def test_mistakes_are_named(name: str, data: bytes, said: str, tmp_path: Path) -> None:
    path = written(tmp_path / name, data)
    with pytest.raises(DataError) as caught:
        read_scan(path, NEEDED)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"b.ply: the file is missing"):
        read_scan(tmp_path / "b.ply")
    (tmp_path / "c.ply").mkdir()
    with pytest.raises(DataError, match=r"c.ply: the file cannot be read"):
        read_scan(str(tmp_path / "c.ply"))


def test_normals_of_a_scan_are_known_as_such(tmp_path: Path) -> None:
    values = np.concatenate([cloud(), cloud()[:, :3]], axis=1)
    path = npy(tmp_path / "a.npy", values)
    assert read_scan(path, ("intensity", "nx", "ny", "nz")).normal_columns == (1, 2, 3)
    assert read_scan(path, ("intensity", "a", "b", "c")).normal_columns is None
