import struct
from pathlib import Path

import numpy as np
import pytest

from pointlift.data.formats.ply import parse_ply, parse_ply_faces, write_ply
from pointlift.errors import CheckpointError, DataError

POINTS = np.array([[1.5, -2, 0.25], [3, 4, 5], [-1e-3, 0, 70]], np.float32)
COLORS = np.array([[0, 128, 255], [1, 2, 3], [9, 9, 9]], np.uint8)


def parsed(data: bytes) -> dict[str, np.ndarray]:
    return parse_ply(data, Path("cloud.ply"))


def test_the_written_bytes_are_those_of_the_format(tmp_path: Path) -> None:
    path = tmp_path / "new" / "cloud.ply"
    write_ply(path, POINTS, COLORS, np.array([2, -1, 0]), ["label 0: the\nroad", "Gehweg ä"])
    header = (
        b"ply\nformat binary_little_endian 1.0\ncomment label 0: the road\ncomment Gehweg \\xe4\n"
        b"element vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
        b"property uchar red\nproperty uchar green\nproperty uchar blue\nproperty int label\nend_header\n"
    )
    rows = [
        point.astype("<f4").tobytes() + color.tobytes() + np.array(label, "<i4").tobytes()
        for point, color, label in zip(POINTS, COLORS, (2, -1, 0), strict=True)
    ]
    assert path.read_bytes() == header + b"".join(rows)
    assert [file.name for file in path.parent.iterdir()] == ["cloud.ply"]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", POINTS, COLORS, np.arange(3))
    found = parse_ply((tmp_path / "a.ply").read_bytes(), tmp_path / "a.ply")
    assert np.array_equal(np.stack([found[axis] for axis in "xyz"], 1), POINTS)
    assert np.array_equal(np.stack([found[name] for name in ("red", "green", "blue")], 1), COLORS)
    assert found["label"].tolist() == [0, 1, 2]
    assert {name: values.dtype for name, values in found.items()}["red"] == np.uint8
    write_ply(tmp_path / "b.ply", POINTS)
    assert set(parse_ply((tmp_path / "b.ply").read_bytes(), tmp_path / "b.ply")) == {"x", "y", "z"}
    write_ply(tmp_path / "c.ply", POINTS[:0])
    assert len(parse_ply((tmp_path / "c.ply").read_bytes(), tmp_path / "c.ply")["x"]) == 0


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_ascii_with_other_elements_and_comments(newline: str) -> None:
    lines = [
        "ply",
        "format ascii 1.0",
        "comment end_header is not here",
        "obj_info by hand",
        "element camera 2",
        "property float f",
        "property list uchar int ids",
        "element vertex 2",
        "property double x",
        "property uint8 red",
        "element face 1",
        "property list uchar int vertex_indices",
        "end_header",
        "1 2 7 7",
        "2 1 7",
        "0.5 250",
        "",
        "-1e3 3",
        "3 0 1 0",
    ]
    found = parsed(newline.join(lines).encode())
    assert found["x"].tolist() == [0.5, -1000]
    assert found["red"].tolist() == [250, 3]
    assert (found["x"].dtype, found["red"].dtype) == (np.float64, np.uint8)


@pytest.mark.parametrize(("form", "order"), [("binary_big_endian", ">"), ("binary_little_endian", "<")])
def test_binary_with_an_element_before(form: str, order: str) -> None:
    header = f"ply\nformat {form} 1.0\nelement pose 2\nproperty short a\n"
    header += "element vertex 2\nproperty float x\nproperty int n\n"
    rows = np.array([(1.5, 7), (-2, -8)], [("x", order + "f4"), ("n", order + "i4")])
    found = parsed(header.encode() + b"end_header\n" + b"\0" * 4 + rows.tobytes() + b"more")
    assert found["x"].tolist() == [1.5, -2]
    assert found["n"].tolist() == [7, -8]
    assert found["x"].dtype.isnative


HEAD = b"ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nend_header\n"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a PLY file"),
        (b"solid\nend_header\n", "must begin with 'ply'"),
        (b"ply\nformat ascii 1.0\n", "a line 'end_header'"),
        (HEAD.replace(b"ascii", b"zip"), "the format of the PLY file is 'zip'"),
        (HEAD.replace(b"format ascii 1.0\n", b""), "the format of the PLY file is ''"),
        (HEAD.replace(b"vertex 2", b"vertex two"), "the line 'element vertex two'"),
        (HEAD.replace(b"vertex 2", b"vertex -2"), "the line 'element vertex -2'"),
        (HEAD.replace(b"float y", b"real y"), "the line 'property real y'"),
        (HEAD.replace(b"element vertex 2\n", b""), "the line 'property float x'"),
        (HEAD.replace(b"vertex", b"point") + b"1 2\n1 2\n", "no element 'vertex'; its elements are: point"),
        (HEAD.replace(b"float y", b"float x") + b"1 2\n1 2\n", "two properties of 'vertex' have the same name"),
        (
            HEAD.replace(b"float y", b"list uchar int y") + b"1 2\n1 2\n",
            "row 0 of 'vertex' is not as the header",
        ),
        (HEAD.replace(b"float y", b"list float int y") + b"1 2\n1 2\n", "the line 'property list float int y'"),
        (
            HEAD.replace(b"float y", b"uchar y") + b"1 2\n1 300\n",
            "row 1: 'y' is 300, which does not fit its",
        ),
        (HEAD.replace(b"float y", b"int y") + b"1 2.5\n1 2\n", "row 0: 'y' is 2.5, which does not fit its type int32"),
        (HEAD + b"1 1e39\n1 2\n", "row 0: 'y' is 1e+39, which does not fit its type float32"),
        (HEAD + b"1 2\n", "truncated: its header promises 2 points, but 1 rows follow it"),
        (HEAD + b"1 2\n1\n", "row 1 is not 2 numbers: 1"),
        (HEAD + b"1 2\n1 2 3\n", "row 1 is not 2 numbers: 1 2 3"),
        (HEAD + b"one 2\n1 2\n", "row 0 is not 2 numbers: one 2"),
        (
            HEAD.replace(b"ascii", b"binary_little_endian") + b"\0" * 15,
            "2 of 'vertex' in 16 bytes, but 15 bytes",
        ),
        (
            HEAD.replace(b"ascii", b"binary_little_endian").replace(b"vertex 2", b"vertex 99999999999999"),
            "but 0 bytes follow",
        ),
    ],
)
def test_damaged_files_are_named(data: bytes, said: str) -> None:
    with pytest.raises(DataError) as caught:
        parsed(data)
    assert str(caught.value).startswith("cloud.ply: ")
    assert said in str(caught.value)


def test_a_writer_is_told_of_its_mistakes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="colors must be uint8"):
        write_ply(tmp_path / "a.ply", POINTS, COLORS / 255)
    with pytest.raises(ValueError, match="labels must be"):
        write_ply(tmp_path / "a.ply", POINTS, labels=np.zeros(2, int))
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be written"):
        write_ply(tmp_path / "file" / "a.ply", POINTS)


# ---- ordinary variants


def binary(form: str, *parts: bytes) -> bytes:
    header = (
        f"ply\nformat {form} 1.0\nelement face 2\nproperty list uchar int vertex_index\nproperty uchar red\n"
        "element vertex 3\nproperty double x\nproperty list ushort float seen\nproperty uchar flag\nend_header\n"
    )
    return header.encode() + b"".join(parts)


@pytest.mark.parametrize(("form", "order"), [("binary_big_endian", ">"), ("binary_little_endian", "<")])
@pytest.mark.parametrize("counts", [(1, 1, 1), (0, 2, 1)])
def test_lists_anywhere(form: str, order: str, counts: tuple[int, ...]) -> None:
    faces = [struct.pack(order + "B3iB", 3, 0, 1, 2, 7), struct.pack(order + "B3iB", 3, 2, 1, 0, 8)]
    vertices = [struct.pack(f"{order}dH{n}fB", 0.1 * k, n, *[9.0] * n, k) for k, n in enumerate(counts)]
    data = binary(form, *faces, *vertices)
    found = parsed(data)
    assert found["x"].tolist() == [0.0, 0.1, 0.2]
    assert found["flag"].tolist() == [0, 1, 2]
    assert parse_ply_faces(data, Path("a.ply")).tolist() == [[0, 1, 2], [2, 1, 0]]
    with pytest.raises(DataError, match="truncated"):
        parsed(data[:-1])


def test_a_polygon_among_triangles_and_a_negative_length() -> None:
    polygon = [struct.pack("<B4iB", 4, 0, 1, 2, 0, 7), struct.pack("<B3iB", 3, 2, 1, 0, 8)]
    data = binary("binary_little_endian", *polygon)
    with pytest.raises(DataError, match="face 0 is not a triangle"):
        parse_ply_faces(data, Path("a.ply"))
    with pytest.raises(DataError, match="truncated"):
        parsed(data)
    with pytest.raises(DataError, match="a list 'vertex_index' of 'face' has the length -1"):
        parsed(data.replace(b"list uchar", b"list char").replace(b"header\n\x04", b"header\n\xff"))
