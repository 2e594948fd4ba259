"""SemanticKITTI: HDL-64 scans of the KITTI odometry sequences with colour images and a class for every point.

Layout (semantic-kitti.org): ``sequences/NN/{velodyne/*.bin, labels/*.label, image_2/*.png, calib.txt, poses.txt}``
under the root, or under ``dataset/`` as the archives unpack. Images may be of any ordinary kind, and suffixes in upper
case.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from pointlift.data.augmentation import in_sector
from pointlift.data.dataset import Dataset, LabelKind
from pointlift.data.listing import IMAGES, by_stem
from pointlift.data.scene import Scene, View
from pointlift.datasets.semantickitti.classes import CLASSES
from pointlift.datasets.semantickitti.files import read_calibration, read_labels, read_points, read_poses
from pointlift.errors import DataError
from pointlift.options import DATA_ROOT
from pointlift.registry import DATASETS

SPLITS = {
    "train": ("00", "01", "02", "03", "04", "05", "06", "07", "09", "10"),
    "val": ("08",),
    "test": tuple(f"{number:02d}" for number in range(11, 22)),
}


class _Scan(NamedTuple):
    """One frame on disk: its number in the sequence's poses, and its files; None where one is absent."""

    sequence: Path
    frame: str
    points: Path
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
        intensity_scale: the intensity that stands for 1; 255 if the scans store 8 bits.

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
        intensity_scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0,
    ) -> None:
        if frame_step < 1:
            raise DataError(f"semantickitti: frame_step must be at least 1, not {frame_step}")
        self.root, self.split, self.camera = Path(root).expanduser(), split, camera
        self.sector, self.ego_radius, self.intensity_scale = sector, ego_radius, intensity_scale
        folder = _sequences_folder(self.root)
        names = None if sequences is None else [str(name).zfill(2) for name in sequences]  # YAML reads 00 as 0
        scans = [scan for name in _chosen(folder, split, names) for scan in _scans(folder / name, camera)]
        self._scans = scans[::frame_step]
        self.labels: frozenset[LabelKind] = frozenset({"points"} if any(scan.labels for scan in self._scans) else ())
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
        cloud = read_points(scan.points)
        files = {"points": scan.points, "features": scan.points, "views": scan.sequence / "calib.txt"}
        scene = Scene(
            points=cloud[:, :3].copy(),
            features=cloud[:, 3:] / np.float32(self.intensity_scale),
            id=f"{scan.sequence.name}/{scan.frame}",
            files=files,
        )
        if scan.labels is not None:
            files["labels"] = files["instances"] = scan.labels
            scene.labels, scene.instances = read_labels(scan.labels, len(cloud))
        scene.views = self.views(index)
        return self._crop(scene.validate())

    def views(self, index: int) -> list[View]:
        """The views of scene ``index``, without reading its points; empty if it has no image."""
        scan = self._scans[index]
        return [] if scan.image is None else [self._view(scan)]

    def image_paths(self, index: int) -> list[Path]:
        """The image file of scene ``index``, if it has one, without its camera."""
        image = self._scans[index].image
        return [] if image is None else [image]

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
            self._calibrations[sequence] = read_calibration(sequence / "calib.txt", f"P{self.camera[-1]}")
        return self._calibrations[sequence]

    def pose(self, index: int) -> np.ndarray:
        """First scan from this scan (4, 4): takes points of scene ``index`` to the LiDAR frame of frame 0.

        poses.txt holds the poses P of camera 0; with Tr from LiDAR to camera 0, the pose is Tr⁻¹ · P · Tr.
        """
        scan = self._scans[index]
        path, frame = scan.sequence / "poses.txt", int(scan.frame)
        if path not in self._poses:
            self._poses[path] = read_poses(path)
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
                "split 'all' has all that are on disk, under any name"
            )
    chosen = [name for name in on_disk if name in (sequences or allowed)]
    if not chosen:
        raise DataError(
            f"{folder}: none of the sequences of split '{split}' ({', '.join(allowed)}) is on disk, but: "
            f"{', '.join(on_disk) or 'none'}; the splits are SemanticKITTI's own (train 00-07, 09 and 10; val 08; test "
            "11-21); for a log of your own: split=all, and hold_out=0.2 keeps scans from pretraining to measure on"
        )
    return chosen


def _scans(sequence: Path, camera: str) -> list[_Scan]:
    points = by_stem(sequence / "velodyne", (".bin",))
    if not points:
        raise DataError(f"{sequence / 'velodyne'}: the sequence has no scans (*.bin)")
    for frame, path in points.items():
        if not (frame.isascii() and frame.isdigit()):
            raise DataError(f"{path}: a scan is named by its frame number, as 000000.bin")
    labels, images = by_stem(sequence / "labels", (".label",)), by_stem(sequence / camera, IMAGES)
    if not images and (other := _any_file(sequence / camera)) is not None:
        raise DataError(f"{other}: this is no image of a kind that is read, which end in {', '.join(IMAGES)}")
    if images and images.keys().isdisjoint(points):
        raise DataError(
            f"{sequence / camera}: none of the {len(images)} images is named as a scan is; {next(iter(points))}.bin "
            f"belongs to {next(iter(points))}.png, and there is {next(iter(images.values())).name}"
        )
    return [_Scan(sequence, frame, path, labels.get(frame), images.get(frame)) for frame, path in points.items()]


def _any_file(folder: Path) -> Path | None:
    """A file of a folder that is not hidden, if there is any."""
    files = (path for path in sorted(folder.glob("*")) if path.is_file() and not path.name.startswith("."))
    return next(files, None)
