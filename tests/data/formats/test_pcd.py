from pathlib import Path

import numpy as np
import pytest

from pointlift.data.formats.lzf import decompress
from pointlift.data.formats.pcd import parse_pcd
from pointlift.errors import DataError

HEADER = """# .PCD v0.7 - Point Cloud Data file format
VERSION 0.7
FIELDS x y _ intensity
SIZE 4 8 1 1
TYPE F F U U
COUNT 1 1 3 1
WIDTH 2
HEIGHT 1
VIEWPOINT 0 0 0 1 0 0 0
POINTS 2
"""


def parsed(header: str, body: bytes) -> dict[str, np.ndarray]:
    return parse_pcd(header.encode() + body, Path("cloud.pcd"))


def test_binary_and_ascii_say_the_same() -> None:
    kinds = [("x", "<f4"), ("y", "<f8"), ("_", "u1", (3,)), ("i", "u1")]
    rows = np.array([(1.5, 2, [9, 9, 9], 255), (-3, 4, [9, 9, 9], 0)], kinds)
    binary = parsed(HEADER + "DATA binary\n", rows.tobytes() + b"rest")
    text = parsed(HEADER + "DATA ascii\n", b"1.5 2 9 9 9 255\n-3 4 9 9 9 0\n")
    for found in (binary, text):
        assert set(found) == {"x", "y", "intensity"}
        assert found["x"].tolist() == [1.5, -3]
        assert found["y"].tolist() == [2, 4]
        assert found["intensity"].tolist() == [255, 0]
        assert found["intensity"].dtype == np.uint8


def test_count_and_points_may_be_left_out() -> None:
    header = "FIELDS x y\nSIZE 4 4\nTYPE F F\nWIDTH 2\nHEIGHT 1\nDATA ascii\n"
    assert parsed(header, b"1 2\n3 4\n")["y"].tolist() == [2, 4]


@pytest.mark.parametrize(
    ("header", "body", "said"),
    [
        ("VERSION 0.7\n", b"", "no line that begins with DATA"),
        (HEADER.replace("FIELDS", "FIELD") + "DATA ascii\n", b"", "the PCD header is damaged"),
        (HEADER.replace("SIZE 4 8", "SIZE 4") + "DATA ascii\n", b"", "the PCD header is damaged"),
        (HEADER.replace("SIZE 4 8", "SIZE 4 5") + "DATA ascii\n", b"", "the PCD header is damaged"),
        (HEADER.replace("COUNT 1 1 3 1", "COUNT 1 1 0 1") + "DATA ascii\n", b"", "the PCD header is damaged"),
        (HEADER.replace("WIDTH 2", "WIDTH 3") + "DATA ascii\n", b"", "the PCD header is damaged"),
        (
            HEADER.replace("TYPE F F", "TYPE I F") + "DATA ascii\n",
            b"1.5 2 9 9 9 255\n-3 4 9 9 9 0\n",
            "'x' is 1.5",
        ),
        (HEADER + "DATA ascii\n", b"1 2 9 9 9 255\n-3 4 9 9 9 256\n", "row 1: 'intensity' is 256, which does not fit"),
        (HEADER + "DATA ascii\n", b"1 2 9 9 9 nan\n-3 4 9 9 9 6\n", "row 0: 'intensity' is nan, which does not fit"),
        (
            HEADER + "DATA zip\n",
            b"",
            "the data of the PCD file are 'zip'; they must be one of ascii, binary,",
        ),
        (HEADER + "DATA binary_compressed\n", b"", "the sizes of its compressed data are missing"),
        (HEADER + "DATA binary_compressed\n", b"\x09\0\0\0\x20\0\0\0abc", "9 compressed bytes, but 3 follow"),
        (HEADER + "DATA binary_compressed\n", b"\x03\0\0\0\x21\0\0\0abc", "the compressed data are 33 bytes, but"),
        (HEADER + "DATA binary_compressed\n", b"\x03\0\0\0\x20\0\0\0abc", "the compressed data are damaged"),
        (HEADER.replace("x y", "x x") + "DATA binary\n", b"\0" * 32, "two fields of the PCD file are called 'x'"),
        (HEADER + "DATA binary\n", b"\0" * 31, "2 points in 32 bytes, but 31 bytes follow"),
        (HEADER + "DATA ascii\n", b"1 2 3 4 5 6\n", "promises 2 points, but 1 rows"),
        (HEADER + "DATA ascii\n", b"1 2 3 4 5 6\n1 2\n", "row 1 is not 6 numbers"),
    ],
)
def test_damaged_files_are_named(header: str, body: bytes, said: str) -> None:
    with pytest.raises(DataError) as caught:
        parsed(header, body)
    assert str(caught.value).startswith("cloud.pcd: ")
    assert said in str(caught.value)


# ---- compressed


def packed(raw: bytes) -> bytes:
    """LZF of literals and of repetitions of one byte, long ones among them."""
    out, place = bytearray(), 0
    while place < len(raw):
        run = 1
        while run < 264 and place + run < len(raw) and raw[place + run] == raw[place]:
            run += 1
        out += bytes([0, raw[place]])
        if 3 < run < 10:
            out += bytes([(run - 3) << 5, 0])
        elif run >= 10:
            out += bytes([7 << 5, run - 10, 0])
        else:
            run = 1
        place += run
    return bytes(out)


def compressed(raw: bytes) -> bytes:
    data = packed(raw)
    return len(data).to_bytes(4, "little") + len(raw).to_bytes(4, "little") + data + b"rest"


@pytest.mark.parametrize("padded", [False, True])
def test_compressed_data_follow_field_by_field(padded: bool) -> None:
    x, y = np.array([1.5, -3], "<f4").tobytes(), np.array([2, 4], "<f8").tobytes()
    raw = x + y + (b"\x09" * 6 if padded else b"") + b"\xff\x00"
    found = parsed(HEADER + "DATA binary_compressed\n", compressed(raw))
    assert set(found) == {"x", "y", "intensity"}
    assert (found["x"].tolist(), found["y"].tolist(), found["intensity"].tolist()) == ([1.5, -3], [2, 4], [255, 0])


def test_long_and_overlapping_repetitions() -> None:
    raw = b"abcabcabcabcabcabcabcabcabcabc" + bytes(700) + b"x" * 5 + b"end"
    assert decompress(packed(raw), len(raw)) == raw
    assert decompress(bytes([2]) + b"abc" + bytes([7 << 5, 18, 2]), 30) == b"abc" * 10
    assert decompress(b"", 0) == b""


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b"\x02ab", 3),
        (b"\x20", 3),
        (b"\xe0\x01", 3),
        (b"\x00a\x20\x05", 4),
        (b"\x00a\x00b", 1),
        (b"\x00a", 2),
        (b"", 9),
    ],
)
def test_damaged_compression_is_a_value_error(data: bytes, size: int) -> None:
    with pytest.raises(ValueError, match=r"data|bytes|hold"):
        decompress(data, size)


def test_a_size_that_the_data_cannot_hold_is_refused_before_it_is_allocated() -> None:
    with pytest.raises(ValueError, match="9 bytes cannot hold 4000000000"):
        decompress(b"\0" * 9, 4_000_000_000)


# ---- ordinary variants


def test_fields_in_any_order_of_any_type_with_several_values() -> None:
    header = "COLUMNS z hist x y\nSIZE 8 2 2 4\nTYPE f I u F\nCOUNT 1 3 1 1\nWIDTH 1\nHEIGHT 2\nDATA ASCII\n"
    found = parsed(header, b"1 -1 -2 -3 4 nan\n2 0 0 0 65535 6\n")
    assert list(found) == ["z", "hist_0", "hist_1", "hist_2", "x", "y"]
    assert found["hist_2"].tolist() == [-3, 0]
    assert (found["x"].dtype, found["x"].tolist()) == (np.uint16, [4, 65535])
    assert np.isnan(found["y"][0])


def test_carriage_returns_and_an_empty_cloud() -> None:
    header = "FIELDS x y\r\nSIZE 4 4\r\nTYPE F F\r\nWIDTH {}\r\nHEIGHT 1\r\nDATA {}\r\n"
    assert parsed(header.format(1, "ascii"), b"1 2\r\n")["y"].tolist() == [2]
    assert len(parsed(header.format(0, "binary"), b"")["y"]) == 0
    assert len(parsed(header.format(0, "binary_compressed"), b"\0" * 8)["y"]) == 0
