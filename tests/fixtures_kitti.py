"""A tiny synthetic street in the official SemanticKITTI layout, ray-cast so that scans, images and labels agree."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 64, 200
K = np.array([[100.0, 0, 99.5], [0, 100.0, 26.0], [0, 0, 1]])
TR = np.array([[0.0, -1, 0, 0], [0, 0, -1, -0.08], [1, 0, 0, -0.27], [0, 0, 0, 1]])  # LiDAR to camera 0
BASELINE = 0.06  # metres from camera 0 to camera 2
GROUND = -1.73
SKY, ROAD, SIDEWALK, TERRAIN, CAR, MOVING_CAR, BUILDING, VEGETATION, POLE, PERSON = (
    0,
    40,
    48,
    72,
    10,
    252,
    50,
    70,
    80,
    30,
)
COLORS = {
    SKY: (150, 190, 240), ROAD: (90, 90, 95), SIDEWALK: (170, 150, 150), TERRAIN: (150, 190, 90), CAR: (190, 30, 40),
    MOVING_CAR: (40, 50, 180), BUILDING: (190, 160, 110), VEGETATION: (30, 110, 35), POLE: (230, 220, 120),
    PERSON: (240, 120, 200),
}  # fmt: skip
INTENSITY = {
    ROAD: 0.25, SIDEWALK: 0.35, TERRAIN: 0.45, CAR: 0.8, MOVING_CAR: 0.8, BUILDING: 0.55, VEGETATION: 0.15, POLE: 0.9,
    PERSON: 0.65,
}  # fmt: skip


def write_semantickitti(
    root: Path,
    sequences: Mapping[str, int] | None = None,
    seed: int = 0,
    points: int = 2000,
    labels: bool = True,
    images: bool = True,
) -> Path:
    """Write ``{sequence: number of frames}`` under ``root/sequences`` and return root; about ``points`` per scan.

    Deterministic in (seed, sequence, frame). Every sequence is another street along which the car drives 1 m a frame.
    """
    for name, frames in (sequences or {"00": 3, "01": 2, "08": 2}).items():
        folder = root / "sequences" / name
        for part in ("velodyne", "labels" if labels else "", "image_2" if images else ""):
            (folder / part).mkdir(parents=True, exist_ok=True)
        boxes = _street(np.random.default_rng([seed, int(name)]))
        for frame in range(frames):
            rng = np.random.default_rng([seed, int(name), frame])
            _write_scan(folder, f"{frame:06d}", boxes, float(frame), points, rng, labels)
            if images:
                picture = _photograph(boxes, float(frame), rng)
                Image.fromarray(picture).save(folder / "image_2" / f"{frame:06d}.png")
        _write_texts(folder, frames)
    return root


def _street(rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray, int, int]]:
    """Boxes (low corner, high corner, raw class, instance) standing on the ground; x along the street."""
    kinds = (
        (CAR, 6, (4.2, 1.8, 1.5), (2.6, 3.4)),
        (MOVING_CAR, 2, (4.2, 1.8, 1.5), (0.0, 1.0)),
        (PERSON, 4, (0.6, 0.6, 1.75), (4.8, 6.0)),
        (POLE, 5, (0.3, 0.3, 5.0), (6.2, 6.6)),
        (VEGETATION, 8, (2.4, 2.4, 4.5), (8.5, 11.0)),
        (BUILDING, 8, (9.0, 6.0, 8.0), (14.0, 17.0)),
    )
    boxes = []
    for kind, count, size, side in kinds:
        for number in range(count):
            x = rng.uniform(-30, 45) if kind != MOVING_CAR else rng.choice([-15.0, 12.0]) + rng.uniform(-3, 3)
            center = np.array([x, rng.choice([-1, 1]) * rng.uniform(*side), GROUND + size[2] / 2])
            extent = np.array(size) * rng.uniform(0.85, 1.15, size=3)
            center[2] = GROUND + extent[2] / 2
            boxes.append((center - extent / 2, center + extent / 2, kind, 1 + number))
    return boxes


def _cast(origin: np.ndarray, rays: np.ndarray, boxes: list) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance (R,) along the rays (R, 3) to what they hit (inf: sky), its raw class and its instance."""
    with np.errstate(divide="ignore", invalid="ignore"):
        nearest = np.where(rays[:, 2] < 0, (GROUND - origin[2]) / rays[:, 2], np.inf)
        side = np.abs(origin[1] + np.where(np.isfinite(nearest), nearest, 0) * rays[:, 1])
        kind = np.select([~np.isfinite(nearest), side < 4, side < 7], [SKY, ROAD, SIDEWALK], TERRAIN)
        instance = np.zeros(len(rays), dtype=np.int64)
        for low, high, box_kind, number in boxes:
            one, two = (low - origin) / rays, (high - origin) / rays
            enter, leave = np.minimum(one, two).max(axis=1), np.maximum(one, two).min(axis=1)
            hit = (enter < leave) & (enter > 0) & (enter < nearest)
            nearest = np.where(hit, enter, nearest)
            kind, instance = np.where(hit, box_kind, kind), np.where(hit, number, instance)
    return nearest, kind, instance


def _write_scan(
    folder: Path, frame: str, boxes: list, x: float, points: int, rng: np.random.Generator, labels: bool
) -> None:
    rings = 24
    elevation = np.radians(np.repeat(np.linspace(-22, 4, rings), -(-points // rings)))
    azimuth = rng.uniform(-np.pi, np.pi, size=len(elevation))
    flat = np.cos(elevation)
    rays = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], axis=1)
    distance, kind, instance = _cast(np.array([x, 0.0, 0.0]), rays, boxes)
    seen = distance < 70
    cloud = np.zeros((seen.sum(), 4), dtype="<f4")
    cloud[:, :3] = rays[seen] * (distance[seen] + rng.normal(0, 0.01, size=seen.sum()))[:, None]
    reflectance = np.array([INTENSITY[k] for k in kind[seen]])
    cloud[:, 3] = np.clip(reflectance + rng.normal(0, 0.05, size=len(reflectance)), 0, 1)
    (folder / "velodyne" / f"{frame}.bin").write_bytes(cloud.tobytes())
    if labels:
        raw = (kind[seen] | (instance[seen] << 16)).astype("<u4")
        raw[rng.random(len(raw)) < 0.02] = 0  # unlabelled
        (folder / "labels" / f"{frame}.label").write_bytes(raw.tobytes())


def _photograph(boxes: list, x: float, rng: np.random.Generator) -> np.ndarray:
    camera_from_lidar = TR.copy()
    camera_from_lidar[0, 3] += BASELINE
    v, u = np.mgrid[0:HEIGHT, 0:WIDTH]
    camera_rays = np.stack([u, v, np.ones_like(u)], axis=-1).reshape(-1, 3) @ np.linalg.inv(K).T
    rays = camera_rays @ camera_from_lidar[:3, :3]
    origin = -camera_from_lidar[:3, :3].T @ camera_from_lidar[:3, 3] + np.array([x, 0.0, 0.0])
    _, kind, _ = _cast(origin, rays, boxes)
    colors = np.array([COLORS[k] for k in kind]) + rng.normal(0, 8, size=(len(kind), 3))
    return np.clip(colors, 0, 255).astype(np.uint8).reshape(HEIGHT, WIDTH, 3)


def _write_texts(folder: Path, frames: int) -> None:
    rows = []
    for camera in range(4):
        projection = np.hstack([K, K @ [[BASELINE if camera == 2 else 0.0], [0], [0]]])
        rows.append(f"P{camera}: " + " ".join(f"{value:.12e}" for value in projection.ravel()))
    rows.append("Tr: " + " ".join(f"{value:.12e}" for value in TR[:3].ravel()))
    (folder / "calib.txt").write_text("\n".join(rows) + "\n")
    poses = [np.hstack([np.eye(3), [[0.0], [0.0], [float(frame)]]]) for frame in range(frames)]
    (folder / "poses.txt").write_text("".join(" ".join(f"{v:.6g}" for v in pose.ravel()) + "\n" for pose in poses))
    (folder / "times.txt").write_text("".join(f"{0.1 * frame:e}\n" for frame in range(frames)))
