"""ScanObjectNN: scanned objects of 15 classes, from its HDF5 release.

Layout (hkust-vgd.github.io/scanobjectnn): ``main_split`` (with background) and ``main_split_nobg`` (without), each with
``training_objectdataset.h5`` and ``test_objectdataset.h5`` and augmented variants of both; maybe below ``h5_files``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pointlift.data import objects
from pointlift.data.dataset import Dataset, LabelKind
from pointlift.data.options import at_least, one_of
from pointlift.data.scene import Scene
from pointlift.errors import DataError
from pointlift.options import DATA_ROOT
from pointlift.registry import DATASETS

OBJECTS = (
    "bag", "bin", "box", "cabinet", "chair", "desk", "display", "door", "shelf", "table", "bed", "pillow", "sink",
    "sofa", "toilet",
)  # fmt: skip
VARIANTS = ("plain", "augmented25_norot", "augmented25rot", "augmentedrot", "augmentedrot_scale75")


@DATASETS.register("scanobjectnn")
class ScanObjectNN(Dataset):
    """ScanObjectNN: about 2,900 scanned objects of 15 classes in clutter; official split into training and test.

    The published settings are OBJ_BG (the defaults), OBJ_ONLY (``background=false``) and PB_T50_RS, the hardest
    (``variant="augmentedrot_scale75"``). With background, points are labelled as background (0) or object (1).

    There is no official validation split: ``val`` is every tenth training object of each class in the order of the
    file, ``train`` the rest, and ``trainval`` the whole training set. The augmented variants hold several unmarked
    copies of each object, of which some would be on either side: there ``train`` is the whole training set and ``val``
    is refused.

    Points are as stored; the up axis is y.

    Args:
        root: the folder that holds main_split and main_split_nobg, or h5_files with both.
        split: train, val, trainval or test.
        variant: plain, or one of the augmented ones.
        background: keep what stands around the object (main_split) or not (main_split_nobg).
        points: per object; None is all 2,048.
        seed: of the choice of points.

    Raises:
        DataError: a folder or file is missing, damaged or inconsistent; the message names it.
    """

    name = "scanobjectnn"
    object_names = OBJECTS

    def __init__(
        self,
        *,
        root: Annotated[Path, DATA_ROOT],
        split: Literal["train", "val", "trainval", "test"] = "train",
        variant: Literal[
            "plain", "augmented25_norot", "augmented25rot", "augmentedrot", "augmentedrot_scale75"
        ] = "plain",
        background: bool = True,
        points: Annotated[int, Field(ge=1, le=1_000_000)] | None = None,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        one_of(self.name, "split", split, ("train", "val", "trainval", "test"))
        one_of(self.name, "variant", variant, VARIANTS)
        at_least(self.name, "points", points, 1)
        at_least(self.name, "seed", seed, 0)
        if split == "val" and variant != "plain":
            raise DataError(
                f"scanobjectnn: variant '{variant}' has no split 'val': its copies of one object are not marked, so "
                "that some would be in training too; choose on the variant 'plain'"
            )
        self.split, self.points, self.seed = split, points, seed
        self.path = _file(Path(root).expanduser(), split, variant, background)
        keys: dict[str, tuple[int | None, ...]] = {"data": (None, 3), "label": ()}
        self._masked = background
        self.class_names: tuple[str, ...] = ("background", "object") if background else ()
        self.labels: frozenset[LabelKind] = frozenset({"objects", "points"} if background else {"objects"})
        objects.check_keys(self.path, {**keys, "mask": (None,)} if background else keys)
        self._classes = objects.read_classes(self.path, "label", len(OBJECTS))
        divided = split in ("train", "val") and variant == "plain"
        self._rows = objects.part_of_split(split, self._classes) if divided else np.arange(len(self._classes))
        if len(self._rows) == 0:
            raise DataError(f"{self.path}: split '{split}' has no objects, of {len(self._classes)} in the file")

    @property
    def ids(self) -> list[str]:
        """The id of every scene, without reading any."""
        return [f"{self.path.stem}/{row:05d}" for row in self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Scene:  # type: ignore[override]
        row = int(self._rows[index])
        labels = None
        if self._masked:  # -1 is background, any other number the scanned object
            labels = (objects.read_hdf5(self.path, "mask", row) != -1).astype(np.int64)
        scene = objects.object_scene(
            objects.read_hdf5(self.path, "data", row),
            None,
            id=f"{self.path.stem}/{row:05d}",
            path=self.path,
            object_class=int(self._classes[row]),
            up_axis="y",
            labels=labels,
        )
        return objects.thinned(scene, self.points, self.seed)


def _file(root: Path, split: str, variant: str, background: bool) -> Path:
    folder = "main_split" if background else "main_split_nobg"
    name = "test" if split == "test" else "training"
    suffix = "" if variant == "plain" else f"_{variant}"
    for place in (root / folder, root / "h5_files" / folder):
        if place.is_dir():
            return place / f"{name}_objectdataset{suffix}.h5"
    if not root.is_dir():
        raise DataError(f"{root}: the folder does not exist; root is the folder that holds 'main_split'")
    raise DataError(f"{root}: the folder holds neither '{folder}' nor 'h5_files/{folder}'")
