"""ScanNet's .sens streams: colour, depth and pose of every frame of a scan in one binary file, read frame by frame.

Layout (little-endian; SensReader of the ScanNet toolkit): uint32 version 4, uint64 length and the name of the sensor,
four 4 x 4 float32 matrices (intrinsics and extrinsics of colour, then of depth), int32 compression of colour and of
depth, uint32 width and height of colour and of depth, float32 numbers per metre, uint64 number of frames. Each frame:
4 x 4 float32 camera to world, uint64 time of colour and of depth, uint64 size of both, and the two compressed images.
"""

from __future__ import annotations

import io
import struct
import zlib
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from pointlift.data.formats import matrices
from pointlift.data.formats.rgbd import Rig
from pointlift.errors import DataError
from pointlift.files import stand_in

VERSION = 4
COLOR = {0: "raw", 1: "png", 2: "jpeg"}
DEPTH = {0: "raw_ushort", 1: "zlib_ushort", 2: "occi_ushort"}
MOST_PIXELS = 16_384
"""Of a side of an image; the header of a damaged stream may promise billions."""
_AFTER_NAME = struct.Struct("<64f2i4IfQ")
_FRAME = struct.Struct("<16f4Q")


class Header(NamedTuple):
    """The first bytes of a stream; sizes are (height, width), and ``start`` is the offset of the first frame."""

    sensor: str
    color_intrinsics: np.ndarray
    depth_intrinsics: np.ndarray
    color_from_depth: np.ndarray
    color_code: str
    depth_code: str
    color_size: tuple[int, int]
    depth_size: tuple[int, int]
    depth_scale: float
    frames: int
    start: int


class Index(NamedTuple):
    """Of every frame kept: its pose (F, 4, 4) as stored, and the offset and sizes in bytes of its images (F,)."""

    poses: np.ndarray
    offsets: np.ndarray
    color_bytes: np.ndarray
    depth_bytes: np.ndarray


class SensFile:
    """A .sens stream. Opening it reads the header; the index of frames is built when it is first needed.

    Args:
        path: the file.
        step: only frames whose number is a multiple of this are kept in the index, and can be read.

    Raises:
        DataError: the file is missing, is no such stream, is truncated, or its images are compressed in a way that is
            not understood.
    """

    def __init__(self, path: Path, step: int = 1) -> None:
        self.path, self.step = path, step
        with self._open() as file:
            self.header = _read_header(file, path)

    def __len__(self) -> int:
        return self.header.frames

    @property
    def rig(self) -> Rig:
        """The cameras."""
        header = self.header
        sizes = header.depth_size, header.color_size
        return Rig(header.depth_intrinsics, header.color_intrinsics, header.color_from_depth, sizes)

    @cached_property
    def index(self) -> Index:
        """Where the frames are: a walk through the file that skips the images."""
        frames, size = self.header.frames, self.path.stat().st_size
        if frames * _FRAME.size > size:
            raise _truncated(self.path, f"one of its {frames} frames")
        kept = len(range(0, frames, self.step))
        poses, places = np.empty((kept, 16), np.float32), np.empty((kept, 3), np.int64)
        offset = self.header.start
        with self._open() as file:
            for number in range(frames):
                file.seek(offset)
                values = _unpack(_FRAME, file, self.path, f"frame {number} of {frames}")
                color, depth = values[18:]
                start, offset = offset + _FRAME.size, offset + _FRAME.size + color + depth
                if offset > size:
                    raise _truncated(self.path, f"frame {number} of {frames}")
                if number % self.step == 0:
                    poses[number // self.step], places[number // self.step] = values[:16], (start, color, depth)
        return Index(poses.reshape(-1, 4, 4), *places.T)

    def pose(self, frame: int) -> np.ndarray:
        """Camera to world (4, 4) float64 of a frame; a `DataError` where tracking was lost."""
        return matrices.rigid(self.stored_pose(frame), f"{self.path}: frame {frame}")

    def stored_pose(self, frame: int) -> np.ndarray:
        """Camera to world (4, 4) float32 of a frame as stored: -inf where tracking was lost."""
        return self.index.poses[self._row(frame)]

    def depth_bytes(self, frame: int) -> int:
        """Size of the compressed depth image of a frame."""
        return int(self.index.depth_bytes[self._row(frame)])

    def depth(self, frame: int) -> np.ndarray:
        """The depth image (H, W) uint16 of a frame."""
        index, row = self.index, self._row(frame)
        data = self._read(int(index.offsets[row] + index.color_bytes[row]), int(index.depth_bytes[row]))
        height, width = self.header.depth_size
        if self.header.depth_code == "zlib_ushort":
            data = self._decompressed(data, 2 * height * width, frame)
        if len(data) != 2 * height * width:
            count = f"{len(data)}" if len(data) < 2 * height * width else "more"
            raise DataError(
                f"{self.path}: the depth of frame {frame} has {count} bytes, not {2 * height * width} for "
                f"{width} x {height} pixels"
            )
        return np.frombuffer(data, "<u2").reshape(height, width).astype(np.uint16)

    def color(self, frame: int) -> np.ndarray:
        """The colour image (H, W, 3) uint8 of a frame."""
        row = self._row(frame)
        data = self._read(int(self.index.offsets[row]), int(self.index.color_bytes[row]))
        height, width = self.header.color_size
        if self.header.color_code == "raw":
            image = np.frombuffer(data, np.uint8)
            image = image.reshape(height, width, 3) if image.size == 3 * height * width else image
        else:
            try:
                stored = Image.open(io.BytesIO(data))
                # An image of another size is not decoded: it can be of any size, and is refused below.
                fits = stored.size == (width, height)
                image = np.array(stored.convert("RGB")) if fits else np.empty(0, np.uint8)
            except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, zlib.error, …
                raise DataError(f"{self.path}: the colour of frame {frame} cannot be decoded ({error})") from error
        if image.shape != (height, width, 3):
            raise DataError(f"{self.path}: the colour of frame {frame} is not one of {width} x {height} pixels")
        return image

    def _decompressed(self, data: bytes, expected: int, frame: int) -> bytes:
        """What a compressed image holds, at most a byte more than it should: a few bytes can expand to gigabytes."""
        decoder = zlib.decompressobj()
        try:
            result = decoder.decompress(data, expected + 1)
            # At the expected size the checksum at the end may still be unread.
            rest = decoder.decompress(decoder.unconsumed_tail, 1) if len(result) == expected else b""
        except zlib.error as error:
            raise DataError(f"{self.path}: the depth of frame {frame} cannot be decompressed ({error})") from error
        if len(result) == expected and not rest and not decoder.eof:
            raise DataError(f"{self.path}: the depth of frame {frame} cannot be decompressed (it is cut off)")
        return result + rest

    def _row(self, frame: int) -> int:
        if frame % self.step or not 0 <= frame < len(self):
            raise IndexError(f"{self.path}: there is no frame {frame} among every {self.step}. of {len(self)}")
        return frame // self.step

    def _open(self) -> BinaryIO:
        # Unbuffered: the walk reads a hundred bytes of every frame, a buffer would read kilobytes.
        try:
            return self.path.open("rb", buffering=0)
        except FileNotFoundError as error:
            raise DataError(f"{self.path}: the file is missing") from error
        except OSError as error:
            raise DataError(f"{self.path}: the file cannot be read ({error.strerror})") from error

    def _read(self, offset: int, count: int) -> bytes:
        with self._open() as file:
            file.seek(offset)
            data = file.read(count)
        if len(data) < count:
            raise _truncated(self.path, f"byte {offset + len(data)}")
        return data


def _read_header(file: BinaryIO, path: Path) -> Header:
    version, name_length = _unpack(struct.Struct("<IQ"), file, path, "the header")
    if version != VERSION or name_length > 4096:
        cause = stand_in(path)
        other = f"{path}: this is not a .sens stream of version {VERSION}; it begins with the number {version}"
        raise DataError(other if cause is None else f"{path} {cause}")
    name = file.read(name_length).decode("latin-1")
    values = _unpack(_AFTER_NAME, file, path, "the header")
    color_K, color_to_base, depth_K, depth_to_base = np.reshape(values[:64], (4, 4, 4)).astype(np.float64)
    color, depth, color_width, color_height, depth_width, depth_height, scale, frames = values[64:]
    if color not in COLOR:
        raise DataError(f"{path}: colour has the compression {color}, which is none of {', '.join(COLOR.values())}")
    if DEPTH.get(depth) not in ("raw_ushort", "zlib_ushort"):
        raise DataError(
            f"{path}: depth has the compression {DEPTH.get(depth, depth)}, which is not read; write it as zlib_ushort "
            "with ScanNet's toolkit, or export the frames"
        )
    if not 0 < scale < np.inf:
        raise DataError(f"{path}: the depth scale must be above 0, not {scale:g}")
    for what, width, height in (("colour", color_width, color_height), ("depth", depth_width, depth_height)):
        if not (0 < width <= MOST_PIXELS and 0 < height <= MOST_PIXELS):
            raise DataError(
                f"{path}: {what} images of {width} x {height} pixels are none; a side has 1 to {MOST_PIXELS:,}"
            )
    color_from_depth = _alignment(color_to_base, depth_to_base, str(path))
    return Header(
        name,
        matrices.intrinsics(color_K, f"{path}: colour"),
        matrices.intrinsics(depth_K, f"{path}: depth"),
        color_from_depth,
        COLOR[color],
        DEPTH[depth],
        (color_height, color_width),
        (depth_height, depth_width),
        float(scale),
        frames,
        file.tell(),
    )


def _alignment(color_to_base: np.ndarray, depth_to_base: np.ndarray, where: str) -> np.ndarray:
    """Colour from depth (4, 4): both extrinsics lead to the frame of one base; as released, they are the identity."""
    color, depth = matrices.rigid(color_to_base, f"{where}: colour"), matrices.rigid(depth_to_base, f"{where}: depth")
    return np.linalg.inv(color) @ depth


def _unpack(layout: struct.Struct, file: BinaryIO, path: Path, what: str) -> tuple:
    data = file.read(layout.size)
    if len(data) < layout.size:
        raise _truncated(path, what)
    return layout.unpack(data)


def _truncated(path: Path, what: str) -> DataError:
    return DataError(f"{path}: the stream is truncated at {what}")
