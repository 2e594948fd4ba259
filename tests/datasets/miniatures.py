"""A miniature of every registered data set: what it needs on disk, made by a function of a folder, and its options.

A new data set adds one function here; the contract test fails for a name that has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests import fixtures_kitti, fixtures_nuscenes, fixtures_objects, fixtures_scannet

Options = dict[str, Any]
STREET: Options = {"sequences": 1, "frames": 2, "cameras": ("front", "rear"), "image_size": (32, 48), "workers": 0}


def semantickitti(folder: Path) -> list[Options]:
    """With labels, and the test split, which has none."""
    root = fixtures_kitti.write_semantickitti(folder / "kitti", {"00": 2, "01": 1}, points=600)
    fixtures_kitti.write_semantickitti(root, {"11": 2}, points=600, labels=False)
    return [{"root": root}, {"root": root, "split": "test", "sector": [-90.0, 90.0]}]


def nuscenes(folder: Path) -> list[Options]:
    """With labels and boxes, several scans as one, and without nuScenes-lidarseg."""
    scenes = {"scene-0061": 2, "scene-0103": 1}
    root = fixtures_nuscenes.write_nuscenes(folder / "nuscenes", scenes, points=600)
    plain = fixtures_nuscenes.write_nuscenes(folder / "plain", scenes, points=600, lidarseg=False)
    return [
        {"root": root, "boxes": True, "cameras": ("CAM_FRONT", "CAM_BACK")},
        {"root": root, "sweeps": 2, "cameras": ()},
        {"root": plain, "split": "val"},
    ]


def scannet(folder: Path) -> list[Options]:
    """Frames from either source, annotated scenes in two ways, and a list of scans of one's own."""
    root = folder / "scannet"
    for name, stream in (("scene0000_00", False), ("scene0011_00", True)):
        fixtures_scannet.write_scan(root, name, frames=11, export=not stream, sens=stream)
    (folder / "mine.txt").write_text("scene0000_00\n")
    frames = {"root": root, "frame_step": 5}
    scenes = {"root": root, "kind": "scenes"}
    return [
        frames,
        {**frames, "split": "val"},
        {**frames, "scene_list": folder / "mine.txt"},
        {**scenes, "boxes": True, "normals": True, "frame_step": 5, "views": 1},
        {**scenes, "classes": "scannet200", "split": "val"},
    ]


def rgbd(folder: Path) -> list[Options]:
    """With poses, and with labels."""
    office = fixtures_scannet.write_sequence(folder / "office", 4)
    mosd = fixtures_scannet.write_mosd(folder / "mosd", 3)
    return [
        {"root": office, "split": "all", "intrinsics": office / "camera-intrinsics.txt"},
        {"root": mosd, "split": "all", "depth_scale": 5000},
    ]


def street(folder: Path) -> list[Options]:
    """Two moments of a town."""
    return [{"root": folder / "street", **STREET}]


def rooms(folder: Path) -> list[Options]:
    """Frames, and a whole room."""
    small = {"root": folder / "rooms", "rooms": 1, "frames": 2, "image_size": (48, 64), "points": 500, "workers": 0}
    return [small, {**small, "kind": "scenes"}]


def shapes(folder: Path) -> list[Options]:
    """Whole objects, and frames of them."""
    small = {"root": folder / "shapes", "objects": 1, "categories": ("mug", "chair"), "workers": 0}
    seen = {"views": 2, "image_size": (48, 64)}
    return [{**small, **seen, "points": 300, "normals": True, "yaw": "random"}, {**small, **seen, "kind": "frames"}]


def modelnet(folder: Path) -> list[Options]:
    """Every release."""
    text = ("bed_0001", "bed_0002", "chair_0011")
    roots = [
        fixtures_objects.write_modelnet_off(folder / "off", train=2, test=1, classes=("bed", "chair")),
        fixtures_objects.write_modelnet_txt(folder / "txt", text, ten=text[:1]),
        fixtures_objects.write_modelnet_hdf5(folder / "hdf5", label=8),
    ]
    (folder / "txt" / "modelnet10_test.txt").write_text(f"{text[2]}\n")
    return [
        {"root": root, "split": split, "normals": split == "train"} for root in roots for split in ("train", "test")
    ]


def scanobjectnn(folder: Path) -> list[Options]:
    """With background, and objects alone."""
    root = fixtures_objects.write_scanobjectnn(folder / "scanobjectnn")
    return [{"root": root, "split": "val"}, {"root": root, "split": "test", "background": False, "points": 9}]


def shapenetpart(folder: Path) -> list[Options]:
    """Both releases."""
    text = fixtures_objects.write_shapenetpart_txt(folder / "text")
    hdf5 = fixtures_objects.write_shapenetpart_hdf5(folder / "hdf5")
    return [{"root": text, "split": "trainval", "normals": True}, {"root": hdf5, "points": 9}]


def mixture(folder: Path) -> list[Options]:
    """Of different classes, of the same ones, and one part of it alone."""
    kitti = {"name": "semantickitti", **semantickitti(folder)[0], "weight": 2.0}
    town = {"name": "street", **street(folder)[0]}
    return [
        {"parts": [kitti, town]},
        {"parts": [town, {**town, "seed": 1, "weight": 0.5}]},
        {"parts": [kitti, town], "part": "street", "features": []},
    ]


MINIATURES: Mapping[str, Callable[[Path], list[Options]]] = {
    "mixture": mixture,
    "modelnet10": modelnet,
    "modelnet40": modelnet,
    "nuscenes": nuscenes,
    "rgbd": rgbd,
    "rooms": rooms,
    "scannet": scannet,
    "scanobjectnn": scanobjectnn,
    "semantickitti": semantickitti,
    "shapenetpart": shapenetpart,
    "shapes": shapes,
    "street": street,
}
"""By the name of the data set: a function that writes into a folder and gives options, one set for each case."""
