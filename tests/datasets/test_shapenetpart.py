from __future__ import annotations

import json

import numpy as np
import pytest

from pointlift.datasets.shapenetpart import ShapeNetPart
from pointlift.errors import DataError
from tests.fixtures_objects import write_shapenetpart_hdf5 as write_hdf5
from tests.fixtures_objects import write_shapenetpart_txt as write_txt


def test_sixteen_categories_and_fifty_parts():
    assert len(ShapeNetPart.object_names) == 16
    assert len(ShapeNetPart.class_names) == len(set(ShapeNetPart.class_names)) == 50
    # the numbers that every published evaluation uses
    known = {
        "airplane": (0, 1, 2, 3),
        "chair": (12, 13, 14, 15),
        "motorbike": tuple(range(30, 36)),
        "table": (47, 48, 49),
    }
    assert {name: ShapeNetPart.parts_of[name] for name in known} == known
    assert sorted(label for labels in ShapeNetPart.parts_of.values() for label in labels) == list(range(50))


def test_text_release(tmp_path):
    root = write_txt(tmp_path / "shapenetcore_partanno_segmentation_benchmark_v0_normal")
    data = ShapeNetPart(root=tmp_path, normals=True)
    assert (data.layout, len(data)) == ("txt", 2)
    scene = data[data.ids.index("03001627/a1")]
    table = np.loadtxt(root / "03001627" / "a1.txt")
    np.testing.assert_allclose(scene.points, table[:, :3], atol=1e-6)
    np.testing.assert_allclose(scene.features, table[:, 3:6], atol=1e-6)
    np.testing.assert_array_equal(scene.labels, table[:, 6])
    assert (scene.object_class, scene.up_axis, scene.normal_columns) == (4, "y", (0, 1, 2))
    assert len(ShapeNetPart(root=tmp_path, split="trainval")) == 3
    assert ShapeNetPart(root=tmp_path, split="test").ids == ["04379243/d4"]
    chairs = ShapeNetPart(root=tmp_path, split="trainval", categories=("chair",))
    assert [scene.object_class for scene in chairs] == [4, 4]


def test_any_number_of_points(tmp_path):
    write_txt(tmp_path / "a")
    whole = ShapeNetPart(root=tmp_path / "a")[0]
    for count in (8, 30, 50):
        scene = ShapeNetPart(root=tmp_path / "a", points=count)[0]
        assert len(scene) == len(scene.labels) == count
        assert {(*p, k) for p, k in zip(scene.points.tolist(), scene.labels, strict=True)} <= {
            (*p, k) for p, k in zip(whole.points.tolist(), whole.labels, strict=True)
        }


def test_hdf5_release(tmp_path):
    root = write_hdf5(tmp_path / "hdf5_data")
    data = ShapeNetPart(root=tmp_path)
    assert (data.layout, data.ids) == ("hdf5", [f"ply_data_train0/000{k}" for k in range(3)])
    scene = data[1]
    assert (scene.object_class, len(scene)) == (4, 16)
    assert set(scene.labels) <= {12, 13, 14, 15}
    assert len(ShapeNetPart(root=root, split="trainval")) == 5
    with pytest.raises(DataError, match="the HDF5 release has no normals"):
        ShapeNetPart(root=root, normals=True)


def test_bad_text(tmp_path):
    root = write_txt(tmp_path / "a")
    path = root / "03001627" / "a1.txt"
    path.write_text("1 2 3 0 0 1\n")
    with pytest.raises(DataError, match=r"a1\.txt: row 0 is not 7 numbers \(x, y, z, nx, ny, nz, part\)"):
        ShapeNetPart(root=root)[0]
    path.write_text("1 2 3 0 0 1 12\n1 2 3 0 0 1 47\n")
    with pytest.raises(
        DataError, match="part 47 of point 1 of 03001627/a1 is not a part of a chair, which are 12 to 15"
    ):
        ShapeNetPart(root=root)[0]
    path.unlink()
    with pytest.raises(
        DataError, match=r"a1\.txt: the file is missing; shuffled_train_file_list\.json lists 2 objects"
    ):
        ShapeNetPart(root=root)
    listing = root / "train_test_split" / "shuffled_train_file_list.json"
    listing.write_text('["shape_data/00000000/x"]')
    with pytest.raises(DataError, match="'shape_data/00000000/x' names no category"):
        ShapeNetPart(root=root)
    for text in ("[", "[1, 2]x", "3"):
        listing.write_text(text)
        with pytest.raises(DataError, match="not a JSON list of names"):
            ShapeNetPart(root=root)
    (root / "synsetoffset2category.txt").write_text("Chair\t00000000\n")
    with pytest.raises(DataError, match="is not a category of ShapeNetPart and its synset"):
        ShapeNetPart(root=root)


def test_bad_hdf5_and_folders(tmp_path):
    with pytest.raises(DataError, match=r"ply_data_train0\.h5: the key 'pid' is missing; keys are: data, label"):
        ShapeNetPart(root=write_hdf5(tmp_path / "a", keys=("data", "label")))
    root = write_hdf5(tmp_path / "b")
    numbers = json.loads((root / "catid_partid_to_overallid.json").read_text())
    (root / "catid_partid_to_overallid.json").write_text(json.dumps(numbers | {"03001627_1": 3}))
    with pytest.raises(DataError, match="the parts of chair are numbered"):
        ShapeNetPart(root=root)
    (root / "val_hdf5_file_list.txt").unlink()
    (root / "catid_partid_to_overallid.json").unlink()
    with pytest.raises(DataError, match=r"val_hdf5_file_list\.txt: the file is missing"):
        ShapeNetPart(root=root, split="val")
    with pytest.raises(DataError, match="the folder does not exist"):
        ShapeNetPart(root=tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no release of ShapeNetPart is there"):
        ShapeNetPart(root=tmp_path / "empty")
    with pytest.raises(DataError, match="categories must be one of airplane"):
        ShapeNetPart(root=root, categories=("zebra",))
