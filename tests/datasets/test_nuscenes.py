from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointlift.data.class_maps import load_class_list
from pointlift.datasets.nuscenes import index as index_module
from pointlift.datasets.nuscenes import reading, splits, tables
from pointlift.datasets.nuscenes.classes import BOX_NAMES, CLASSES, LIDARSEG, box_label
from pointlift.datasets.nuscenes.dataset import NuScenes
from pointlift.errors import DataError, RecipeError
from pointlift.methods.point_pixel import _require_images
from pointlift.registry import DATASETS
from tests import fixtures_nuscenes as synthetic
from tests.fixtures_nuscenes import write_nuscenes
from tests.teachers.helpers import MeanColor


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic nuScenes root that tests only read."""
    return write_nuscenes(tmp_path_factory.mktemp("city"))


@pytest.fixture
def root(city: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(city, tmp_path / "city")


@pytest.fixture(scope="module")
def real(shared: Path) -> Path:
    folder = shared / "data" / "nuscenes-one-sample"
    if not folder.is_dir():
        pytest.skip("../shared/data/nuscenes-one-sample is not there")
    return folder


def opened(root: Path, **options) -> NuScenes:
    return NuScenes(root=root, **options)


def table(root: Path, name: str, version: str = "v1.0-mini") -> list[dict]:
    return json.loads((root / version / f"{name}.json").read_text())


def by_token(rows: list[dict]) -> dict[str, dict]:
    return {row["token"]: row for row in rows}


def change(root: Path, name: str, edit) -> None:
    """Rewrite a table after ``edit`` has changed its rows."""
    rows = table(root, name)
    edit(rows)
    (root / "v1.0-mini" / f"{name}.json").write_text(json.dumps(rows, indent=0))


# ---- splits, classes and options


def test_the_official_lists_have_their_counts_and_share_no_scene():
    sizes = {name: len(scenes) for name, scenes in splits.SPLITS.items()}
    assert sizes == {"train": 700, "val": 150, "test": 150}
    assert len(frozenset.union(*splits.SPLITS.values())) == 1000
    assert {name: len(scenes) for name, scenes in splits.MINI.items()} == {"train": 8, "val": 2}
    assert splits.MINI["train"] | splits.MINI["val"] <= splits.SPLITS["train"] | splits.SPLITS["val"]
    assert len(splits.PARAMETRIZATION) == 100
    assert splits.SPLITS["train"] >= splits.PARAMETRIZATION
    pretrain = splits.split_scenes("pretrain", "v1.0-trainval")
    assert len(pretrain) == 600
    assert pretrain | splits.split_scenes("parametrization", "v1.0-trainval") == splits.SPLITS["train"]
    assert {"scene-0001", "scene-0061", "scene-1110"} <= splits.SPLITS["train"]
    assert len(splits.split_scenes("pretrain", "v1.0-mini")) == 7


def test_the_32_classes_count_as_the_official_16():
    official = {
        0: 0, 1: 0, 2: 7, 3: 7, 4: 7, 5: 0, 6: 7, 7: 0, 8: 0, 9: 1, 10: 0, 11: 0, 12: 8, 13: 0, 14: 2, 15: 3, 16: 3,
        17: 4, 18: 5, 19: 0, 20: 0, 21: 6, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14, 28: 15, 29: 0, 30: 16, 31: 0,
    }  # fmt: skip
    names = [name for name, _, _ in CLASSES]
    found = {i: 0 if name is None else 1 + names.index(name) for i, name in enumerate(LIDARSEG.values())}
    assert found == official
    assert NuScenes.class_names == load_class_list("nuscenes").names
    assert len(NuScenes.class_colors) == 16
    assert set(NuScenes.prompts) == set(names)
    assert NuScenes.prompts["driveable_surface"] == ("driveable surface",)
    detection = {
        "vehicle.car": "car", "vehicle.bus.bendy": "bus", "human.pedestrian.police_officer": "pedestrian",
        "vehicle.construction": "construction_vehicle", "movable_object.trafficcone": "traffic_cone",
    }  # fmt: skip
    assert all(BOX_NAMES[box_label(category)] == name for category, name in detection.items())
    assert box_label("human.pedestrian.stroller") == box_label("flat.sidewalk") == box_label("new") == -1


def test_splits_scenes_and_steps(city):
    train = ["scene-0061/000", "scene-0061/001", "scene-0061/002", "scene-0553/000", "scene-0553/001"]
    assert opened(city).ids == train
    assert opened(city).version == "v1.0-mini"
    assert opened(city, split="val").ids == ["scene-0103/000", "scene-0103/001"]
    assert len(opened(city, split="all")) == 7
    assert opened(city, scenes=[553]).ids == opened(city, scenes=["scene-0553"]).ids == train[3:]
    assert opened(city, frame_step=2).ids == train[::2]
    assert opened(city, scene_step=2).ids == train[3:]  # the second scene, as SLidR counts
    data = opened(city)
    assert [scene.id for scene in data] == data.ids
    assert data[-1].id == data.ids[-1]
    assert data.token(2) == synthetic.token("scene-0061", 2)
    with pytest.raises(IndexError):
        data[5]


def test_the_registry_builds_it_and_rejects_unknown_options(city):
    built = DATASETS.build("nuscenes", root=city, split="val", cameras=["CAM_BACK"], scenes=[103])
    assert [view.name for view in built.views(0)] == ["CAM_BACK"]
    for wrong in ({"cameras": ["CAM_TOP"]}, {"version": "v2"}, {"sweeps": 0}, {"ego_radius": -1}, {"splits": "val"}):
        with pytest.raises(RecipeError):
            DATASETS.build("nuscenes", root=city, **wrong)


def test_auto_takes_trainval_before_mini_and_the_test_tables_for_the_test_split(root):
    for name in ("v1.0-trainval", "v1.0-test"):
        shutil.copytree(root / "v1.0-mini", root / name)
    rows = table(root, "scene", "v1.0-test")
    rows[0]["name"] = "scene-0077"
    (root / "v1.0-test" / "scene.json").write_text(json.dumps(rows))
    assert opened(root).version == "v1.0-trainval"
    test = opened(root, split="test")
    assert (test.version, test.ids[0]) == ("v1.0-test", "scene-0077/000")
    assert opened(root, version="v1.0-mini").version == "v1.0-mini"


@pytest.mark.parametrize("sweeps", [1, 3])
@pytest.mark.parametrize("style", [{"indent": 1}, {"separators": (",", ":")}, {"separators": (" ,", " : ")}])
def test_tables_may_be_formatted_in_any_way_and_read_in_any_pieces(city, root, monkeypatch, style, sweeps):
    for path in (root / "v1.0-mini").iterdir():
        path.write_text(json.dumps(json.loads(path.read_text()), **style))
    reference = opened(city, split="all", sweeps=sweeps)
    for size in (1 << 20, 1500, 313):
        monkeypatch.setattr(tables, "CHUNK", size)
        data = opened(root, split="all", sweeps=sweeps)
        assert data.ids == reference.ids
        np.testing.assert_array_equal(data._index.poses, reference._index.poses)
        np.testing.assert_array_equal(data._index.records.filename, reference._index.records.filename)


def test_opening_reads_no_boxes_and_no_sensor_files(root):
    for folder in ("samples", "sweeps"):
        for path in (root / folder).rglob("*.*"):
            path.write_bytes(b"")
    shutil.rmtree(root / "lidarseg")
    (root / "v1.0-mini" / "sample_annotation.json").unlink()
    (root / "v1.0-mini" / "instance.json").unlink()
    assert len(opened(root)) == 5


# ---- what a scene holds


def test_points_intensity_labels_and_ego_returns_are_those_of_the_files(city):
    data = opened(city)
    scene = data[1].validate()
    cloud = np.fromfile(scene.files["points"], np.float32).reshape(-1, 5)
    raw = np.fromfile(scene.files["labels"], np.uint8)
    kept = ~((np.abs(cloud[:, 0]) < 1) & (np.abs(cloud[:, 1]) < 1))
    assert scene.dropped == (~kept).sum() >= synthetic.EGO_RETURNS
    np.testing.assert_array_equal(scene.points, cloud[kept, :3])
    np.testing.assert_allclose(scene.features, cloud[kept, 3:4] / 255, rtol=1e-6)
    categories = list(LIDARSEG.values())
    for label, value in zip(scene.labels, raw[kept], strict=True):
        assert (data.class_names[label] if label >= 0 else None) == categories[value]
    whole = opened(city, ego_radius=0)[1]
    assert (whole.dropped, len(whole)) == (0, len(cloud))
    assert scene.boxes is None


def test_ids_of_category_json_come_first(root):
    def swap(rows):
        road, car = (next(r for r in rows if r["name"] == name) for name in ("flat.driveable_surface", "vehicle.car"))
        road["index"], car["index"] = car["index"], road["index"]

    usual = opened(root)[0].labels
    change(root, "category", swap)
    car, road = (NuScenes.class_names.index(name) for name in ("car", "driveable_surface"))
    np.testing.assert_array_equal(opened(root)[0].labels == car, usual == road)


def literal_chain(tables_of: dict, root: Path, version: str, sample: dict, channel: str, points: np.ndarray):
    """Pixels and depth, step by step with rotations of vectors by quaternions: q p q*."""

    def rotate(q, p):
        q = np.array(q, np.float64) / np.sqrt(np.sum(np.square(q)))
        w, v = q[0], q[1:]
        return p + 2 * w * np.cross(v, p) + 2 * np.cross(v, np.cross(v, p))

    def conjugate(q):
        return [q[0], -q[1], -q[2], -q[3]]

    def of(name):
        for row in tables_of["sample_data"].values():
            mount = tables_of["calibrated_sensor"][row["calibrated_sensor_token"]]
            sensor = tables_of["sensor"][mount["sensor_token"]]["channel"]
            if row["sample_token"] == sample["token"] and row["is_key_frame"] and sensor == name:
                return mount, tables_of["ego_pose"][row["ego_pose_token"]]
        raise AssertionError(name)

    p = points.astype(np.float64)
    for record in of("LIDAR_TOP"):
        p = rotate(record["rotation"], p) + np.array(record["translation"])
    mount, pose = of(channel)
    for record in (pose, mount):
        p = rotate(conjugate(record["rotation"]), p - np.array(record["translation"]))
    (fx, _, cx), (_, fy, cy), _ = mount["camera_intrinsic"]
    return np.stack([fx * p[:, 0] / p[:, 2] + cx, fy * p[:, 1] / p[:, 2] + cy], axis=1), p[:, 2]


def check_pixels(root: Path, version: str) -> None:
    names = ("sample", "sample_data", "calibrated_sensor", "sensor", "ego_pose")
    tables_of = {name: by_token(table(root, name, version)) for name in names}
    data = opened(root, split="all")
    for index in range(len(data)):
        scene = data[index]
        assert [view.name for view in scene.views] == list(data.cameras)
        for view in scene.views:
            sample = tables_of["sample"][data.token(index)]
            expected, depth = literal_chain(tables_of, root, version, sample, view.name, scene.points)
            pixels, z = view.project(scene.points)
            front = z > 1
            assert front.sum() > 50
            np.testing.assert_allclose(z, depth, atol=1e-9)
            np.testing.assert_allclose(pixels[front], expected[front], atol=1e-6)


def test_pixels_equal_a_literal_chain(city):
    check_pixels(city, "v1.0-mini")


def test_pixels_of_the_real_keyframe_equal_a_literal_chain(real):
    check_pixels(real, "v1.0-mini")


def test_pixels_show_the_colour_of_the_points_class_in_every_camera(city):
    data = opened(city, split="all")
    kinds = [kind for kind in synthetic.street.COLORS if kind in synthetic.CLASS]
    names = [LIDARSEG[synthetic.CLASS[kind]] for kind in kinds]
    ids = np.array([-1 if name is None else data.class_names.index(name) for name in names])
    colors = np.array([synthetic.street.COLORS[kind] for kind in kinds], dtype=float)
    right, total = np.zeros(6), np.zeros(6)
    for scene in data:
        pairs = scene.pairs(occlusion=0.1)
        for number, view in enumerate(scene.views):
            mine = pairs.take((pairs.view_index == number) & (scene.labels[pairs.point_index] >= 0))
            u, v = np.round(mine.pixels).astype(int).T
            nearest = np.abs(view.image[v, u].astype(float)[:, None] - colors).sum(axis=2).argmin(axis=1)
            right[number] += (ids[nearest] == scene.labels[mine.point_index]).sum()
            total[number] += len(u)
    assert (total > 500).all()
    assert (right / total > 0.92).all(), right / total


def test_boxes_hold_the_points_of_their_class(city):
    scene = opened(city, boxes=True)[1]
    assert scene.boxes.shape == (12, 7)
    inside_any = np.zeros(len(scene), dtype=bool)
    for box, label in zip(scene.boxes, scene.box_labels, strict=True):
        offset = scene.points - box[:3]
        along = offset[:, 0] * np.cos(box[6]) + offset[:, 1] * np.sin(box[6])
        across = offset[:, 1] * np.cos(box[6]) - offset[:, 0] * np.sin(box[6])
        inside = (np.abs(np.stack([along, across, offset[:, 2]], axis=1)) < box[3:6] / 2 + 0.05).all(axis=1)
        own = NuScenes.class_names.index(BOX_NAMES[label])
        assert np.isin(scene.labels[inside], (own, *ground_classes())).all()
        inside_any |= inside & (scene.labels == own)
    things = [NuScenes.class_names.index(name) for name in ("car", "truck", "pedestrian")]
    assert inside_any[np.isin(scene.labels, things)].all()
    assert box_counts(scene) == {"car": 6, "truck": 2, "pedestrian": 4}


def ground_classes() -> list[int]:
    return [NuScenes.class_names.index(name) for name in ("driveable_surface", "sidewalk", "terrain", "vegetation")]


def box_counts(scene) -> dict[str, int]:
    names = [BOX_NAMES[label] for label in scene.box_labels]
    return {name: names.count(name) for name in dict.fromkeys(names)}


def test_poses_go_to_the_first_keyframe_of_the_scene(city):
    data = opened(city, frame_step=2)  # scene-0061/000, /002 and scene-0553/001
    np.testing.assert_allclose(data.pose(0), np.eye(4), atol=1e-9)
    forward = np.eye(4)
    forward[1, 3] = synthetic.SPEED * 1.0  # y of the LiDAR points forward; two keyframes are a second
    np.testing.assert_allclose(data.pose(1), forward, atol=1e-9)
    forward[1, 3] = synthetic.SPEED * 0.5
    np.testing.assert_allclose(data.pose(2), forward, atol=1e-9)


def test_sweeps_are_moved_to_the_keyframe_and_have_their_time(city):
    data = opened(city, sweeps=4, split="all")
    assert data.feature_names == ("intensity", "time")
    single = opened(city, split="all")
    first, later = data[0], data[1]
    assert set(first.features[:, 1]) == {0.0}  # nothing comes before the first keyframe of a scene
    np.testing.assert_allclose(np.unique(later.features[:, 1]), [0, 1 / 6, 1 / 3, 1 / 2], atol=1e-6)
    own = later.features[:, 1] == 0
    np.testing.assert_array_equal(later.points[own], single[1].points)
    np.testing.assert_array_equal(later.labels[own], single[1].labels)
    assert (later.labels[~own] == -1).all()
    assert later.dropped >= 4 * synthetic.EGO_RETURNS
    # The oldest of them is the first keyframe, moved back by the way the vehicle drove in between.
    oldest = later.points[later.features[:, 1] > 0.49]
    np.testing.assert_allclose(oldest, first.points - [0, synthetic.SPEED * 0.5, 0], atol=1e-4)
    assert opened(city, sweeps=4, split="all").ids == data.ids
    assert data[5].id == "scene-0103/000"
    assert set(data[5].features[:, 1]) == {0.0}


def test_scans_without_lidarseg_and_without_cameras_are_scenes_all_the_same(tmp_path):
    root = write_nuscenes(tmp_path, {"scene-0061": 1}, lidarseg=False)
    data = opened(root, cameras=[])
    shutil.rmtree(root / "samples" / "CAM_FRONT")
    assert data[0].validate().labels is None
    assert data[0].views == []


def test_views_need_no_points(root):
    for path in (root / "samples" / "LIDAR_TOP").iterdir():
        path.write_bytes(b"")
    assert [view.name for view in opened(root).views(3)] == list(synthetic.YAWS)


def test_that_scenes_have_images_is_known_without_poses(city, monkeypatch):
    data = opened(city, split="all", cameras=("CAM_BACK", "CAM_FRONT"))
    expected = [[view.path for view in data.views(index)] for index in range(len(data))]
    monkeypatch.setattr(index_module.Index, "global_from_sensor", None)
    assert [data.image_paths(index) for index in range(len(data))] == expected
    calls: list[tuple] = []
    _require_images(data, MeanColor(), lambda *call: calls.append(call))
    assert calls[-1] == ("images", len(data), len(data))
    with pytest.raises(DataError, match="7 of 7 scenes have no image"):
        _require_images(opened(city, split="all", cameras=()), MeanColor(), None)


def test_tables_of_lidarseg_without_its_files_give_no_labels(root):
    shutil.rmtree(root / "lidarseg")
    assert all(scene.labels is None for scene in opened(root))


def test_a_lidarseg_table_without_rows_gives_no_labels(root):
    change(root, "lidarseg", lambda rows: rows.clear())
    assert opened(root)[0].labels is None


def test_the_test_tables_have_no_labels(root):
    (root / "v1.0-mini").rename(root / "v1.0-test")
    (root / "lidarseg" / "v1.0-mini").rename(root / "lidarseg" / "v1.0-test")
    data = opened(root, split="all")
    assert data.version == "v1.0-test"
    assert data[0].labels is None


# ---- what is wrong is one sentence that names the file


def error_of(action) -> str:
    with pytest.raises(DataError) as raised:
        action()
    message = str(raised.value)
    assert "\n" not in message
    return message


def test_versions_and_splits_that_are_not_there(city, tmp_path):
    assert "nowhere: the folder does not exist" in error_of(lambda: opened(tmp_path / "nowhere"))
    assert "holds none of v1.0-trainval, v1.0-mini, v1.0-test" in error_of(lambda: opened(tmp_path))
    said = error_of(lambda: opened(city, version="v1.0-trainval"))
    assert "there is no 'v1.0-trainval'; there is: v1.0-mini" in said
    assert "v1.0-mini has no split 'test'; it has: parametrization, pretrain, train, val, all" in error_of(
        lambda: opened(city, split="test")
    )
    said = error_of(lambda: opened(city, split="parametrization"))
    assert "scene.json: none of the scenes of split 'parametrization' is there; there are: scene-0061" in said


def test_mini_asked_from_a_trainval_root(root):
    (root / "v1.0-mini").rename(root / "v1.0-trainval")
    said = error_of(lambda: opened(root, version="v1.0-mini"))
    assert said.endswith("there is no 'v1.0-mini'; there is: v1.0-trainval")


def test_scenes_and_steps_that_leave_nothing(city):
    assert "the scene 'scene-0103' is not in split 'train'" in error_of(lambda: opened(city, scenes=["scene-0103"]))
    assert "the scene 'scene-0001' is not in this table" in error_of(lambda: opened(city, scenes=[1]))
    assert "scene_step 3 leaves none of the 2 scenes" in error_of(lambda: opened(city, scene_step=3))
    assert "sweeps must be at least 1" in error_of(lambda: opened(city, sweeps=0))
    assert "there is no camera 'CAM_TOP'" in error_of(lambda: opened(city, cameras=["CAM_TOP"]))
    assert error_of(lambda: opened(city, scenes=[])) == "nuscenes: scenes is empty; name some, or leave it out"
    assert "each camera once" in error_of(lambda: opened(city, cameras=["CAM_BACK", "CAM_BACK"]))


@pytest.mark.parametrize("name", reading.TABLES)
def test_a_missing_table(root, name):
    (root / "v1.0-mini" / f"{name}.json").unlink()
    assert error_of(lambda: opened(root)).endswith(f"v1.0-mini: a table is missing: {name}.json")


def test_missing_tables_of_boxes(root):
    for name in ("instance", "sample_annotation"):
        (root / "v1.0-mini" / f"{name}.json").unlink()
    said = error_of(lambda: opened(root, boxes=True))
    assert said.endswith("tables are missing: sample_annotation.json, instance.json")


@pytest.mark.parametrize("name", reading.TABLES)
@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b.replace(b":", b"", 1)])
def test_malformed_tables(root, name, damage):
    path = root / "v1.0-mini" / f"{name}.json"
    path.write_bytes(damage(path.read_bytes()))
    said = error_of(lambda: opened(root))
    assert f"{path}: the JSON is malformed" in said or said == f"{path} is empty; copy or download it again"


def test_a_large_table_that_is_cut_off_between_rows(root, monkeypatch):
    monkeypatch.setattr(tables, "CHUNK", 1000)
    path = root / "v1.0-mini" / "ego_pose.json"
    path.write_bytes(path.read_bytes().rstrip(b"\n]"))
    assert f"{path}: the JSON is malformed, or the file is cut off" in error_of(lambda: opened(root))


@pytest.mark.parametrize(
    ("name", "key"),
    [("scene", "name"), ("sample", "timestamp"), ("sample_data", "filename"), ("ego_pose", "rotation")],
)
def test_rows_that_lack_a_field_or_have_another_type(root, name, key):
    change(root, name, lambda rows: [row.update({key: None}) for row in rows])
    assert f"{name}.json: a row is not as in the official schema: Expected" in error_of(lambda: opened(root))
    change(root, name, lambda rows: rows[0].pop(key))
    assert f"required field `{key}`" in error_of(lambda: opened(root))


DANGLING = (
    ("sample", "scene_token", "scene"),
    ("sample_data", "sample_token", "sample"),
    ("sample_data", "calibrated_sensor_token", "calibrated_sensor"),
    ("sample_data", "ego_pose_token", "ego_pose"),
    ("calibrated_sensor", "sensor_token", "sensor"),
    ("sample_annotation", "sample_token", "sample"),
    ("sample_annotation", "instance_token", "instance"),
    ("instance", "category_token", "category"),
)


@pytest.mark.parametrize(("name", "column", "target"), DANGLING)
def test_dangling_tokens(root, name, column, target):
    change(root, name, lambda rows: rows[0].update({column: "feed"}))
    said = error_of(lambda: opened(root, boxes=True)[0])
    assert f"{name}.json: the {column} 'feed' is not in {target}.json" in said


def test_boxes_of_other_scenes_are_passed_over(city):
    last = opened(city, split="all", boxes=True)
    alone = opened(city, split="all", scenes=[553], boxes=True)
    np.testing.assert_array_equal(alone[1].boxes, last[last.ids.index("scene-0553/001")].boxes)


@pytest.mark.parametrize("damage", [lambda rows: rows.pop(1), lambda rows: rows[1].update(filename="")])
def test_a_keyframe_that_lidarseg_passes_over(root, damage):
    token = table(root, "lidarseg")[1]["sample_data_token"]
    change(root, "lidarseg", damage)
    said = error_of(lambda: opened(root))
    assert said.endswith(f"lidarseg.json: there is no file for '{token}', a keyframe of LIDAR_TOP")
    assert opened(root, scenes=[553])[0].labels is not None


def test_keyframes_that_a_sensor_lacks(root):
    def drop(rows):
        rows[:] = [row for row in rows if not ("samples/CAM_BACK/" in row["filename"] and "0061" in row["filename"])]

    change(root, "sample_data", drop)
    said = error_of(lambda: opened(root))
    assert "sample_data.json: 3 samples have no keyframe of CAM_BACK, such as sample" in said
    assert len(opened(root, cameras=["CAM_FRONT"])) == 5


def test_a_scene_without_samples_and_a_rotation_that_is_none(root):
    change(root, "ego_pose", lambda rows: rows[0].update(rotation=[0, 0, 0, 0]))
    assert "ego_pose.json: the rotation of" in error_of(lambda: opened(root))
    change(root, "calibrated_sensor", lambda rows: rows[2].update(camera_intrinsic=[[1.0, 2.0]]))
    assert "must be 3 x 3" in error_of(lambda: opened(root))
    change(root, "scene", lambda rows: rows.append({"token": "x", "name": "scene-0655"}))
    assert "1 scenes have no samples, such as scene-0655" in error_of(lambda: opened(root))


def test_sensor_files_that_are_absent_are_counted(root):
    data = opened(root)
    gone = data[1].files["points"]
    gone.unlink()
    shutil.rmtree(root / "samples" / "CAM_BACK")
    expected = "the file is missing; 1 of the 5 scans and 5 of the 30 images of split 'train' are absent"
    assert f"{gone}: {expected}" in error_of(lambda: data[1])
    said = error_of(lambda: data[0])
    assert f"samples{os.sep}CAM_BACK" in said
    assert expected in said


# ---- a part of the archives


def test_keyframes_without_their_files_are_left_out_and_counted(root):
    ids, files = opened(root).ids, [opened(root)[index].files["points"] for index in range(5)]
    files[1].unlink()
    data = opened(root)
    assert data.ids == [ids[0], *ids[2:]]
    assert data.dropped_frames == {"no sensor files": 1}
    assert len(data[1]) > 0
    opened(root).image_paths(3)[2].unlink()
    assert opened(root).ids == [ids[0], *ids[2:4]]
    assert opened(root, cameras=("CAM_FRONT",)).ids == [ids[0], *ids[2:]]
    # a step counts what the tables have, so that a larger part keeps what a smaller one had
    assert opened(root, frame_step=2).ids == [ids[0], ids[2]]


def test_a_camera_that_is_absent_in_one_scene_only(root):
    for path in (root / "samples" / "CAM_BACK").glob("scene-0061*"):
        path.unlink()
    data = opened(root)
    assert {one.split("/")[0] for one in data.ids} == {"scene-0553"}
    assert data.dropped_frames == {"no sensor files": 3}
    assert len(opened(root, cameras=("CAM_FRONT",))) == 5


def test_scans_between_keyframes_are_needed_for_sweeps_only(root):
    shutil.rmtree(root / "sweeps" / "LIDAR_TOP")
    assert len(opened(root)) == 5
    data = opened(root, sweeps=2)  # the first keyframes of the scenes have no scan before them
    assert [one[-3:] for one in data.ids] == ["000", "000"]
    assert all(len(scene) for scene in data)


def test_no_sensor_file_at_all_is_one_sentence(root):
    shutil.rmtree(root / "samples" / "CAM_BACK")
    said = error_of(lambda: opened(root))
    assert "none of the 5 keyframes of split 'train' has all of its files; absent are those of 5 of CAM_BACK: " in said
    assert "5 of CAM_BACK" not in error_of(lambda: opened(root, scenes=[1]))
    shutil.rmtree(root / "samples")
    assert "5 of LIDAR_TOP, 5 of CAM_FRONT, " in error_of(lambda: opened(root))


@pytest.mark.parametrize("name", ["../outside.bin", "/etc/passwd", "samples/../../outside", "", "..\\outside"])
def test_names_that_leave_the_root_are_refused(root, name):
    change(root, "sample_data", lambda rows: [row.update(filename=name) for row in rows if row["is_key_frame"]])
    said = error_of(lambda: opened(root))
    assert f"sample_data.json: the file name {name!a} must be relative and not lead out of the data's folder" in said


def test_names_of_labels_that_leave_the_root_are_refused(root):
    change(root, "lidarseg", lambda rows: rows[0].update(filename="../a.bin"))
    assert "lidarseg.json: the file name '../a.bin' must be relative" in error_of(lambda: opened(root))


@pytest.mark.parametrize("table_name", ["sample", "sample_data"])
@pytest.mark.parametrize("stamp", [2**63, 2**64 + 5, 10**400, -1, 1.5])
def test_time_stamps_that_are_none(root, table_name, stamp):
    change(root, table_name, lambda rows: [row.update(timestamp=stamp) for row in rows])
    said = error_of(lambda: opened(root))
    assert f"{table_name}.json: " in said


def stated(root: Path, size: tuple[int, int]) -> None:
    """Say in the tables which (height, width) images were recorded with."""
    change(root, "sample_data", lambda rows: [row.update(height=size[0], width=size[1]) for row in rows])


def test_intrinsics_follow_images_that_were_resized(root):
    stated(root, (synthetic.HEIGHT, synthetic.WIDTH))
    before = opened(root)[2]
    half = (synthetic.HEIGHT // 2, synthetic.WIDTH // 2)
    for path in (root / "samples").glob("CAM_*/*"):
        Image.open(path).resize(half[::-1]).save(path)
    after = opened(root)[2]
    for one, other in zip(before.views, after.views, strict=True):
        assert other.size == half
        pixels, _ = one.project(before.points)
        np.testing.assert_allclose(other.project(before.points)[0], (pixels + 0.5) / 2 - 0.5, atol=1e-9)
    stated(root, (0, 0))
    assert "are those of images of about 96 x 54 pixels, and the image has 48 x 27" in error_of(lambda: opened(root)[2])
    stated(root, (synthetic.HEIGHT, 2 * synthetic.WIDTH))
    assert "which is not the same picture at another size" in error_of(lambda: opened(root)[2])


def test_intrinsics_that_were_changed_with_the_images_are_taken_as_they_are(root):
    stated(root, (synthetic.HEIGHT, synthetic.WIDTH))
    before = opened(root)[2]
    for path in (root / "samples").glob("CAM_*/*"):
        Image.open(path).resize((synthetic.WIDTH // 2, synthetic.HEIGHT // 2)).save(path)
    half = [[30.0, 0, 23.5], [0, 30.0, 13.0], [0, 0, 1]]
    change(
        root,
        "calibrated_sensor",
        lambda rows: [row.update(camera_intrinsic=half) for row in rows if row["camera_intrinsic"]],
    )
    after = opened(root)[2]
    np.testing.assert_array_equal(after.views[0].intrinsics, half)
    assert len(after.pairs().point_index) == pytest.approx(len(before.pairs().point_index), rel=0.1)


def test_lidarseg_files_that_are_absent_are_counted(root):
    data = opened(root)
    gone = [data[index].files["labels"] for index in (1, 3)]
    for path in gone:
        path.unlink()
    said = error_of(lambda: data[1])
    assert said == f"{gone[0]}: the lidarseg file is missing; 2 of the 5 of split 'train' are absent"
    assert data[0].labels is not None
    shutil.rmtree(root / "lidarseg" / "v1.0-mini")
    (root / "lidarseg" / "v1.0-mini").mkdir()
    assert "5 of the 5 of split 'train' are absent" in error_of(lambda: data[0])


BAD_FILES = {
    "truncated": ("points", lambda b: b[:-3], "the scan is truncated"),
    "empty": ("points", lambda b: b"", "the file is empty, there are no points"),
    "nan": (
        "points",
        lambda b: b[:20] + np.full(5, np.nan, "<f4").tobytes() + b[40:],
        "points has 1 rows with NaN or infinity, the first is row 1",
    ),
    "few_labels": ("labels", lambda b: b[:-1], "labels for"),
    "unknown_label": ("labels", lambda b: b[:2] + bytes([77]) + b[3:], "label 77 of point 2 is not an id of nuScenes"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_damaged_file(root, case):
    field, damage, message = BAD_FILES[case]
    data = opened(root)
    path = data[0].files[field]
    path.write_bytes(damage(path.read_bytes()))
    said = error_of(lambda: data[0])
    assert message in said
    assert str(path) in said
    data[1].validate()


def test_nothing_left(city):
    assert "no point is left by ego_radius" in error_of(lambda: opened(city, ego_radius=1000)[0])


def test_boxes_are_validated(city):
    scene = opened(city, boxes=True)[0]
    path = city / "v1.0-mini" / "sample_annotation.json"
    good = scene.boxes.copy()
    scene.boxes = good[:, :6]
    assert f"{path}: boxes must be float64 (12, 7), not float64 (12, 6)" in error_of(scene.validate)
    scene.boxes = good.copy()
    scene.boxes[3, 6] = np.nan
    assert "boxes has 1 rows with NaN or infinity, the first is row 3" in error_of(scene.validate)
    scene.boxes[3, 6], scene.boxes[2, 4] = 0.0, 0.0
    assert "box 2 has a length, width or height that is not positive" in error_of(scene.validate)
    scene.boxes, scene.box_labels = good, scene.box_labels[:3]
    assert "box_labels must be int64 (12), not int64 (3,)" in error_of(scene.validate)
    scene.box_labels = np.full(12, -2)
    assert "box_labels must be >= -1" in error_of(scene.validate)


# ---- the real keyframe


def test_the_real_keyframe(real):
    data = opened(real, boxes=True)
    assert data.ids == ["scene-0061/000"]
    scene = data[0]
    assert len(scene) + scene.dropped == 34_688
    assert 0.1 < scene.dropped / 34_688 < 0.4
    assert scene.labels is None
    assert len(scene.boxes) == 69
    assert box_counts(scene)["barrier"] == 23
    ground = np.median(scene.points[np.hypot(*scene.points[:, :2].T) < 8, 2])
    assert -2.1 < ground < -1.6  # the LiDAR is 1.84 m above the road
    pairs = scene.pairs()
    assert (pairs.per_view(6) > 3000).all()
    assert 0.7 < len(np.unique(pairs.point_index)) / len(scene) < 0.85


def test_real_calibration_agrees_with_what_a_network_sees_in_the_images(real):
    """Points in the boxes of cars and trucks fall on pixels that a Cityscapes network calls so; road on road."""
    scene = opened(real, boxes=True)[0]
    pairs = scene.pairs(occlusion=0.1)
    seen = np.full(len(pairs.point_index), 255)
    for number, view in enumerate(scene.views):
        classes = np.array(Image.open(real / "cityscapes19" / view.name / f"{view.path.stem}.png"))
        mine = pairs.view_index == number
        u, v = np.round(pairs.pixels[mine]).astype(int).T
        seen[mine] = classes[v, u]
    low = scene.points[pairs.point_index, 2] < -1.5
    middle = np.abs(scene.points[pairs.point_index, 0]) < 3
    assert np.mean(seen[low & middle] == 0) > 0.9  # the lane of the vehicle is road
    tall = scene.points[pairs.point_index, 2] > 2
    assert np.isin(seen[tall], (2, 3, 8, 5)).mean() > 0.7  # what is high is building, wall, pole or vegetation


@pytest.mark.slow
def test_pixels_equal_those_of_the_official_devkit(real, tmp_path):
    """In an environment of its own, as the devkit needs an older NumPy; its points are float32, ours float64."""
    environment = tmp_path / "devkit"
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    steps = ([sys.executable, "-m", "venv", environment], [python, "-m", "pip", "install", "nuscenes-devkit==1.2.0"])
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"the devkit's environment cannot be made: {(done.stderr or done.stdout).strip()[-300:]}")
    script = Path(__file__).with_name("devkit_pixels.py")
    subprocess.run([python, script, real, "v1.0-mini", tmp_path / "pixels.npz"], check=True)
    theirs = np.load(tmp_path / "pixels.npz")
    scene = opened(real, ego_radius=0, boxes=True)[0]
    for view in scene.views:
        u, v, depth = theirs[view.name]
        pixels, z = view.project(scene.points)
        height, width = view.size
        seen = (depth > 1) & (u > 1) & (u < width - 1) & (v > 1) & (v < height - 1)
        assert seen.sum() == theirs[f"{view.name}_seen"].shape[1] > 3000
        assert np.abs(pixels[seen] - np.stack([u, v], axis=1)[seen]).max() < 0.05
        np.testing.assert_allclose(z, depth, atol=1e-3)
    boxes = theirs["boxes"]
    np.testing.assert_allclose(scene.boxes[:, :3], boxes[:, :3], atol=1e-6)
    np.testing.assert_allclose(scene.boxes[:, 3:6], boxes[:, [4, 3, 5]], atol=1e-9)
    np.testing.assert_allclose(scene.boxes[:, 6], np.arctan2(boxes[:, 7], boxes[:, 6]), atol=1e-6)
