from __future__ import annotations

import pickle
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from pointlift.data.formats.sens import SensFile
from pointlift.errors import DataError
from tests import fixtures_scannet as synthetic

HEADER = 4 + 8 + 11 + 4 * 64 + 8 + 16 + 4 + 8  # bytes before the first frame


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sens") / "scene0000_00.sens"
    path.write_bytes(synthetic.sens_bytes(52))
    return path


def test_the_header_and_every_frame(stream):
    file = SensFile(stream)
    header = file.header
    assert (len(file), header.sensor, header.color_code, header.depth_code) == (
        52,
        "StructureIO",
        "jpeg",
        "zlib_ushort",
    )
    assert (header.color_size, header.depth_size, header.depth_scale) == ((60, 80), (24, 32), 1000.0)
    np.testing.assert_allclose(file.rig.depth, synthetic.DEPTH_K)
    np.testing.assert_allclose(file.rig.color, synthetic.COLOR_K)
    np.testing.assert_allclose(file.rig.color_from_depth, synthetic.COLOR_FROM_DEPTH, atol=1e-6)
    for number in (0, 1, 24, 51):
        raw, color, world = synthetic.recorded(number)
        np.testing.assert_array_equal(file.depth(number), raw)
        assert np.abs(file.color(number).astype(int) - color).max() < 12  # JPEG
        np.testing.assert_allclose(file.pose(number), world, atol=1e-6)
    with pytest.raises(
        DataError, match=r"scene0000_00\.sens: frame 25: the pose is not finite, as where tracking was lost"
    ):
        file.pose(25)
    assert not file.depth(50).any()


@pytest.mark.parametrize(("compression", "names"), [((0, 0), ("raw", "raw_ushort")), ((1, 1), ("png", "zlib_ushort"))])
def test_other_compressions_are_exact(tmp_path, compression, names):
    path = tmp_path / "a.sens"
    path.write_bytes(synthetic.sens_bytes(3, compression=compression))
    file = SensFile(path)
    assert (file.header.color_code, file.header.depth_code) == names
    raw, color, _ = synthetic.recorded(2)
    np.testing.assert_array_equal(file.depth(2), raw)
    np.testing.assert_array_equal(file.color(2), color)


def test_the_index_is_made_when_it_is_needed_and_holds_no_images(stream):
    file = SensFile(stream)
    assert "index" not in vars(file)
    file.depth(51)
    assert sum(part.nbytes for part in file.index) < 52 * 100
    every_fifth = SensFile(stream, step=5)
    assert len(every_fifth.index.poses) == 11
    np.testing.assert_array_equal(every_fifth.depth(45), file.depth(45))
    with pytest.raises(IndexError, match="there is no frame 46 among every 5"):
        every_fifth.depth(46)
    again = pickle.loads(pickle.dumps(file))  # as data workers get it
    np.testing.assert_array_equal(again.depth(3), file.depth(3))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (synthetic.sens_bytes(1, version=3), r"not a \.sens stream of version 4; it begins with the number 3"),
        (b"", r"the stream is truncated at the header"),
        (synthetic.sens_bytes(1)[:100], r"the stream is truncated at the header"),
        (synthetic.sens_bytes(2)[: HEADER + 50], r"the stream is truncated at frame 0 of 2"),
        (synthetic.sens_bytes(2)[:-40], r"the stream is truncated at frame 1 of 2"),
        (
            synthetic.sens_bytes(1, compression=(2, 2)),
            r"depth has the compression occi_ushort, which is not read; write",
        ),
        (synthetic.sens_bytes(1, compression=(2, 7)), r"depth has the compression 7, which is not read"),
        (
            synthetic.sens_bytes(1, compression=(-1, 1)),
            r"colour has the compression -1, which is none of raw, png, jpeg",
        ),
    ],
)
def test_bad_streams(tmp_path, data, message):
    path = tmp_path / "bad.sens"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"bad\.sens: .*" + message if not message.startswith("the") else message):
        SensFile(path).depth(0)


def test_damaged_images(tmp_path):
    data = bytearray(synthetic.sens_bytes(1))
    path = tmp_path / "bad.sens"
    data[-12:-8] = b"\xff\xff\xff\xff"  # the end of the depth image
    start = HEADER + 64 + 32
    data[start : start + 200] = bytes(200)
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"the depth of frame 0 cannot be decompressed"):
        SensFile(path).depth(0)
    with pytest.raises(DataError, match=r"the colour of frame 0 cannot be decoded"):
        SensFile(path).color(0)
    with pytest.raises(DataError, match=r"none\.sens: the file is missing"):
        SensFile(tmp_path / "none.sens")


def bomb(size: int) -> bytes:
    """A stream of one frame whose depth image expands to ``size`` bytes, of which its header expects others."""
    depth = zlib.compress(bytes(size), 9)
    data = bytearray(synthetic.sens_bytes(1))
    start = HEADER + 64 + 16
    color = int.from_bytes(data[start : start + 8], "little")
    data[start + 8 : start + 16] = len(depth).to_bytes(8, "little")
    return bytes(data[: start + 16 + color]) + depth


def test_a_depth_image_does_not_expand_beyond_its_size(tmp_path):
    path = tmp_path / "bomb.sens"
    path.write_bytes(bomb(1 << 28))
    tracemalloc.start()
    with pytest.raises(DataError, match=r"bomb\.sens: the depth of frame 0 has more bytes, not 1536 for 32 x 24"):
        SensFile(path).depth(0)
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()
    path.write_bytes(bomb(1500))
    with pytest.raises(DataError, match=r"the depth of frame 0 has 1500 bytes, not 1536"):
        SensFile(path).depth(0)
    path.write_bytes(bomb(1536)[:-6] + bytes(6))
    with pytest.raises(DataError, match=r"the depth of frame 0 cannot be decompressed"):
        SensFile(path).depth(0)


@pytest.mark.parametrize("size", [(1 << 31, 1 << 31), (0, 24), (32, 100_000)])
def test_sizes_in_the_header_that_no_image_has(tmp_path, size):
    data = bytearray(synthetic.sens_bytes(1))
    data[HEADER - 20 : HEADER - 12] = b"".join(side.to_bytes(4, "little") for side in size)
    path = tmp_path / "bad.sens"
    path.write_bytes(data)
    with pytest.raises(DataError, match=rf"depth images of {size[0]} x {size[1]} pixels are none; a side has"):
        SensFile(path)


def test_a_colour_image_of_another_size_is_not_decoded(tmp_path):
    data = bytearray(synthetic.sens_bytes(1, compression=(1, 1)))
    start = HEADER + 64 + 32 + 16  # after the signature and the name of a PNG's first part
    data[start : start + 8] = (9000).to_bytes(4, "big") * 2
    data[start + 13 : start + 17] = zlib.crc32(bytes(data[start - 4 : start + 13])).to_bytes(4, "big")
    path = tmp_path / "bad.sens"
    path.write_bytes(data)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"the colour of frame 0 is not one of 80 x 60 pixels"):
        SensFile(path).color(0)
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()
