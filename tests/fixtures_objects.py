"""Tiny releases of the data sets of object clouds, in their official layouts."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np

from pointlift.datasets.modelnet import MODELNET40
from pointlift.datasets.shapenetpart import CATEGORIES, ShapeNetPart

WEDGE = "4 4 0\n0 0 0\n1 0 0\n0 2 0\n0 0 3\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"
SYNSETS = {name: synset for name, synset, _ in CATEGORIES}
PARTS_OF = ShapeNetPart.parts_of


def write_modelnet_off(root: Path, train: int = 12, test: int = 2, classes: tuple[str, ...] = ("bed", "chair")) -> Path:
    for name in classes:
        for number in range(train + test):
            part = "train" if number < train else "test"
            path = root / name / part / f"{name}_{number + 1:04d}.off"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(("OFF" if number % 2 else "OFF\n") + WEDGE)
    return root


def write_modelnet_txt(
    root: Path,
    names: tuple[str, ...] = ("airplane_0001", "night_stand_0002", "chair_0011"),
    ten: tuple[str, ...] = ("night_stand_0002",),
) -> Path:
    """The last object is for testing; ``ten`` of those of training are ModelNet10's."""
    rng = np.random.default_rng(0)
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        folder = root / name.rsplit("_", 1)[0]
        folder.mkdir(exist_ok=True)
        rows = [",".join(f"{value:.6f}" for value in row) for row in rng.uniform(-1, 1, (20, 6))]
        (folder / f"{name}.txt").write_text("\n".join(rows) + "\n")
    (root / "modelnet40_train.txt").write_text("\n".join(names[:-1]) + "\n")
    (root / "modelnet40_test.txt").write_text(names[-1] + "\n")
    (root / "modelnet10_train.txt").write_text("\n".join(ten) + "\n")
    return root


def write_modelnet_hdf5(root: Path, keys: tuple[str, ...] = ("data", "label", "normal"), label: int = 39) -> Path:
    rng = np.random.default_rng(1)
    root.mkdir(parents=True, exist_ok=True)
    (root / "shape_names.txt").write_text("\n".join(MODELNET40) + "\n")
    for part, counts in (("train", (11, 3)), ("test", (2,))):
        names = [f"ply_data_{part}{index}.h5" for index in range(len(counts))]
        (root / f"{part}_files.txt").write_text("".join(f"data/modelnet40_ply_hdf5_2048/{name}\n" for name in names))
        for name, count in zip(names, counts, strict=True):
            content = {
                "data": rng.uniform(-1, 1, (count, 32, 3)).astype(np.float32),
                "label": np.full((count, 1), 8 if part == "train" else label, np.uint8),
                "normal": rng.uniform(-1, 1, (count, 32, 3)).astype(np.float32),
            }
            with h5py.File(root / name, "w") as file:
                for key in keys:
                    file[key] = content[key]
    return root


def write_shapenetpart_txt(root: Path) -> Path:
    rng = np.random.default_rng(0)
    (root / "train_test_split").mkdir(parents=True)
    (root / "synsetoffset2category.txt").write_text("".join(f"{n.capitalize()}\t{s}\n" for n, s in SYNSETS.items()))
    split = {"train": (("chair", "a1"), ("mug", "b2")), "val": (("chair", "c3"),), "test": (("table", "d4"),)}
    for part, entries in split.items():
        listed = [f"shape_data/{SYNSETS[name]}/{stem}" for name, stem in entries]
        (root / "train_test_split" / f"shuffled_{part}_file_list.json").write_text(json.dumps(listed))
        for name, stem in entries:
            parts = PARTS_OF[name]
            table = np.column_stack([rng.uniform(-1, 1, (30, 6)), rng.choice(parts, 30)])
            (root / SYNSETS[name]).mkdir(exist_ok=True)
            np.savetxt(root / SYNSETS[name] / f"{stem}.txt", table, fmt="%.6f")
    return root


def write_shapenetpart_hdf5(root: Path, keys: tuple[str, ...] = ("data", "label", "pid")) -> Path:
    rng = np.random.default_rng(1)
    root.mkdir(parents=True)
    numbers, first = {}, 0
    for _, synset, parts in CATEGORIES:
        numbers |= {f"{synset}_{k + 1}": first + k for k in range(len(parts))}
        first += len(parts)
    (root / "catid_partid_to_overallid.json").write_text(json.dumps(numbers))
    for part, count in (("train", 3), ("val", 2), ("test", 1)):
        (root / f"{part}_hdf5_file_list.txt").write_text(f"ply_data_{part}0.h5\n")
        content = {
            "data": rng.uniform(-1, 1, (count, 16, 3)).astype(np.float32),
            "label": np.full((count, 1), 4, np.uint8),
            "pid": rng.integers(12, 16, (count, 16)).astype(np.uint8),
        }
        with h5py.File(root / f"ply_data_{part}0.h5", "w") as file:
            for key in keys:
                file[key] = content[key]
    return root


def write_scanobjectnn_file(path: Path, count: int, keys: tuple[str, ...] = ("data", "label", "mask")) -> None:
    rng = np.random.default_rng(count)
    content = {
        "data": rng.uniform(-1, 1, (count, 24, 3)).astype(np.float32),
        "label": (np.arange(count) % 2 * 4).astype(np.int32),
        "mask": np.where(rng.random((count, 24)) < 0.3, -1, 5).astype(np.int32),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key in keys:
            file[key] = content[key]


def write_scanobjectnn(root: Path) -> Path:
    for name, count in (("training", 22), ("test", 4)):
        folder = root / "h5_files"
        write_scanobjectnn_file(folder / "main_split" / f"{name}_objectdataset.h5", count)
        write_scanobjectnn_file(folder / "main_split" / f"{name}_objectdataset_augmentedrot_scale75.h5", 5 * count)
        write_scanobjectnn_file(folder / "main_split_nobg" / f"{name}_objectdataset.h5", count, ("data", "label"))
    return root
