from __future__ import annotations

import shutil
import sys
from functools import partial

import numpy as np
import pytest

from pointlift.commands.check import check
from pointlift.data.formats.mesh import read_off
from pointlift.datasets.modelnet import MODELNET10, MODELNET40, RELEASES, ModelNet
from pointlift.errors import DataError, RecipeError
from pointlift.registry import DATASETS
from tests.fixtures_objects import write_modelnet_hdf5 as write_hdf5
from tests.fixtures_objects import write_modelnet_off as write_off
from tests.fixtures_objects import write_modelnet_txt as write_txt

ModelNet40 = partial(ModelNet, release="modelnet40")
ModelNet10 = partial(ModelNet, release="modelnet10")


def test_the_classes_are_the_official_ones():
    assert len(MODELNET40) == 40
    assert list(MODELNET40) == sorted(MODELNET40)
    assert set(MODELNET10) < set(MODELNET40)
    assert RELEASES["modelnet40"].index("chair") == 8
    assert RELEASES["modelnet10"] == tuple(sorted(MODELNET10))


# ---- meshes


def test_meshes_are_sampled_by_id_and_seed(tmp_path):
    data = ModelNet40(root=write_off(tmp_path), split="trainval", points=64, normals=True)
    assert data.layout == "off"
    assert len(data) == 24
    assert data.ids[0] == "bed_0001"
    scene = data[12].validate()
    assert (scene.id, data.object_names[scene.object_class], scene.up_axis) == ("chair_0001", "chair", "z")
    assert scene.points.shape == scene.features.shape == (64, 3)
    assert scene.labels is None
    np.testing.assert_array_equal(scene.points, data[12].points)
    assert not np.array_equal(scene.points, data[13].points)
    other = ModelNet40(root=tmp_path, split="trainval", points=64, seed=1)
    assert not np.array_equal(scene.points, other[12].points)
    assert other[12].features.shape == (64, 0)
    assert len(ModelNet40(root=tmp_path, split="test")[0]) == 8192


def test_validation_is_a_tenth_of_training_and_apart(tmp_path):
    write_off(tmp_path)
    ids = {split: ModelNet40(root=tmp_path, split=split).ids for split in ("train", "val", "trainval", "test")}
    assert ids["val"] == ["bed_0010", "chair_0010"]
    assert sorted(ids["train"] + ids["val"]) == sorted(ids["trainval"])
    assert not set(ids["train"]) & set(ids["val"])
    assert ids["test"] == ["bed_0013", "bed_0014", "chair_0013", "chair_0014"]
    assert [scene.object_class for scene in ModelNet40(root=tmp_path, split="test")] == [2, 2, 8, 8]


def test_the_archive_may_lie_below_the_root(tmp_path):
    write_off(tmp_path / "ModelNet10", classes=("bed",))
    assert len(ModelNet10(root=tmp_path, split="trainval")) == 12
    with pytest.raises(DataError, match="no release of ModelNet is there"):
        ModelNet40(root=tmp_path)


def test_real_meshes_in_their_layout(shared, tmp_path):
    folder = shared / "data" / "modelnet-off"
    if not folder.is_dir():
        pytest.skip("../shared/data/modelnet-off is not there")
    for path in folder.glob("*.off"):
        part = tmp_path / path.name.rsplit("_", 1)[0] / "train"
        part.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, part / path.name)
    data = ModelNet40(root=tmp_path, split="trainval", points=2048)
    assert len(data) == 9
    assert [data.object_names[scene.object_class] for scene in data] == ["airplane", *["bathtub"] * 5, *["bed"] * 3]
    for scene, path in zip(data, sorted(folder.glob("*.off")), strict=True):
        used = read_off(path)
        used = used.vertices[used.faces].reshape(-1, 3)
        np.testing.assert_allclose(np.ptp(scene.points, axis=0), np.ptp(used, axis=0), rtol=0.15)


# ---- the sampled text release


def test_text_release(tmp_path):
    data = ModelNet40(root=write_txt(tmp_path / "modelnet40_normal_resampled").parent, split="trainval", normals=True)
    assert (data.layout, data.ids) == ("txt", ["airplane_0001", "night_stand_0002"])
    scene = data[1]
    table = np.loadtxt(data.root / "night_stand" / "night_stand_0002.txt", delimiter=",")
    np.testing.assert_allclose(scene.points, table[:, :3], atol=1e-6)
    np.testing.assert_allclose(scene.features, table[:, 3:], atol=1e-6)
    assert (data.object_names[scene.object_class], scene.up_axis) == ("night_stand", "y")
    assert scene.normal_columns == (0, 1, 2)
    assert ModelNet40(root=data.root, split="trainval")[1].normal_columns is None
    few = ModelNet40(root=data.root, split="trainval", points=7)[1]
    assert {tuple(row) for row in few.points} < {tuple(row) for row in scene.points}
    ten = ModelNet10(root=data.root, split="trainval")
    assert (len(ten), ten[0].object_class) == (1, MODELNET10.index("night_stand"))


# ---- HDF5


def test_hdf5_release(tmp_path):
    data = ModelNet40(root=write_hdf5(tmp_path / "modelnet40_ply_hdf5_2048").parent, split="trainval", normals=True)
    assert (data.layout, len(data)) == ("hdf5", 14)
    scene = data[12]
    assert (scene.id, scene.object_class, scene.up_axis) == ("ply_data_train1/0001", 8, "y")
    assert scene.points.shape == scene.features.shape == (32, 3)
    assert ModelNet40(root=data.root, split="val").ids == ["ply_data_train0/0009"]
    ten = ModelNet10(root=data.root, split="trainval")
    assert (len(ten), ten[0].object_class) == (14, 2)
    assert len(ModelNet40(root=data.root, split="test", points=8)[1]) == 8


def test_check_reads_it(tmp_path):
    report = check(ModelNet40(root=write_off(tmp_path), points=32), limit=2)
    assert report["scenes_read"] == 2


# ---- bad input


def test_bad_options_and_folders(tmp_path):
    write_off(tmp_path / "off")
    with pytest.raises(DataError, match="modelnet40: split must be one of train, val, trainval, test, not 'all'"):
        ModelNet40(root=tmp_path / "off", split="all")
    with pytest.raises(DataError, match="layout must be one of auto, off, txt, hdf5"):
        ModelNet40(root=tmp_path / "off", layout="ply")
    with pytest.raises(DataError, match="points must be at least 1, not 0"):
        ModelNet40(root=tmp_path / "off", points=0)
    with pytest.raises(RecipeError):
        DATASETS.build("modelnet40", root=str(tmp_path / "off"), points=0)
    with pytest.raises(DataError, match="none: the folder does not exist"):
        ModelNet40(root=tmp_path / "none")
    with pytest.raises(DataError, match="it would have the lists modelnet40_train.txt"):
        ModelNet40(root=tmp_path / "off", layout="txt")
    (tmp_path / "off" / "car").mkdir()
    with pytest.raises(DataError, match="car: the class has no folder 'train'"):
        ModelNet40(root=tmp_path / "off")
    shutil.rmtree(tmp_path / "off" / "car")
    few = write_off(tmp_path / "few", train=3)
    with pytest.raises(DataError, match="split 'val' has no objects: validation is every 10th"):
        ModelNet40(root=few, split="val")


def test_bad_text(tmp_path):
    root = write_txt(tmp_path)
    path = root / "airplane" / "airplane_0001.txt"
    path.write_text("1,2,3,4,5,6\n1,2,3\n")
    with pytest.raises(DataError, match=r"airplane_0001\.txt: row 1 is not 6 numbers \(x, y, z, nx, ny, nz\): 1 2 3"):
        ModelNet40(root=root)[0]
    path.write_text("")
    with pytest.raises(DataError, match="the file is empty"):
        ModelNet40(root=root)[0]
    path.unlink()
    with pytest.raises(DataError, match="airplane_0001.txt: the file is missing; modelnet40_train.txt lists 2 objects"):
        ModelNet40(root=root)
    (root / "modelnet40_train.txt").write_text("zebra_0001\n")
    with pytest.raises(DataError, match="'zebra_0001' begins with no class of modelnet40"):
        ModelNet40(root=root)


def test_bad_hdf5(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"ply_data_train0\.h5: the key 'label' is missing; keys are: data, normal"):
        ModelNet40(root=write_hdf5(tmp_path / "a", keys=("data", "normal")))
    with pytest.raises(DataError, match="'label' has classes from 77 to 77, not from 0 to 39"):
        ModelNet40(root=write_hdf5(tmp_path / "b", label=77), split="test")
    root = write_hdf5(tmp_path / "c")
    data = ModelNet40(root=root)
    with pytest.raises(DataError, match="has 32 points, and 99 were asked for"):
        ModelNet40(root=root, points=99)[0]
    (root / "ply_data_train1.h5").write_bytes(b"not one")
    with pytest.raises(DataError, match=r"ply_data_train1\.h5: this is not an HDF5 file"):
        ModelNet40(root=root)
    (root / "ply_data_train1.h5").unlink()
    with pytest.raises(DataError, match=r"ply_data_train1\.h5: the file is missing"):
        ModelNet40(root=root)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match="reading HDF5 files needs the package h5py"):
        data[0]


@pytest.mark.parametrize(
    ("mesh", "message"),
    [
        ("OFF\n3 1 0\n0 0 0\n1 0 0\n2 0 0\n3 0 1 2\n", "the surface has no area"),
        ("OFF\n3 0 0\n0 0 0\n1 0 0\n0 1 0\n", "the mesh has 3 vertices and 0 faces; a surface needs some of both"),
        ("OFF3 0 0\n0 0 0\n1 0 0\n0 1 0\n", "the mesh has 3 vertices and 0 faces; a surface needs some of both"),
    ],
)
def test_degenerate_meshes_are_said_with_their_file(tmp_path, mesh, message):
    write_off(tmp_path, train=1, classes=("bed",))
    (tmp_path / "bed" / "train" / "bed_0001.off").write_text(mesh)
    with pytest.raises(DataError, match=rf"bed_0001\.off: {message}"):
        ModelNet40(root=tmp_path)[0]


@pytest.mark.parametrize(
    ("head", "more"), [("OFF", ""), ("COFF", " 255 0 0 255"), ("NOFF", " 0 0 1"), ("OFF", " 0.5 0.5 0.5")]
)
def test_meshes_with_more_at_their_vertices_and_names_in_upper_case(tmp_path, head, more):
    folder = tmp_path / "bathtub" / "test"
    folder.mkdir(parents=True)
    (tmp_path / "bathtub" / "train").mkdir()
    corners = "".join(f"{place}{more}\n" for place in ("0 0 0", "1 0 0", "1 1 0", "0 1 0"))
    (folder / "bathtub_0001.OFF").write_text(f"{head}\n4 2 0\n{corners}3 0 1 2\n3 0 2 3\n")
    data = ModelNet10(root=tmp_path, split="test", points=16)
    assert data.ids == ["bathtub_0001"]
    assert data[0].points[:, 2].tolist() == [0] * 16
