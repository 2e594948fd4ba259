"""A tiny synthetic street in the official nuScenes layout: scans, images, labels, boxes and moving poses agree.

The street is that of `tests.fixtures_kitti`. The vehicle drives along it, every sensor fires at a time of its own, and
the world's frame is turned and far away, so that a wrong step between LiDAR and camera shows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pointlift.datasets.nuscenes.classes import LIDARSEG
from tests import fixtures_kitti as street

HEIGHT, WIDTH = 54, 96
K = np.array([[60.0, 0, 47.5], [0, 60.0, 26.5], [0, 0, 1]])
SPEED = 8.0  # metres per second along the street
YAWS = {
    "CAM_FRONT": 0.0,
    "CAM_FRONT_RIGHT": -55.0,
    "CAM_BACK_RIGHT": -110.0,
    "CAM_BACK": 180.0,
    "CAM_BACK_LEFT": 110.0,
    "CAM_FRONT_LEFT": 55.0,
}
DELAYS = {channel: 0.012 * number - 0.035 for number, channel in enumerate(YAWS)}  # seconds after the LiDAR
WORLD_YAW, WORLD_ORIGIN = 50.0, (400.0, 1200.0, 2.0)
CLASS = {
    street.ROAD: "flat.driveable_surface",
    street.SIDEWALK: "flat.sidewalk",
    street.TERRAIN: "flat.terrain",
    street.CAR: "vehicle.car",
    street.MOVING_CAR: "vehicle.truck",
    street.BUILDING: "static.manmade",
    street.VEGETATION: "static.vegetation",
    street.POLE: "static.other",
    street.PERSON: "human.pedestrian.adult",
}
EGO_RETURNS = 25


def token(*parts: object) -> str:
    return hashlib.md5("/".join(map(str, parts)).encode()).hexdigest()


def turn(degrees: float) -> tuple[float, float, float, float]:
    """Quaternion (w, x, y, z) of a rotation about z."""
    return (float(np.cos(np.radians(degrees) / 2)), 0.0, 0.0, float(np.sin(np.radians(degrees) / 2)))


def product(p: tuple, q: tuple) -> tuple[float, float, float, float]:
    """Hamilton product of two quaternions."""
    (a, b, c, d), (e, f, g, h) = p, q
    return (
        a * e - b * f - c * g - d * h,
        a * f + b * e + c * h - d * g,
        a * g - b * h + c * e + d * f,
        a * h + b * g - c * f + d * e,
    )


LIDAR_MOUNT = ((0.9, 0.0, 1.84), turn(-90.0))  # the LiDAR's y is the vehicle's x
CAMERA_MOUNTS = {
    channel: (
        (0.9 + 0.8 * np.cos(np.radians(yaw)), 0.8 * np.sin(np.radians(yaw)), 1.5),
        product(turn(yaw), (0.5, -0.5, 0.5, -0.5)),
    )
    for channel, yaw in YAWS.items()
}


class _Writer:
    def __init__(self, root: Path, version: str, indent: int | None) -> None:
        self.root, self.version, self.indent = root, version, indent
        self.tables: dict[str, list[dict[str, Any]]] = {}

    def add(self, table: str, **row: Any) -> str:
        self.tables.setdefault(table, []).append(row)
        return row.get("token", "")

    def save(self) -> None:
        folder = self.root / self.version
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in self.tables.items():
            (folder / f"{name}.json").write_text(json.dumps(rows, indent=self.indent))


def write_nuscenes(
    root: Path,
    scenes: Mapping[str, int] | None = None,
    *,
    version: str = "v1.0-mini",
    points: int = 1200,
    sweeps: int = 2,
    lidarseg: bool = True,
    indent: int | None = 0,
) -> Path:
    """Write ``{name of the scene: keyframes}`` and return root; deterministic in its arguments.

    Args:
        root: where ``samples``, ``sweeps``, ``lidarseg`` and the tables go.
        scenes: by default a scene of each of the mini splits.
        version: name of the folder of tables.
        points: rays per scan, of which about two thirds return.
        sweeps: scans of the LiDAR between two keyframes.
        lidarseg: write labels, too.
        indent: of the JSON; the official tables have 0, None is a single line.
    """
    writer = _Writer(root, version, indent)
    sensors = {
        channel: writer.add("sensor", token=token("sensor", channel), channel=channel, modality=channel.split("_")[0])
        for channel in ("LIDAR_TOP", "RADAR_FRONT", *YAWS)
    }
    for index, name in enumerate(LIDARSEG):
        extra = {"index": index} if lidarseg else {}
        writer.add("category", token=token("category", name), name=name, description="{a}, {b}", **extra)
    for name, frames in (scenes or {"scene-0061": 3, "scene-0553": 2, "scene-0103": 2}).items():
        _write_scene(writer, name, frames, points, sweeps, lidarseg, sensors)
    writer.tables.setdefault("sample_annotation", [])
    writer.save()
    return root


def _write_scene(
    writer: _Writer, name: str, frames: int, points: int, sweeps: int, lidarseg: bool, sensors: dict[str, str]
) -> None:
    rng = np.random.default_rng(int(name[6:]))
    boxes = street._street(rng)
    writer.add("scene", token=token(name), name=name, description="a street, {made} of [boxes]", nbr_samples=frames)
    mounts = {"LIDAR_TOP": LIDAR_MOUNT, "RADAR_FRONT": LIDAR_MOUNT, **CAMERA_MOUNTS}
    calibrations = {
        channel: writer.add(
            "calibrated_sensor",
            token=token(name, channel),
            sensor_token=sensors[channel],
            translation=list(position),
            rotation=list(rotation),
            camera_intrinsic=K.tolist() if channel.startswith("CAM") else [],
        )
        for channel, (position, rotation) in mounts.items()
    }
    instances = _write_instances(writer, name, boxes)
    for frame in range(frames):
        time = 0.5 * frame
        sample = writer.add(
            "sample", token=token(name, frame), timestamp=_micro(time), scene_token=token(name), prev="", next=""
        )
        for late in range(sweeps if frame else 0, -1, -1):  # the scans since the last keyframe, and this one
            moment = time - 0.5 * late / (sweeps + 1)
            data = _write_data(writer, name, "LIDAR_TOP", moment, late == 0, sample, calibrations)
            cloud, labels = _scan(boxes, moment, points, rng)
            (writer.root / data["filename"]).write_bytes(cloud.tobytes())
            if late == 0 and lidarseg:
                label_file = f"lidarseg/{writer.version}/{data['token']}_lidarseg.bin"
                (writer.root / label_file).parent.mkdir(parents=True, exist_ok=True)
                (writer.root / label_file).write_bytes(labels.tobytes())
                writer.add("lidarseg", token=data["token"], sample_data_token=data["token"], filename=label_file)
        for channel in YAWS:
            data = _write_data(writer, name, channel, time + DELAYS[channel], True, sample, calibrations)
            picture = _photograph(boxes, time + DELAYS[channel], channel, rng)
            Image.fromarray(picture).save(writer.root / data["filename"], quality=95)
            _write_data(writer, name, channel, time + 0.1, False, sample, calibrations)  # no file: never needed
        _write_data(writer, name, "RADAR_FRONT", time + 0.02, True, sample, calibrations)
        for instance, (position, size) in instances.items():
            writer.add(
                "sample_annotation",
                token=token("annotation", name, frame, instance),
                sample_token=sample,
                instance_token=instance,
                translation=(world_rotation() @ position + WORLD_ORIGIN).tolist(),
                size=[size[1], size[0], size[2]],
                rotation=list(turn(WORLD_YAW)),
            )


def _write_instances(writer: _Writer, name: str, boxes: list) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Tokens of the cars, trucks and people, with their centres and sizes in the street's frame."""
    instances = {}
    for number, (low, high, kind, _) in enumerate(boxes):
        if kind in (street.CAR, street.MOVING_CAR, street.PERSON):
            category = token("category", CLASS[kind])
            mine = writer.add("instance", token=token("instance", name, number), category_token=category)
            instances[mine] = ((low + high) / 2, high - low)
    return instances


def _micro(time: float) -> int:
    return 1_532_402_927_000_000 + round(time * 1e6)


def _write_data(
    writer: _Writer, name: str, channel: str, time: float, key: bool, sample: str, calibrations: dict[str, str]
) -> dict[str, Any]:
    stamp, suffix = _micro(time), {"L": "pcd.bin", "R": "pcd", "C": "jpg"}[channel[0]]
    folder = f"{'samples' if key else 'sweeps'}/{channel}"
    (writer.root / folder).mkdir(parents=True, exist_ok=True)
    row = {
        "token": token("data", name, channel, stamp),
        "sample_token": sample,
        "ego_pose_token": token("data", name, channel, stamp),
        "calibrated_sensor_token": calibrations[channel],
        "timestamp": stamp,
        "fileformat": suffix[:3],
        "is_key_frame": key,
        "height": 0,
        "width": 0,
        "filename": f"{folder}/{name}__{channel}__{stamp}.{suffix}",
        "prev": "",
        "next": "",
    }
    writer.add("sample_data", **row)
    ground = np.array([SPEED * time, 0.0, street.GROUND])
    position = world_rotation() @ ground + WORLD_ORIGIN
    writer.add(
        "ego_pose",
        token=row["ego_pose_token"],
        timestamp=stamp,
        rotation=[3.0 * value for value in turn(WORLD_YAW)],  # quaternions need not have unit length
        translation=position.tolist(),
    )
    return row


def world_rotation() -> np.ndarray:
    angle = np.radians(WORLD_YAW)
    return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])


def _scan(boxes: list, time: float, points: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows x, y, z, intensity, ring in the LiDAR's frame, the vehicle's returns first, and lidarseg ids (uint8)."""
    elevation = np.radians(np.repeat(np.linspace(-24, 6, 24), -(-points // 24)))
    azimuth = rng.uniform(-np.pi, np.pi, size=len(elevation))
    flat = np.cos(elevation)
    rays = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], axis=1)
    origin = np.array([SPEED * time, 0.0, street.GROUND]) + LIDAR_MOUNT[0]
    distance, kind, _ = street._cast(origin, rays, boxes)
    seen = distance < 70
    hits = rays[seen] * (distance[seen] + rng.normal(0, 0.01, size=seen.sum()))[:, None]
    cloud = np.zeros((EGO_RETURNS + seen.sum(), 5), dtype="<f4")
    cloud[:EGO_RETURNS, :3] = rng.uniform(-0.9, 0.9, size=(EGO_RETURNS, 3))
    cloud[EGO_RETURNS:, :3] = np.stack([-hits[:, 1], hits[:, 0], hits[:, 2]], axis=1)  # x right, y forward
    reflectance = np.array([street.INTENSITY[k] for k in kind[seen]])
    cloud[EGO_RETURNS:, 3] = np.round(255 * np.clip(reflectance + rng.normal(0, 0.05, size=len(reflectance)), 0, 1))
    cloud[EGO_RETURNS:, 4] = np.repeat(np.arange(24), -(-points // 24))[seen]
    ids = {kind: list(LIDARSEG).index(name) for kind, name in CLASS.items()}
    labels = np.concatenate([np.full(EGO_RETURNS, 31), [ids[k] for k in kind[seen]]])
    return cloud, labels.astype(np.uint8)


def _photograph(boxes: list, time: float, channel: str, rng: np.random.Generator) -> np.ndarray:
    yaw = np.radians(YAWS[channel])
    forward, right = np.array([np.cos(yaw), np.sin(yaw), 0.0]), np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    v, u = np.mgrid[0:HEIGHT, 0:WIDTH]
    x, y = (u.ravel() - K[0, 2]) / K[0, 0], (v.ravel() - K[1, 2]) / K[1, 1]
    rays = forward + x[:, None] * right + y[:, None] * np.array([0.0, 0.0, -1.0])
    origin = np.array([SPEED * time, 0.0, street.GROUND]) + CAMERA_MOUNTS[channel][0]
    _, kind, _ = street._cast(origin, rays, boxes)
    colors = np.array([street.COLORS[k] for k in kind]) + rng.normal(0, 8, size=(len(kind), 3))
    return np.clip(colors, 0, 255).astype(np.uint8).reshape(HEIGHT, WIDTH, 3)
