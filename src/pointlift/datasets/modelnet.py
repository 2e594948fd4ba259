"""ModelNet40 and ModelNet10: object clouds from meshes (.off), the sampled text release or the HDF5 release.

Layouts: ``CLASS/{train,test}/*.off`` (modelnet.cs.princeton.edu); ``CLASS/CLASS_0001.txt`` with lists
``modelnet40_train.txt`` and ``modelnet40_test.txt`` (modelnet40_normal_resampled, from PointNet++);
``ply_data_{train,test}*.h5`` with ``train_files.txt``, ``test_files.txt`` and ``shape_names.txt``
(modelnet40_ply_hdf5_2048, from PointNet).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pointlift.data import objects
from pointlift.data.formats.mesh import read_off, sample_surface
from pointlift.data.listing import by_stem
from pointlift.data.objects import StoredObject, StoredObjects
from pointlift.data.options import at_least, one_of
from pointlift.data.scene import Scene
from pointlift.data.up import UpAxis
from pointlift.errors import DataError
from pointlift.options import DATA_ROOT
from pointlift.registry import DATASETS

MODELNET40 = (
    "airplane", "bathtub", "bed", "bench", "bookshelf", "bottle", "bowl", "car", "chair", "cone", "cup", "curtain",
    "desk", "door", "dresser", "flower_pot", "glass_box", "guitar", "keyboard", "lamp", "laptop", "mantel", "monitor",
    "night_stand", "person", "piano", "plant", "radio", "range_hood", "sink", "sofa", "stairs", "stool", "table",
    "tent", "toilet", "tv_stand", "vase", "wardrobe", "xbox",
)  # fmt: skip
"""Names of the classes, in the order of the labels of every release."""
MODELNET10 = ("bathtub", "bed", "chair", "desk", "dresser", "monitor", "night_stand", "sofa", "table", "toilet")
FOLDERS = ("", "ModelNet40", "ModelNet10", "modelnet40_normal_resampled", "modelnet40_ply_hdf5_2048")
"""Folders below the root in which a layout is looked for, as the archives unpack."""
SAMPLED = 8192  # points of a mesh, unless another number is asked for


RELEASES = {"modelnet40": MODELNET40, "modelnet10": MODELNET10}
"""Classes of both data sets. ModelNet10 has an archive of its own for meshes and lists of its own in the text release;
of the HDF5 release of ModelNet40, the objects of its classes are taken."""


@DATASETS.register(
    "modelnet40",
    "ModelNet40: 12,311 CAD models of 40 classes; official split into 9,843 for training and 2,468 for testing.",
    fixed={"release": "modelnet40"},
)
@DATASETS.register(
    "modelnet10",
    "ModelNet10: 4,899 CAD models of 10 of ModelNet40's classes; official split into 3,991 and 908.",
    fixed={"release": "modelnet10"},
)
class ModelNet(StoredObjects):
    """CAD models as object clouds.

    There is no official validation split: ``val`` is every tenth training object of each class (in the order of the
    names; of the file for HDF5), ``train`` the rest, and ``trainval`` the whole official training set. The HDF5
    release has 9,840 of ModelNet40's training objects.

    Points are as stored: meshes in their own units, the other releases in the unit sphere. The up axis is z for meshes
    and y for the others. Meshes are sampled evenly over their surface, by the object's id and ``seed``.

    Args:
        release: which of `RELEASES`.
        root: the folder of a release, or one that holds it.
        split: train, val, trainval or test.
        layout: off, txt or hdf5; auto takes the first of them that is there.
        points: per object; None is all that are stored (10,000 in text, 2,048 in HDF5), and 8,192 of a mesh.
        seed: of the choice of points.
        normals: give the normals as features nx, ny, nz.

    Raises:
        DataError: a folder or file is missing, damaged or inconsistent; the message names it.
    """

    labels = frozenset({"objects"})

    def __init__(
        self,
        *,
        release: str,
        root: Annotated[Path, DATA_ROOT],
        split: Literal["train", "val", "trainval", "test"] = "train",
        layout: Literal["auto", "off", "txt", "hdf5"] = "auto",
        points: Annotated[int, Field(ge=1, le=1_000_000)] | None = None,
        seed: Annotated[int, Field(ge=0)] = 0,
        normals: bool = False,
    ) -> None:
        self.name, self.object_names = release, RELEASES[release]
        one_of(self.name, "split", split, ("train", "val", "trainval", "test"))
        one_of(self.name, "layout", layout, ("auto", *_READERS))
        at_least(self.name, "points", points, 1)
        at_least(self.name, "seed", seed, 0)
        self.split, self.points, self.seed, self.normals = split, points, seed, normals
        self.feature_names = objects.NORMALS if normals else ()
        self.layout, self.root = _found(Path(root).expanduser(), layout, self.name)
        official = _READERS[self.layout](
            self.root, self.name, self.object_names, "test" if split == "test" else "train"
        )
        chosen = range(len(official))
        if split != "test":
            chosen = objects.part_of_split(split, [one.object_class for one in official])  # type: ignore[assignment]
        self._objects = [official[index] for index in chosen]
        if not self._objects:
            raise DataError(
                f"{self.root}: split '{split}' has no objects: validation is every {objects.HELD_OUT}th training "
                f"object of a class, and there are {len(official)} training objects"
            )

    def __getitem__(self, index: int) -> Scene:  # type: ignore[override]
        one = self._objects[index]
        if self.layout == "off":
            draws = objects.generator(one.id, self.seed)
            samples = sample_surface(read_off(one.path), self.points or SAMPLED, draws, str(one.path))
            return self._scene(one, samples.points, samples.normals, "z")
        if self.layout == "txt":
            table = objects.read_rows(one.path, 6, "x, y, z, nx, ny, nz")
            scene = self._scene(one, table[:, :3], table[:, 3:], "y")
        else:
            normals = objects.read_hdf5(one.path, "normal", one.row) if self.normals else None
            scene = self._scene(one, objects.read_hdf5(one.path, "data", one.row), normals, "y")
        return objects.thinned(scene, self.points, self.seed)

    def _scene(self, one: StoredObject, points: np.ndarray, normals: np.ndarray | None, up_axis: UpAxis) -> Scene:
        return objects.object_scene(
            points,
            normals if self.normals else None,
            id=one.id,
            path=one.path,
            object_class=one.object_class,
            up_axis=up_axis,
        )


def _found(root: Path, layout: str, dataset: str) -> tuple[str, Path]:
    """The layout and its folder, at the root or in a folder named as the archives are."""
    if not root.is_dir():
        raise DataError(f"{root}: the folder does not exist; root is the folder of a release of ModelNet")
    own = [name for name in FOLDERS if name.lower() not in RELEASES or name.lower() == dataset]
    for kind in _READERS if layout == "auto" else (layout,):
        for folder in (root / name for name in own):
            if folder.is_dir() and _SIGNS[kind](folder, dataset):
                return kind, folder
    wanted = {
        "off": "folders CLASS/train and CLASS/test of .off meshes",
        "txt": f"the lists {dataset}_train.txt and {dataset}_test.txt",
        "hdf5": "train_files.txt and ply_data_train*.h5",
    }
    needed = "; ".join(wanted.values()) if layout == "auto" else wanted[layout]
    raise DataError(f"{root}: no release of ModelNet is there; it would have {needed}")


def _is_off(folder: Path, dataset: str) -> bool:
    names = RELEASES[dataset]
    return any((folder / name / part).is_dir() for name in names for part in ("train", "test")) or any(
        next((folder / name).glob("*.off"), None) for name in names
    )


def _is_txt(folder: Path, dataset: str) -> bool:
    return any((folder / f"{dataset}_{part}.txt").is_file() for part in ("train", "test"))


def _is_hdf5(folder: Path, dataset: str) -> bool:
    return any((folder / f"{part}_files.txt").is_file() for part in ("train", "test")) or any(
        folder.glob("ply_data_*.h5")
    )


def _read_off_layout(root: Path, dataset: str, names: tuple[str, ...], part: str) -> list[StoredObject]:
    """Meshes of the classes that are on disk; any subset of classes and objects will do."""
    found = []
    for object_class, name in enumerate(names):
        folder = root / name
        if not folder.is_dir():
            continue
        if not (folder / part).is_dir():
            raise DataError(f"{folder}: the class has no folder '{part}'; the layout is CLASS/train and CLASS/test")
        files = by_stem(folder / part, (".off",))
        found += [StoredObject(stem, object_class, path) for stem, path in files.items()]
    if not found:
        raise DataError(f"{root}: no class has meshes (*.off) in its folder '{part}'")
    return found


def _read_txt_layout(root: Path, dataset: str, names: tuple[str, ...], part: str) -> list[StoredObject]:
    listing = root / f"{dataset}_{part}.txt"
    found = []
    for line in objects.read_lines(listing):
        name = line.rsplit("_", 1)[0]
        if name not in names:
            raise DataError(f"{listing}: '{line}' begins with no class of {dataset}; an entry is such as chair_0001")
        found.append(StoredObject(line, names.index(name), root / name / f"{line}.txt"))
    if not found:
        raise DataError(f"{listing}: the list is empty")
    missing = [one for one in found if not one.path.is_file()]
    if missing:
        raise DataError(
            f"{missing[0].path}: the file is missing; {listing.name} lists {len(found)} objects, of which "
            f"{len(missing)} are not on disk"
        )
    return sorted(found)


def _read_hdf5_layout(root: Path, dataset: str, names: tuple[str, ...], part: str) -> list[StoredObject]:
    if (root / "shape_names.txt").is_file():
        stored = tuple(objects.read_lines(root / "shape_names.txt"))
        if stored != MODELNET40:
            raise DataError(
                f"{root / 'shape_names.txt'}: the file must list the 40 classes of ModelNet40 in their order"
            )
    found = []
    for line in objects.read_lines(root / f"{part}_files.txt"):
        path = root / Path(line).name  # the lists hold the paths of where they were made
        objects.check_keys(path, {"data": (None, 3), "label": (1,)})
        classes = objects.read_classes(path, "label", len(MODELNET40))
        for row, stored_class in enumerate(classes):
            name = MODELNET40[stored_class]
            if name in names:
                found.append(StoredObject(f"{path.stem}/{row:04d}", names.index(name), path, row))
    if not found:
        raise DataError(f"{root / f'{part}_files.txt'}: the files that it lists have no object of {dataset}")
    return found


_READERS = {"off": _read_off_layout, "txt": _read_txt_layout, "hdf5": _read_hdf5_layout}
_SIGNS = {"off": _is_off, "txt": _is_txt, "hdf5": _is_hdf5}
