"""Reading the index: the official tables, streamed, of which only the rows of some scenes and sensors are kept."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

import numpy as np

from pointlift.datasets.nuscenes.index import LIDAR, Index, Records
from pointlift.datasets.nuscenes.tables import (
    CalibrationRow,
    DataRow,
    LidarsegRow,
    PoseRow,
    SampleRow,
    SceneRow,
    SensorRow,
    dangling,
    decoding,
    quaternion,
    read_table,
    require,
    stream_table,
    text,
    vector,
)
from pointlift.errors import DataError
from pointlift.files import require_inside

_TOKEN = attrgetter("token")

TABLES = ("scene", "sample", "sample_data", "ego_pose", "calibrated_sensor", "sensor")


@dataclass
class _Frames:
    """The keyframes of the chosen scenes: sample token to its number, -1 for samples of other scenes."""

    scenes: tuple[str, ...]
    number: dict[str, int]
    scene: np.ndarray
    tokens: list[str]


@dataclass
class _Rows:
    """Rows of sample_data.json that are kept, by column; the poses by their token until ego_pose.json is read."""

    path: Path
    filename: list[bytes] = field(default_factory=list)
    timestamp: list[int] = field(default_factory=list)
    pose: list[int] = field(default_factory=list)
    calibration: list[int] = field(default_factory=list)
    size: list[tuple[int, int]] = field(default_factory=list)
    pose_tokens: dict[str, int] = field(default_factory=dict)

    def add(self, row: DataRow, calibration: int) -> int:
        token, name = text(row.ego_pose_token), text(row.filename)
        require_inside(name, self.path)
        self.filename.append(name.encode())
        self.size.append((row.height, row.width))
        self.timestamp.append(row.timestamp)
        self.pose.append(self.pose_tokens.setdefault(token, len(self.pose_tokens)))
        self.calibration.append(calibration)
        return len(self.filename) - 1

    def arrays(self) -> Records:
        numbers = (
            np.array(self.timestamp, np.int64),
            np.array(self.pose, np.int32),
            np.array(self.calibration, np.int32),
            np.array(self.size, np.int32).reshape(-1, 2),
        )
        return Records(np.array(self.filename, dtype=bytes), *numbers)


def scene_names(folder: Path) -> list[str]:
    """Names of all scenes, in the order of scene.json."""
    require(folder, TABLES)
    return [row.name for row in read_table(folder, "scene", SceneRow)]


def read_index(folder: Path, scenes: Iterable[str], cameras: Iterable[str], *, sweeps: bool = False) -> Index:
    """Read the tables of ``folder``, such as ``ROOT/v1.0-trainval``.

    Args:
        folder: where the tables are.
        scenes: names of the scenes to keep, in their order.
        cameras: channels to keep beside the LiDAR.
        sweeps: keep the LiDAR's scans between the keyframes, too.

    Raises:
        DataError: a table is missing, malformed or inconsistent; the message names table and token.
    """
    channels = (LIDAR, *cameras)
    frames = _read_frames(folder, tuple(scenes))
    sensors, mounts, intrinsics = _read_calibrations(folder)
    rows, slots, labels, scans = _read_data(folder, frames, sensors, channels, sweeps)
    for channel, slot in slots.items():
        if (slot < 0).any():
            token = frames.tokens[int(np.flatnonzero(slot < 0)[0])]
            raise DataError(
                f"{folder / 'sample_data.json'}: {(slot < 0).sum()} samples have no keyframe of {channel}, such as "
                f"sample '{token}'"
            )
    records = rows.arrays()
    sweep_records, sweep_scene = _ordered(scans, records) if sweeps else (None, None)
    return Index(
        scenes=frames.scenes,
        scene=frames.scene,
        start=np.searchsorted(frames.scene, frames.scene),
        tokens=np.array(frames.tokens, dtype=bytes),
        labels=np.array(labels, dtype=bytes),
        slots=slots,
        records=records,
        sweeps=sweep_records,
        sweep_scene=sweep_scene,
        poses=_read_poses(folder, rows.pose_tokens),
        mounts=mounts,
        intrinsics=intrinsics,
    )


def _read_frames(folder: Path, scenes: tuple[str, ...]) -> _Frames:
    chosen = {name: number for number, name in enumerate(scenes)}
    scene_of = {row.token: chosen.get(row.name, -1) for row in read_table(folder, "scene", SceneRow)}
    rows = read_table(folder, "sample", SampleRow)
    for row in rows:
        if row.scene_token not in scene_of:
            raise dangling(folder / "sample.json", "scene_token", row.scene_token, "scene")
    kept = sorted(
        (scene_of[row.scene_token], row.timestamp, row.token) for row in rows if scene_of[row.scene_token] >= 0
    )
    scene = np.array([number for number, _, _ in kept], dtype=np.int64)
    empty = np.flatnonzero(np.bincount(scene, minlength=len(scenes)) == 0)
    if len(empty):
        raise DataError(f"{folder / 'sample.json'}: {len(empty)} scenes have no samples, such as {scenes[empty[0]]}")
    number = dict.fromkeys((row.token for row in rows), -1)
    tokens = [token for _, _, token in kept]
    number.update((token, position) for position, token in enumerate(tokens))
    return _Frames(scenes, number, scene, tokens)


def _read_calibrations(folder: Path) -> tuple[dict[str, tuple[str, int]], np.ndarray, np.ndarray]:
    """Channel and row of every calibration token, the poses (C, 7) on the vehicle and the intrinsics (C, 3, 3)."""
    path = folder / "calibrated_sensor.json"
    channel_of = {row.token: row.channel for row in read_table(folder, "sensor", SensorRow)}
    rows = read_table(folder, "calibrated_sensor", CalibrationRow)
    sensors = {}
    intrinsics = np.full((len(rows), 3, 3), np.nan)
    for number, row in enumerate(rows):
        if row.sensor_token not in channel_of:
            raise dangling(path, "sensor_token", row.sensor_token, "sensor")
        sensors[row.token] = (channel_of[row.sensor_token], number)
        if row.camera_intrinsic:
            if [len(line) for line in row.camera_intrinsic] != [3, 3, 3]:
                raise DataError(f"{path}: camera_intrinsic of '{row.token}' must be 3 x 3: {row.camera_intrinsic}")
            intrinsics[number] = row.camera_intrinsic
    mounts = np.array([(*row.translation, *row.rotation) for row in rows], dtype=np.float64).reshape(-1, 7)
    _check_quaternions(mounts, [row.token for row in rows], path)
    return sensors, mounts, intrinsics


def _read_data(
    folder: Path, frames: _Frames, sensors: dict[str, tuple[str, int]], channels: tuple[str, ...], sweeps: bool
) -> tuple[_Rows, dict[str, np.ndarray], list[bytes], list[tuple[int, int]]]:
    """Rows of sample_data.json of these channels: keyframes, and all (scene, row) of the LiDAR if ``sweeps``."""
    path = folder / "sample_data.json"
    label_of = _label_files(folder)
    labels = [b""] * len(frames.tokens)
    slots = {channel: np.full(len(frames.tokens), -1, dtype=np.int32) for channel in channels}
    rows, scans = _Rows(path), []
    for part in stream_table(folder, "sample_data", DataRow, true=None if sweeps else "is_key_frame"):
        with decoding(path):
            for row in part:
                place = _place(row, frames, sensors, slots, path) if row.is_key_frame or sweeps else None
                if place is None:
                    continue
                channel, calibration, frame = place
                if channel == LIDAR or row.is_key_frame:
                    record = rows.add(row, calibration)
                if channel == LIDAR:
                    scans.append((int(frames.scene[frame]), record))
                if row.is_key_frame:
                    slots[channel][frame] = record
                    if channel == LIDAR and label_of:
                        labels[frame] = label_of.get(text(row.token), b"")
                        if not labels[frame]:
                            raise _unlabelled(folder, text(row.token))
    return rows, slots, labels, scans


def _place(
    row: DataRow, frames: _Frames, sensors: dict[str, tuple[str, int]], channels: Container[str], path: Path
) -> tuple[str, int, int] | None:
    """Channel, row of the calibration and keyframe of a file; None for other channels and other scenes."""
    sensor = text(row.calibrated_sensor_token)
    if sensor not in sensors:
        raise dangling(path, "calibrated_sensor_token", sensor, "calibrated_sensor")
    channel, calibration = sensors[sensor]
    if channel not in channels:
        return None
    frame = frames.number.get(text(row.sample_token))
    if frame is None:
        raise dangling(path, "sample_token", text(row.sample_token), "sample")
    return None if frame < 0 else (channel, calibration, frame)


def _label_files(folder: Path) -> dict[str, bytes]:
    """Relative path of the lidarseg file of every scan; empty if nuScenes-lidarseg is not there, and in v1.0-test."""
    if folder.name == "v1.0-test" or not (folder / "lidarseg.json").is_file():
        return {}
    rows = read_table(folder, "lidarseg", LidarsegRow)
    for row in rows:
        if row.filename:  # an empty one is said where it is needed
            require_inside(row.filename, folder / "lidarseg.json")
    return {row.sample_data_token: row.filename.encode() for row in rows}


def _unlabelled(folder: Path, token: str) -> DataError:
    """The error of a keyframe that lidarseg.json passes over."""
    return DataError(f"{folder / 'lidarseg.json'}: there is no file for '{token}', a keyframe of {LIDAR}")


def _ordered(scans: list[tuple[int, int]], records: Records) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `Records` of the LiDAR's scans by scene and time, and their scenes."""
    scene, record = np.array(scans, dtype=np.int64).reshape(-1, 2).T
    order = np.lexsort((records.timestamp[record], scene))
    return record[order], scene[order]


def _read_poses(folder: Path, wanted: dict[str, int]) -> np.ndarray:
    path = folder / "ego_pose.json"
    poses = np.full((len(wanted), 7), np.nan)
    for part in stream_table(folder, "ego_pose", PoseRow):
        with decoding(path):
            for row, position in zip(part, map(wanted.get, map(_TOKEN, part)), strict=True):
                if position is not None:
                    poses[position, :3], poses[position, 3:] = vector(row.translation), quaternion(row.rotation)
    missing = np.flatnonzero(np.isnan(poses[:, 0]))
    tokens = list(wanted)
    if len(missing):
        raise dangling(folder / "sample_data.json", "ego_pose_token", tokens[missing[0]], "ego_pose")
    _check_quaternions(poses, tokens, path)
    return poses


def _check_quaternions(poses: np.ndarray, tokens: list[str], path: Path) -> None:
    wrong = np.flatnonzero(np.linalg.norm(poses[:, 3:], axis=1) < 1e-6)
    if len(wrong):
        raise DataError(f"{path}: the rotation of '{tokens[wrong[0]]}' is 0 0 0 0, which is no quaternion")
