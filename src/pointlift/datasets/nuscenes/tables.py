"""The JSON tables: only the fields that are needed, and of the large ones a few megabytes at a time.

sample_data.json and ego_pose.json have millions of rows, of which a twentieth is needed. Their text is cut at ends of
rows and decoded piece by piece, and fields whose values only the needed rows are asked for stay text (`msgspec.Raw`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Raw

from pointlift.errors import DataError
from pointlift.files import read_bytes, stand_in

CHUNK = 1 << 20

Microseconds = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Pixels = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]

text = msgspec.json.Decoder(str).decode
vector = msgspec.json.Decoder(Vector).decode
quaternion = msgspec.json.Decoder(Quaternion).decode


class SceneRow(msgspec.Struct, gc=False):
    """scene.json."""

    token: str
    name: str


class SampleRow(msgspec.Struct, gc=False):
    """sample.json: one keyframe."""

    token: str
    timestamp: Microseconds
    scene_token: str


class SensorRow(msgspec.Struct, gc=False):
    """sensor.json."""

    token: str
    channel: str


class CalibrationRow(msgspec.Struct, gc=False):
    """calibrated_sensor.json: a sensor on the vehicle of one scene."""

    token: str
    sensor_token: str
    translation: Vector
    rotation: Quaternion
    camera_intrinsic: list[list[float]]


class DataRow(msgspec.Struct, gc=False):
    """sample_data.json: one file of one sensor."""

    is_key_frame: bool
    timestamp: Microseconds
    token: Raw
    sample_token: Raw
    ego_pose_token: Raw
    calibrated_sensor_token: Raw
    filename: Raw
    height: Pixels = 0
    width: Pixels = 0


class PoseRow(msgspec.Struct, gc=False):
    """ego_pose.json."""

    token: str
    translation: Raw
    rotation: Raw


class LidarsegRow(msgspec.Struct, gc=False):
    """lidarseg.json."""

    sample_data_token: str
    filename: str


class CategoryRow(msgspec.Struct, gc=False):
    """category.json; it has an index if nuScenes-lidarseg was unpacked over it."""

    token: str
    name: str
    index: int | None = None


class InstanceRow(msgspec.Struct, gc=False):
    """instance.json."""

    token: str
    category_token: str


class AnnotationRow(msgspec.Struct, gc=False):
    """sample_annotation.json: one box in one keyframe."""

    sample_token: str
    instance_token: Raw
    translation: Raw
    size: Raw
    rotation: Raw


Row = TypeVar("Row")


def require(folder: Path, names: Iterable[str]) -> None:
    """Raise a `DataError` that lists the tables that are not there."""
    missing = [f"{name}.json" for name in names if not (folder / f"{name}.json").is_file()]
    if missing:
        raise DataError(
            f"{folder}: {'a table is' if len(missing) == 1 else 'tables are'} missing: {', '.join(missing)}"
        )


def read_table(folder: Path, name: str, row: type[Row]) -> list[Row]:
    """All rows of a small table."""
    path = folder / f"{name}.json"
    return _decode(msgspec.json.Decoder(list[row]), read_bytes(path), path)  # type: ignore[valid-type]


def stream_table(folder: Path, name: str, row: type[Row], *, true: str | None = None) -> Iterator[list[Row]]:
    """Rows of a large table, some thousands at a time; rows must not contain objects, nor braces in strings.

    Args:
        folder: where the tables are.
        name: of the table.
        row: what a row holds.
        true: the name of a field; rows where it is false are passed over without being decoded, most of them at least.
            The field must be written in the same way in all rows, as every writer of JSON does.
    """
    path = folder / f"{name}.json"
    decoder = msgspec.json.Decoder(list[row])  # type: ignore[valid-type]
    marker: bytes | None = None
    try:
        with path.open("rb") as file:
            rest = file.read(1024).lstrip()
            if not rest.startswith(b"["):
                cause = stand_in(path)
                malformed = f"{path}: the JSON is malformed: the table does not begin with ["
                raise DataError(malformed if cause is None else f"{path} {cause}")
            rest = rest[1:]
            while more := file.read(CHUNK):
                last = more.rfind(b"{")  # the row that begins here may end in the next piece
                end = more.rfind(b"}", 0, max(last, 0)) + 1
                if not end or more[end:last].strip() != b",":
                    rest += more
                    continue
                whole = b"".join((b"[", rest, memoryview(more)[:end], b"]"))
                rest = more[last:]
                if true is not None:
                    marker = marker or _marker(whole, true)
                    whole = whole if marker is None else _rows_with(marker, whole)
                yield _decode(decoder, whole, path)
    except OSError as error:
        raise DataError(f"{path}: the file cannot be read ({error.strerror})") from error
    yield _decode(decoder, b"[" + rest, path)


def _marker(rows: bytes, name: str) -> bytes | None:
    """How the table writes that this field is true: JSON allows blanks around the colon."""
    found = re.search(rb'"' + name.encode() + rb'"\s*:\s*', rows)
    return found.group() + b"true" if found else None


def _rows_with(marker: bytes, rows: bytes) -> bytes:
    """The table of those rows of a table that contain ``marker``."""
    found = []
    hit = rows.find(marker)
    while hit >= 0:
        end = rows.find(b"}", hit) + 1
        found.append(rows[rows.rfind(b"{", 0, hit) : end])
        hit = rows.find(marker, end)
    return b"[" + b",".join(found) + b"]"


def _decode(decoder: msgspec.json.Decoder[list[Row]], data: bytes, path: Path) -> list[Row]:
    with decoding(path):
        return decoder.decode(data)


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Turn what goes wrong while rows are decoded into a `DataError` that names the table."""
    try:
        yield
    except msgspec.ValidationError as error:
        reason = str(error).split(" - at")[0]
        raise DataError(f"{path}: a row is not as in the official schema: {reason}") from error
    except msgspec.DecodeError as error:
        reason = str(error).split(" (byte")[0]
        raise DataError(f"{path}: the JSON is malformed, or the file is cut off: {reason}") from error


def dangling(path: Path, column: str, token: str, table: str) -> DataError:
    """The error of a token that its table lacks."""
    return DataError(f"{path}: the {column} '{token}' is not in {table}.json")
