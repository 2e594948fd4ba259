"""SemanticKITTI: HDL-64 scans of the KITTI odometry sequences with colour images and a class for every point.

Layout (semantic-kitti.org): ``sequences/NN/{velodyne/*.bin, labels/*.label, image_2/*.png, calib.txt, poses.txt}``
under the root, or under ``dataset/`` as the archives unpack.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from pointlift.data.augmentation import in_sector
from pointlift.data.dataset import Dataset
from pointlift.data.scene import Scene, View
from pointlift.errors import DataError
from pointlift.files import read_bytes
from pointlift.options import DATA_ROOT
from pointlift.registry import DATASETS

SPLITS = {
    "train": ("00", "01", "02", "03", "04", "05", "06", "07", "09", "10"),
    "val": ("08",),
    "test": tuple(f"{number:02d}" for number in range(11, 22)),
}
# Name, colour (RGB) and raw ids of the 19 classes of the single-scan benchmark, in the order of its learning map;
# ids from 252 on are the moving ones. Source: config/semantic-kitti.yaml of PRBonn/semantic-kitti-api.
CLASSES = (
    ("car", (100, 150, 245), (10, 252)),
    ("bicycle", (100, 230, 245), (11,)),
    ("motorcycle", (30, 60, 150), (15,)),
    ("truck", (80, 30, 180), (18, 258)),
    ("other-vehicle", (0, 0, 255), (13, 16, 20, 256, 257, 259)),
    ("person", (255, 30, 30), (30, 254)),
    ("bicyclist", (255, 40, 200), (31, 253)),
    ("motorcyclist", (150, 30, 90), (32, 255)),
    ("road", (255, 0, 255), (40, 60)),
    ("parking", (255, 150, 255), (44,)),
    ("sidewalk", (75, 0, 75), (48,)),
    ("other-ground", (175, 0, 75), (49,)),
    ("building", (255, 200, 0), (50,)),
    ("fence", (255, 120, 50), (51,)),
    ("vegetation", (0, 175, 0), (70,)),
    ("trunk", (135, 60, 0), (71,)),
    ("terrain", (150, 240, 80), (72,)),
    ("pole", (255, 240, 150), (80,)),
    ("traffic-sign", (255, 0, 0), (81,)),
)
IGNORED_IDS = (0, 1, 52, 99)  # unlabelled, outlier, other structure, other object
_UNKNOWN = -2


class _Scan(NamedTuple):
    """One frame on disk: its number in the sequence's poses, and its files; None where one is absent."""

    sequence: Path
    frame: str
    labels: Path | None
    image: Path | None


@DATASETS.register("semantickitti")
class SemanticKITTI(Dataset):
    """SemanticKITTI in its official layout, any subset of its sequences and frames.

    Points are in the LiDAR frame (x forward, y left, z up; metres), already corrected for ego-motion to the time of
    the image. Scans without labels have ``labels=None`` and scans without an image have no views.

    Args:
        root: the folder that holds ``sequences`` (or ``dataset/sequences``); ``~`` is the home folder.
        split: train (00-07, 09, 10), val (08), test (11-21, no public labels), or all that is on disk.
        sequences: only these of the split's sequences; 0 is "00".
        frame_step: every n-th scan of the sorted list of the split; 100 is the usual 1 % protocol.
        sector: keep only points whose azimuth, in degrees from x towards y, lies between these two.
        ego_radius: drop (and count in ``Scene.dropped``) returns nearer than this to the sensor's vertical axis, in
            metres; 0 keeps all points, as the official protocol does.
        camera: image folder; image_2 is the left colour camera.

    Raises:
        DataError: a folder or file is missing, damaged or inconsistent; the message names it.
    """

    name = "semantickitti"
    class_names = tuple(name for name, _, _ in CLASSES)
    class_colors = tuple(color for _, color, _ in CLASSES)
    feature_names = ("intensity",)
    subset_options = ("sequences", "frame_step")

    def __init__(
        self,
        *,
        root: Annotated[Path, DATA_ROOT],
        split: Literal["train", "val", "test", "all"] = "train",
        sequences: list[str | int] | None = None,
        frame_step: Annotated[int, Field(ge=1)] = 1,
        sector: tuple[float, float] | None = None,
        ego_radius: Annotated[float, Field(ge=0)] = 0.0,
        camera: Literal["image_2", "image_3"] = "image_2",
    ) -> None:
        if frame_step < 1:
            raise DataError(f"semantickitti: frame_step must be at least 1, not {frame_step}")
        self.root, self.split, self.camera = Path(root).expanduser(), split, camera
        self.sector, self.ego_radius = sector, ego_radius
        folder = _sequences_folder(self.root)
        names = None if sequences is None else [str(name).zfill(2) for name in sequences]  # YAML reads 00 as 0
        scans = [scan for name in _chosen(folder, split, names) for scan in _scans(folder / name, camera)]
        self._scans = scans[::frame_step]
        self._calibrations: dict[Path, dict[str, np.ndarray]] = {}
        self._poses: dict[Path, np.ndarray] = {}

    @property
    def ids(self) -> list[str]:
        """The id of every scene, without reading any."""
        return [f"{scan.sequence.name}/{scan.frame}" for scan in self._scans]

    def __len__(self) -> int:
        return len(self._scans)

    def __getitem__(self, index: int) -> Scene:  # type: ignore[override]
        scan = self._scans[index]
        velodyne = scan.sequence / "velodyne" / f"{scan.frame}.bin"
        cloud = _read_points(velodyne)
        files = {"points": velodyne, "features": velodyne, "views": scan.sequence / "calib.txt"}
        scene = Scene(
            points=cloud[:, :3].copy(),
            features=cloud[:, 3:].copy(),
            id=f"{scan.sequence.name}/{scan.frame}",
            files=files,
        )
        if scan.labels is not None:
            files["labels"] = files["instances"] = scan.labels
            scene.labels, scene.instances = _read_labels(scan.labels, len(cloud))
        scene.views = self.views(index)
        return self._crop(scene.validate())

    def views(self, index: int) -> list[View]:
        """The views of scene ``index``, without reading its points; empty if it has no image."""
        scan = self._scans[index]
        return [] if scan.image is None else [self._view(scan)]

    def _view(self, scan: _Scan) -> View:
        """K is the left 3 x 3 of P; its fourth column, divided by K, shifts the rectified camera 0 to this one."""
        assert scan.image is not None
        calibration = self._calibration(scan.sequence)
        projection = calibration[f"P{self.camera[-1]}"]
        K = projection[:, :3]
        if abs(np.linalg.det(K)) < 1e-9:
            raise DataError(
                f"{scan.sequence / 'calib.txt'}: the intrinsics in P{self.camera[-1]} are singular: {K.tolist()}"
            )
        offset = np.eye(4)
        offset[:3, 3] = np.linalg.solve(K, projection[:, 3])
        return View(self.camera, np.ascontiguousarray(K), offset @ calibration["Tr"], scan.image)

    def _crop(self, scene: Scene) -> Scene:
        if self.ego_radius > 0:
            outside = np.hypot(scene.points[:, 0], scene.points[:, 1]) >= self.ego_radius
            scene = scene.select(outside)
            scene.dropped = int((~outside).sum())
        if self.sector is not None:
            scene = scene.select(in_sector(scene.points, self.sector))
        if len(scene) == 0:
            raise DataError(f"{scene.files['points']}: no point is left by sector and ego_radius")
        return scene

    def _calibration(self, sequence: Path) -> dict[str, np.ndarray]:
        if sequence not in self._calibrations:
            self._calibrations[sequence] = _read_calibration(sequence / "calib.txt", f"P{self.camera[-1]}")
        return self._calibrations[sequence]

    def pose(self, index: int) -> np.ndarray:
        """First scan from this scan (4, 4): takes points of scene ``index`` to the LiDAR frame of frame 0.

        poses.txt holds the poses P of camera 0; with Tr from LiDAR to camera 0, the pose is Tr⁻¹ · P · Tr.
        """
        scan = self._scans[index]
        path, frame = scan.sequence / "poses.txt", int(scan.frame)
        if path not in self._poses:
            self._poses[path] = _read_poses(path)
        poses = self._poses[path]
        if frame >= len(poses):
            raise DataError(f"{path}: frame {scan.frame} has no pose, the file has {len(poses)} rows")
        transform = self._calibration(scan.sequence)["Tr"]
        return np.linalg.inv(transform) @ poses[frame] @ transform


def _sequences_folder(root: Path) -> Path:
    for folder in (root / "sequences", root / "dataset" / "sequences"):
        if folder.is_dir():
            return folder
    if not root.is_dir():
        raise DataError(f"{root}: the folder does not exist; root is the folder that holds 'sequences'")
    raise DataError(f"{root}: the folder holds neither 'sequences' nor 'dataset/sequences'")


def _chosen(folder: Path, split: str, sequences: list[str] | None) -> list[str]:
    """Names of the sequences to read, sorted: those of the split that are on disk, or those asked for."""
    on_disk = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    if split != "all" and split not in SPLITS:
        raise DataError(f"semantickitti: split must be train, val, test or all, not '{split}'")
    allowed = on_disk if split == "all" else SPLITS[split]
    for name in sequences or []:
        if name not in on_disk:
            raise DataError(f"{folder}: there is no sequence '{name}' on disk; there are: {', '.join(on_disk)}")
        if name not in allowed:
            raise DataError(
                f"semantickitti: sequence '{name}' is not in split '{split}' ({', '.join(allowed)}); "
                "split 'all' has all that are on disk"
            )
    chosen = [name for name in on_disk if name in (sequences or allowed)]
    if not chosen:
        raise DataError(f"{folder}: none of the sequences of split '{split}' ({', '.join(allowed)}) is on disk")
    return chosen


def _scans(sequence: Path, camera: str) -> list[_Scan]:
    frames = _stems(sequence / "velodyne", ".bin")
    if not frames:
        raise DataError(f"{sequence / 'velodyne'}: the sequence has no scans (*.bin)")
    for frame in frames:
        if not frame.isdigit():
            raise DataError(f"{sequence / 'velodyne' / frame}.bin: a scan is named by its frame number, as 000000.bin")
    labels, images = _stems(sequence / "labels", ".label"), _stems(sequence / camera, ".png")
    return [
        _Scan(
            sequence,
            frame,
            sequence / "labels" / f"{frame}.label" if frame in labels else None,
            sequence / camera / f"{frame}.png" if frame in images else None,
        )
        for frame in sorted(frames)
    ]


def _stems(folder: Path, suffix: str) -> set[str]:
    """Names without suffix of a folder's files, in one listing; empty if there is no such folder."""
    if not folder.is_dir():
        return set()
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    return {name[: -len(suffix)] for name in names if name.endswith(suffix) and not name.startswith(".")}


def _read_points(path: Path) -> np.ndarray:
    data = read_bytes(path)
    if not data:
        raise DataError(f"{path}: the file is empty, there are no points")
    if len(data) % 16:
        raise DataError(
            f"{path}: the scan is truncated: {len(data)} bytes are not a multiple of 16 (x, y, z, intensity as float32)"
        )
    return np.frombuffer(data, dtype="<f4").astype(np.float32, copy=False).reshape(-1, 4)


def _read_labels(path: Path, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes 0..18 (-1 to ignore) and instances, both (N,) int64: the lower and the upper 16 bits."""
    data = read_bytes(path)
    if len(data) != 4 * points:
        raise DataError(f"{path}: there are {len(data) / 4:g} labels for {points} points")
    raw = np.frombuffer(data, dtype="<u4")
    labels = _learning_map()[raw & 0xFFFF]
    if (labels == _UNKNOWN).any():
        first = int(np.flatnonzero(labels == _UNKNOWN)[0])
        raise DataError(f"{path}: label {raw[first] & 0xFFFF} of point {first} is not an id of SemanticKITTI")
    return labels, (raw >> 16).astype(np.int64)


@cache
def _learning_map() -> np.ndarray:
    table = np.full(1 << 16, _UNKNOWN, dtype=np.int64)
    table[list(IGNORED_IDS)] = -1
    for index, (_, _, ids) in enumerate(CLASSES):
        table[list(ids)] = index
    return table


def _read_calibration(path: Path, projection: str) -> dict[str, np.ndarray]:
    """The (3, 4) matrix of the camera, and Tr as (4, 4) from the LiDAR to camera 0."""
    rows = dict(line.split(":", 1) for line in read_bytes(path).decode("latin-1").splitlines() if ":" in line)
    matrices = {}
    for key in (projection, "Tr"):
        if key not in rows:
            raise DataError(f"{path}: the key '{key}' is missing; keys are: {', '.join(rows)}")
        matrices[key] = _matrix(rows[key], f"{path}: '{key}'")
    return {projection: matrices[projection], "Tr": np.vstack([matrices["Tr"], (0.0, 0.0, 0.0, 1.0)])}


def _read_poses(path: Path) -> np.ndarray:
    """Poses (frames, 4, 4) of camera 0, from its frame at the time to its frame at the start."""
    lines = read_bytes(path).decode("latin-1").splitlines()
    rows = [_matrix(line, f"{path}: row {number}") for number, line in enumerate(lines) if line.strip()]
    bottom = np.broadcast_to([0.0, 0.0, 0.0, 1.0], (len(rows), 1, 4))
    return np.concatenate([np.reshape(rows, (-1, 3, 4)), bottom], axis=1)


def _matrix(text: str, where: str) -> np.ndarray:
    try:
        values = np.array(text.split(), dtype=np.float64)
    except ValueError as error:
        raise DataError(f"{where} is not a row of numbers: {text.strip()[:60]}") from error
    if values.shape != (12,) or not np.isfinite(values).all():
        raise DataError(f"{where} must have 12 finite numbers (3 x 4), not {values.size}: {text.strip()[:60]}")
    return values.reshape(3, 4)
