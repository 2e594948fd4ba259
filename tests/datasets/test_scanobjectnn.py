from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pointlift.datasets.scanobjectnn import OBJECTS, ScanObjectNN
from pointlift.errors import DataError
from tests.fixtures_objects import write_scanobjectnn
from tests.fixtures_objects import write_scanobjectnn_file as write

h5py = pytest.importorskip("h5py")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_scanobjectnn(tmp_path)


def test_objects_with_their_background(root):
    data = ScanObjectNN(root=root, split="trainval")
    assert (len(data), data.object_names) == (22, OBJECTS)
    assert len(OBJECTS) == 15
    scene = data[3].validate()
    assert (scene.id, scene.object_class, scene.up_axis, len(scene)) == ("training_objectdataset/00003", 4, "y", 24)
    with h5py.File(data.path) as file:
        np.testing.assert_array_equal(scene.points, file["data"][3])
        np.testing.assert_array_equal(scene.labels, file["mask"][3] != -1)
    assert len(ScanObjectNN(root=root / "h5_files", split="test", points=5)[0]) == 5


def test_objects_alone(root):
    data = ScanObjectNN(root=root, split="trainval", background=False)
    assert data.path.parent.name == "main_split_nobg"
    assert data[0].labels is None


def test_validation_is_apart_and_never_of_augmented_copies(root):
    ids = {split: ScanObjectNN(root=root, split=split).ids for split in ("train", "val", "trainval")}
    assert [name[-5:] for name in ids["val"]] == ["00018", "00019"]
    assert sorted(ids["train"] + ids["val"]) == ids["trainval"]
    hard = {"variant": "augmentedrot_scale75"}
    assert len(ScanObjectNN(root=root, split="train", **hard)) == 110
    assert len(ScanObjectNN(root=root, split="test", **hard)) == 20
    with pytest.raises(DataError, match="has no split 'val': its copies of one object are not marked"):
        ScanObjectNN(root=root, split="val", **hard)


def test_bad_input(root, tmp_path):
    with pytest.raises(DataError, match=r"training_objectdataset_augmentedrot\.h5: the file is missing"):
        ScanObjectNN(root=root, variant="augmentedrot")
    with pytest.raises(DataError, match="variant must be one of plain"):
        ScanObjectNN(root=root, variant="rotated")
    with pytest.raises(DataError, match="none: the folder does not exist"):
        ScanObjectNN(root=tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds neither 'main_split' nor 'h5_files/main_split'"):
        ScanObjectNN(root=tmp_path / "empty")
    path = root / "h5_files" / "main_split" / "test_objectdataset.h5"
    write(path, 4, ("data", "label"))
    with pytest.raises(DataError, match=r"test_objectdataset\.h5: the key 'mask' is missing; keys are: data, label"):
        ScanObjectNN(root=root, split="test")
    with h5py.File(path, "w") as file:
        file["data"], file["label"], file["mask"] = np.zeros((4, 24, 2)), np.zeros(4), np.zeros((4, 24))
    with pytest.raises(DataError, match=r"'data' must have the shape \(N, any, 3\), not \(4, 24, 2\)"):
        ScanObjectNN(root=root, split="test")
    with h5py.File(path, "w") as file:
        file["data"], file["label"], file["mask"] = np.zeros((4, 24, 3)), np.zeros(3), np.zeros((4, 24))
    with pytest.raises(DataError, match=r"'label' must have the shape \(4\), not \(3,\)"):
        ScanObjectNN(root=root, split="test")
    broken = np.zeros((4, 24, 3), np.float32)
    broken[1, 2] = np.nan
    with h5py.File(path, "w") as file:
        file["data"], file["label"], file["mask"] = broken, np.zeros(4, int), np.zeros((4, 24), int)
    with pytest.raises(DataError, match=r"test_objectdataset\.h5: points has 1 rows with NaN or infinity"):
        ScanObjectNN(root=root, split="test")[1]
