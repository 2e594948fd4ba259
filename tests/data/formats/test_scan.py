import io
from pathlib import Path

import numpy as np
import pytest

from pointlift.data.formats.ply import write_ply
from pointlift.data.formats.scan import open_scan, read_scan
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


# ---- points without a return, names of one's own, colour of many kinds


def pcd(path: Path, columns: dict[str, np.ndarray]) -> Path:
    kinds = {"f": "F", "u": "U", "i": "I"}
    count = len(next(iter(columns.values())))
    table = np.zeros(count, [(name, values.dtype) for name, values in columns.items()])
    for name, values in columns.items():
        table[name] = values
    lines = {
        "FIELDS": columns,
        "SIZE": [str(values.itemsize) for values in columns.values()],
        "TYPE": [kinds[values.dtype.kind] for values in columns.values()],
    }
    header = "".join(f"{key} {' '.join(words)}\n" for key, words in lines.items())
    return written(path, f"{header}WIDTH {count}\nHEIGHT 1\nDATA binary\n".encode() + table.tobytes())


def xyz() -> dict[str, np.ndarray]:
    return {name: cloud()[:, axis].copy() for axis, name in enumerate("xyz")}


@pytest.mark.parametrize(("column", "value"), [(0, np.nan), (2, np.inf), (1, -np.inf), (3, np.nan)])
def test_points_without_a_return_are_left_out_and_counted(column: int, value: float, tmp_path: Path) -> None:
    values = cloud()
    values[3:6, column] = value
    found = open_scan(written(tmp_path / "a.bin", values.tobytes()), NEEDED)
    same(found.scene, np.delete(values, [3, 4, 5], axis=0))
    assert found.scene.dropped == 3
    assert found.rows.tolist() == [0, 1, 2, *range(6, 20)]
    assert found.scene.points.flags.c_contiguous
    assert open_scan(written(tmp_path / "b.bin", cloud().tobytes()), NEEDED).scene.dropped == 0


def test_a_field_map_names_what_the_file_calls_otherwise(tmp_path: Path) -> None:
    path = pcd(tmp_path / "a.pcd", {**xyz(), "i": cloud()[:, 3].copy()})
    same(read_scan(path, NEEDED, fields={"intensity": "i"}), cloud())
    turned = read_scan(path, NEEDED, fields={"intensity": "i", "x": "y", "y": "x"})
    same(turned, cloud()[:, [1, 0, 2, 3]])
    wide = np.concatenate([np.zeros((20, 1)), cloud()[:, :3], np.ones((20, 2)), cloud()[:, 3:]], axis=1)
    numbers = {"x": "y", "y": "z", "z": "3", "intensity": "6"}
    same(read_scan(npy(tmp_path / "a.npy", wide.astype(np.float32)), NEEDED, fields=numbers), cloud())
    with pytest.raises(DataError, match="there is no field 'I' to be intensity; the file has x, y, z, i"):
        read_scan(path, NEEDED, fields={"intensity": "I"})
    with pytest.raises(DataError, match="field colour=i: the student needs x, y, z, intensity, and no 'colour'"):
        read_scan(path, NEEDED, fields={"colour": "i"})
    with pytest.raises(DataError, match="a field map says which field it is, as in intensity=FIELD"):
        read_scan(path, NEEDED)


def test_names_that_differ_in_their_case_only_are_asked_for(tmp_path: Path) -> None:
    path = pcd(tmp_path / "a.pcd", {**xyz(), "X": np.zeros(20, np.float32)})
    with pytest.raises(DataError, match="which of x, X is x"):
        read_scan(path)
    same(read_scan(path, fields={"x": "x"}), cloud()[:, :3])


def test_an_array_of_records(tmp_path: Path) -> None:
    table = np.zeros(20, [("intensity", "u1"), ("x", "f8"), ("y", "f4"), ("z", "f4"), ("name", "U3")])
    for axis, name in enumerate("xyz"):
        table[name] = cloud()[:, axis]
    table["intensity"] = np.arange(20)
    scene = read_scan(npy(tmp_path / "a.npy", table.reshape(4, 5)), NEEDED)
    same(scene, np.concatenate([cloud()[:, :3], np.arange(20)[:, None] / np.float32(255)], axis=1))


COLORS = np.random.default_rng(1).integers(0, 256, (20, 3)).astype(np.uint32)
BITS = COLORS[:, 0] << 16 | COLORS[:, 1] << 8 | COLORS[:, 2]


@pytest.mark.parametrize(
    "columns",
    [
        {"rgb": BITS.view(np.float32)},
        {"rgb": (BITS | 0xFF000000).view(np.float32)},  # NaN among them
        {"rgba": BITS | 0x80000000},
        {"rgb": BITS.astype(np.int32)},
        {"RGB": BITS.astype(np.float32)},  # the number itself, as old writers of text have it
        {"rgb": BITS.astype(np.float64)},
        {name: COLORS[:, column].astype(np.uint8) for column, name in enumerate("rgb")},
        {name: COLORS[:, column].astype(np.int32) for column, name in enumerate(("red", "green", "blue"))},
        {name: (COLORS[:, column] * 257).astype(np.uint16) for column, name in enumerate(("Red", "Green", "Blue"))},
        {name: (COLORS[:, column] / 255).astype(np.float32) for column, name in enumerate(("r", "g", "b"))},
    ],
)
def test_colour_of_many_kinds(columns: dict[str, np.ndarray], tmp_path: Path) -> None:
    scene = read_scan(pcd(tmp_path / "a.pcd", {**xyz(), **columns}), ("red", "green", "blue"))
    same(scene, np.concatenate([cloud()[:, :3], COLORS / np.float32(255)], axis=1))


def test_colour_that_text_has_lost(tmp_path: Path) -> None:
    header = "FIELDS x y z rgb\nSIZE 4 4 4 4\nTYPE F F F F\nPOINTS 2\nDATA ascii\n"
    path = written(tmp_path / "a.pcd", f"{header}1 2 3 nan\n4 5 6 {np.float32(1e-39):.9g}\n".encode())
    found = open_scan(path, ("red", "green", "blue"))
    assert found.rows.tolist() == [1]
    with pytest.raises(DataError, match="'rgb' must have 32 bits to hold red, green and blue, not uint16"):
        read_scan(pcd(tmp_path / "b.pcd", {**xyz(), "rgb": np.zeros(20, np.uint16)}), ("red", "green", "blue"))
    with pytest.raises(DataError, match="red must lie in"):
        read_scan(pcd(tmp_path / "c.pcd", {**xyz(), **dict.fromkeys("rgb", np.full(20, 9, "f4"))}), ("red",))


def test_normals_under_the_names_of_pcl(tmp_path: Path) -> None:
    normals = {f"normal_{axis}": np.full(20, number, np.float32) for number, axis in enumerate("xyz")}
    scene = read_scan(pcd(tmp_path / "a.pcd", {**xyz(), **normals}), ("nx", "ny", "nz"))
    assert scene.normal_columns == (0, 1, 2)
    assert scene.features[0].tolist() == [0, 1, 2]
