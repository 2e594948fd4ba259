"""ShapeNetPart: object clouds with a part for every point, from the text release or the HDF5 release.

Layouts: ``synsetoffset2category.txt``, ``train_test_split/shuffled_{train,val,test}_file_list.json`` and
``SYNSET/ID.txt`` (shapenetcore_partanno_segmentation_benchmark_v0_normal); ``ply_data_{train,val,test}*.h5`` with
``{train,val,test}_hdf5_file_list.txt`` and ``catid_partid_to_overallid.json`` (hdf5_data, from PointNet).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pointlift.data import objects
from pointlift.data.objects import StoredObject, StoredObjects
from pointlift.data.options import at_least, one_of
from pointlift.data.scene import Scene
from pointlift.documents import json_of, shaped
from pointlift.errors import DataError
from pointlift.files import read_bytes
from pointlift.options import DATA_ROOT
from pointlift.registry import DATASETS

# Category, its synset of WordNet, and its parts, in the order of the labels of both releases. The releases number the
# parts and do not name them: these are the names in use.
CATEGORIES = (
    ("airplane", "02691156", ("body", "wing", "tail", "engine")),
    ("bag", "02773838", ("handle", "body")),
    ("cap", "02954340", ("crown", "visor")),
    ("car", "02958343", ("roof", "hood", "wheel", "body")),
    ("chair", "03001627", ("back", "seat", "leg", "arm")),
    ("earphone", "03261776", ("earcup", "headband", "wire")),
    ("guitar", "03467517", ("head", "neck", "body")),
    ("knife", "03624134", ("blade", "handle")),
    ("lamp", "03636649", ("base", "shade", "bracket", "stem")),
    ("laptop", "03642806", ("keyboard", "screen")),
    ("motorbike", "03790512", ("tank", "seat", "wheel", "handlebar", "light", "frame")),
    ("mug", "03797390", ("handle", "body")),
    ("pistol", "03948459", ("barrel", "handle", "trigger")),
    ("rocket", "04099429", ("body", "fin", "nose")),
    ("skateboard", "04225987", ("wheel", "deck", "belt")),
    ("table", "04379243", ("top", "leg", "drawer")),
)
PARTS = tuple((category, part) for category, _, parts in CATEGORIES for part in parts)
FOLDERS = ("", "shapenetcore_partanno_segmentation_benchmark_v0_normal", "hdf5_data", "shapenet_part_seg_hdf5_data")
"""Folders below the root in which a layout is looked for, as the archives unpack."""
_SYNSETS = {synset: index for index, (_, synset, _) in enumerate(CATEGORIES)}


@DATASETS.register("shapenetpart")
class ShapeNetPart(StoredObjects):
    """ShapeNetPart: 16,881 models of 16 categories with 50 parts; official split 12,137 / 1,870 / 2,874.

    ``trainval`` is the union of train and val, on which most published results are trained. Points are as stored; the
    up axis is y.

    Args:
        root: the folder of a release, or one that holds it.
        split: train, val, trainval or test.
        layout: txt or hdf5; auto takes the first of them that is there.
        categories: only these; None is all 16. Classes and parts keep their numbers.
        points: per object; None is all that are stored (up to about 3,000 in text, 2,048 in HDF5). With a number, the
            text release's smaller clouds repeat points.
        seed: of the choice of points.
        normals: give the normals as features nx, ny, nz (text release only).

    Raises:
        DataError: a folder or file is missing, damaged or inconsistent; the message names it.
    """

    name = "shapenetpart"
    class_names = tuple(f"{category} {part}" for category, part in PARTS)
    object_names = tuple(category for category, _, _ in CATEGORIES)
    labels = frozenset({"points", "parts", "objects"})
    parts_of = {  # noqa: RUF012
        name: tuple(label for label, (category, _) in enumerate(PARTS) if category == name) for name, _, _ in CATEGORIES
    }

    def __init__(
        self,
        *,
        root: Annotated[Path, DATA_ROOT],
        split: Literal["train", "val", "trainval", "test"] = "train",
        layout: Literal["auto", "txt", "hdf5"] = "auto",
        categories: tuple[str, ...] | None = None,
        points: Annotated[int, Field(ge=1, le=1_000_000)] | None = None,
        seed: Annotated[int, Field(ge=0)] = 0,
        normals: bool = False,
    ) -> None:
        one_of(self.name, "split", split, ("train", "val", "trainval", "test"))
        one_of(self.name, "layout", layout, ("auto", *_READERS))
        at_least(self.name, "points", points, 1)
        at_least(self.name, "seed", seed, 0)
        for category in categories or ():
            one_of(self.name, "categories", category, self.object_names)
        self.split, self.points, self.seed, self.normals = split, points, seed, normals
        self.layout, self.root = _found(Path(root).expanduser(), layout)
        if normals and self.layout == "hdf5":
            raise DataError(f"{self.root}: the HDF5 release has no normals; normals=true needs the text release")
        self.feature_names = objects.NORMALS if normals else ()
        parts = ("train", "val") if split == "trainval" else (split,)
        found = [one for part in parts for one in _READERS[self.layout](self.root, part)]
        wanted = self.object_names if categories is None else categories
        self._objects = [one for one in found if self.object_names[one.object_class] in wanted]
        if not self._objects:
            raise DataError(f"{self.root}: split '{split}' has no objects of the categories {', '.join(wanted)}")

    def __getitem__(self, index: int) -> Scene:  # type: ignore[override]
        one = self._objects[index]
        normals = None
        if self.layout == "txt":
            table = objects.read_rows(one.path, 7, "x, y, z, nx, ny, nz, part")
            points, labels = table[:, :3], table[:, 6]
            normals = table[:, 3:6] if self.normals else None
        else:
            points, labels = (objects.read_hdf5(one.path, key, one.row) for key in ("data", "pid"))
        scene = objects.object_scene(
            points, normals, id=one.id, path=one.path, object_class=one.object_class, up_axis="y", labels=labels
        )
        self._check_parts(scene, one)
        return self._thinned(scene)

    def _check_parts(self, scene: Scene, one: StoredObject) -> None:
        """Raise a `DataError` unless every point has a part of the object's category."""
        category = self.object_names[one.object_class]
        parts = self.parts_of[category]
        assert scene.labels is not None
        if scene.labels.min() < parts[0] or scene.labels.max() > parts[-1]:
            wrong = int(np.flatnonzero((scene.labels < parts[0]) | (scene.labels > parts[-1]))[0])
            raise DataError(
                f"{one.path}: part {scene.labels[wrong]} of point {wrong} of {one.id} is not a part of a {category}, "
                f"which are {parts[0]} to {parts[-1]}"
            )

    def _thinned(self, scene: Scene) -> Scene:
        """As `objects.thinned`; clouds that have fewer points repeat some, as is usual here."""
        if self.points is None or len(scene) >= self.points:
            return objects.thinned(scene, self.points, self.seed)
        rows = objects.random_rows(len(scene), self.points, objects.generator(scene.id, self.seed))
        return scene.select(rows)


def _found(root: Path, layout: str) -> tuple[str, Path]:
    if not root.is_dir():
        raise DataError(f"{root}: the folder does not exist; root is the folder of a release of ShapeNetPart")
    for kind in _READERS if layout == "auto" else (layout,):
        for folder in (root / name for name in FOLDERS):
            if any(folder.glob(_SIGNS[kind])):
                return kind, folder
    needed = " or ".join(_SIGNS.values()) if layout == "auto" else _SIGNS[layout]
    raise DataError(f"{root}: no release of ShapeNetPart is there; it would have {needed}")


def _read_txt_layout(root: Path, part: str) -> list[StoredObject]:
    _check_synsets(root / "synsetoffset2category.txt")
    listing = root / "train_test_split" / f"shuffled_{part}_file_list.json"
    try:
        entries = shaped(json_of(read_bytes(listing), str(listing)), list[str], str(listing))
        pairs = [tuple(str(entry).split("/")[-2:]) for entry in entries]
    except DataError as error:
        raise DataError(f"{listing}: this is not a JSON list of names such as shape_data/02691156/1a2b") from error
    found = []
    for entry, pair in zip(entries, pairs, strict=True):
        if len(pair) != 2 or pair[0] not in _SYNSETS:
            raise DataError(
                f"{listing}: '{entry}' names no category of ShapeNetPart; it is such as shape_data/02691156/1a2b"
            )
        found.append(StoredObject(f"{pair[0]}/{pair[1]}", _SYNSETS[pair[0]], root / pair[0] / f"{pair[1]}.txt"))
    missing = [one for one in found if not one.path.is_file()]
    if missing:
        raise DataError(
            f"{missing[0].path}: the file is missing; {listing.name} lists {len(found)} objects, of which "
            f"{len(missing)} are not on disk"
        )
    return sorted(found)


def _check_synsets(path: Path) -> None:
    """Raise a `DataError` if a category has another synset than it should."""
    known = {synset: name for name, synset, _ in CATEGORIES}
    for line in objects.read_lines(path):
        words = line.split()
        if len(words) != 2 or known.get(words[1]) != words[0].lower():
            raise DataError(
                f"{path}: '{line}' is not a category of ShapeNetPart and its synset, such as Chair 03001627"
            )


def _read_hdf5_layout(root: Path, part: str) -> list[StoredObject]:
    if (root / "catid_partid_to_overallid.json").is_file():
        _check_numbering(root / "catid_partid_to_overallid.json")
    found = []
    for line in objects.read_lines(root / f"{part}_hdf5_file_list.txt"):
        path = root / Path(line).name
        objects.check_keys(path, {"data": (None, 3), "label": (1,), "pid": (None,)})
        classes = objects.read_classes(path, "label", len(CATEGORIES))
        found += [StoredObject(f"{path.stem}/{row:04d}", int(one), path, row) for row, one in enumerate(classes)]
    return found


def _check_numbering(path: Path) -> None:
    """Raise a `DataError` unless the file numbers the parts of each category as they are here."""
    try:
        table = shaped(json_of(read_bytes(path), str(path)), dict[str, int], str(path))
    except DataError as error:
        raise DataError(f'{path}: this is not a JSON table such as {{"03001627_1": 12}}') from error
    for index, (name, synset, _) in enumerate(CATEGORIES):
        first = sum(len(parts) for _, _, parts in CATEGORIES[:index])
        numbers = sorted(value for key, value in table.items() if key.startswith(synset))
        if numbers != list(range(first, first + len(CATEGORIES[index][2]))):
            raise DataError(f"{path}: the parts of {name} are numbered {numbers}, not from {first} on")


_READERS = {"txt": _read_txt_layout, "hdf5": _read_hdf5_layout}
_SIGNS = {"txt": "train_test_split/shuffled_*_file_list.json", "hdf5": "*_hdf5_file_list.txt"}
