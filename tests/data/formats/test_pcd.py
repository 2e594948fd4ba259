from pathlib import Path

import numpy as np
import pytest

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
        (HEADER + "DATA binary_compressed\n", b"", "'binary_compressed'; save it as 'binary' or 'ascii'"),
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
