from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointlift.data import camera
from pointlift.data.formats.ply import parse_ply_faces
from pointlift.data.formats.sens import SensFile
from pointlift.datasets.scannet import classes
from pointlift.datasets.scannet.dataset import ScanNet
from pointlift.datasets.scannet.mesh import vertex_normals
from pointlift.datasets.scannet.splits import SPLITS
from pointlift.errors import DataError, RecipeError
from pointlift.registry import DATASETS
from tests import fixtures_scannet as synthetic

TRAIN, VAL = "scene0000_00", "scene0011_00"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scannet")
    synthetic.write_scan(folder, TRAIN)
    synthetic.write_scan(folder, VAL, frames=30, export=False, sens=True)
    return folder


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """A copy of the scans that a test may damage."""
    return shutil.copytree(root, tmp_path / "scannet")


def opened(root: Path, **options) -> ScanNet:
    return DATASETS.build("scannet", root=root, **options)


# ---- lists and classes


def test_the_official_lists():
    assert {name: len(scans) for name, scans in SPLITS.items()} == {"train": 1201, "val": 312, "test": 100}
    spaces = {name: {scan[:9] for scan in scans} for name, scans in SPLITS.items()}
    assert not spaces["train"] & spaces["val"]
    assert spaces["train"] | spaces["val"] == {f"scene{number:04d}" for number in range(707)}
    assert SPLITS["test"] == tuple(f"scene{number:04d}_00" for number in range(707, 807))
    # some lines of the official files
    assert {"scene0191_02", "scene0630_06", "scene0673_05", "scene0567_01", "scene0706_00"} <= set(SPLITS["train"])
    assert {"scene0568_02", "scene0474_05", "scene0435_03", "scene0685_02", "scene0011_01"} <= set(SPLITS["val"])
    counts = Counter(scan[:9] for scan in SPLITS["train"])
    assert (counts["scene0000"], counts["scene0101"], counts["scene0692"], counts["scene0531"]) == (3, 6, 5, 1)


def test_the_classes():
    twenty, forty, many = (classes.CLASSES[name] for name in ("scannet20", "nyu40", "scannet200"))
    assert (twenty.names[0], twenty.names[12], twenty.names[-1]) == ("wall", "desk", "otherfurniture")
    assert (forty.names[12], forty.names[23], forty.names[-1]) == ("blinds", "refrigerator", "otherprop")
    by_id = dict(zip(many.ids, many.names, strict=True))
    some = {1: "wall", 22: "book", 35: "counter", 58: "stairs", 331: "guitar case", 1163: "object", 1191: "mattress"}
    assert {number: by_id[number] for number in some} == some
    assert (len(set(many.names)), len(twenty.colors)) == (200, 20)
    assert classes.BOX_IDS == (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39)
    assert len(classes.BOX_NAMES) == 18


# ---- frames


def test_every_25th_frame_without_those_that_lost_pose_or_depth(root):
    data = opened(root)
    assert data.ids == [f"{TRAIN}/000000"]
    assert data.dropped_frames == {"no pose": 1, "no depth": 1}
    assert opened(root, frame_step=10).ids == [f"{TRAIN}/{number:06d}" for number in (0, 10, 20, 30, 40)]
    assert opened(root, frame_step=5).dropped_frames == {"no pose": 1, "no depth": 1}
    assert opened(root, split="val").ids == [f"{VAL}/000000"]
    assert len(opened(root, split="all", frame_step=5)) == 9 + 5


def test_a_frame_has_its_points_on_the_walls_and_their_colours(root):
    for split, index in (("train", 3), ("val", 2)):  # exported, and a stream
        data = opened(root, split=split, frame_step=10)
        scene = data[min(index, len(data) - 1)].validate()
        pose = data.pose(min(index, len(data) - 1))
        world = camera.transform(pose, scene.points)
        assert np.abs(world[:, None] - synthetic.ROOM).min(axis=(1, 2)).max() < 3e-3
        assert np.abs(scene.features - synthetic.color_at(world)).max() < 0.06
        assert np.abs(scene.features - synthetic.color_at(world)).mean() < 0.01
        assert (scene.up_axis, scene.labels) == ("-y", None)
        assert len(scene) + scene.dropped == 24 * 32 - 12
        pairs = scene.pairs(min_depth=0.1, border=0.0)
        assert len(pairs.point_index) == len(scene)
        assert data.views(0)[0].size == (60, 80)
    assert len(opened(root, stride=4)[0]) < 60


def test_stream_and_export_give_the_same_frames(copy):
    (copy / "scans" / TRAIN / f"{TRAIN}.sens").write_bytes(synthetic.sens_bytes(51))
    exported, streamed = (opened(copy, frame_step=10, source=source) for source in ("export", "sens"))
    assert exported.ids == streamed.ids
    assert exported.dropped_frames == {"no pose": 0, "no depth": 1}
    np.testing.assert_allclose(exported[2].points, streamed[2].points, atol=1e-5)
    np.testing.assert_allclose(exported[2].features, streamed[2].features, atol=1e-2)
    np.testing.assert_allclose(exported.pose(2), streamed.pose(2), atol=1e-5)


def test_where_images_are_is_known_without_decoding_a_stream(root, monkeypatch):
    data = opened(root, split="val")
    monkeypatch.setattr(SensFile, "color", None)
    assert data.image_paths(0) == [None]
    exported = opened(root)
    assert exported.image_paths(0) == [view.path for view in exported.views(0)]
    scenes = opened(root, kind="scenes", views=3)
    assert scenes.image_paths(0) == [view.path for view in scenes.views(0)]


# ---- scenes


def test_a_whole_scene_is_upright_with_labels_and_objects(root):
    data = opened(root, kind="scenes")
    assert data.ids == [TRAIN]
    scene = data[0].validate()
    expected = camera.transform(synthetic.ALIGNMENT, synthetic.mesh_points())
    np.testing.assert_allclose(scene.points, expected, atol=1e-5)
    np.testing.assert_allclose(scene.features[:, 0] * 255, np.arange(24), atol=1e-4)
    assert (scene.up_axis, data.feature_names, scene.views) == ("z", ("red", "green", "blue"), [])
    names = [data.class_names[label] if label >= 0 else None for label in scene.labels[::4]]
    assert names == ["floor", "chair", "chair", "table", None, None]  # 40 is no class of the 20, 50 is a mistake
    assert scene.instances[::4].tolist() == [1, 2, 2, 3, 4, 0]
    np.testing.assert_allclose(camera.transform(data.pose(0), scene.points), synthetic.mesh_points(), atol=1e-5)
    raw = opened(root, kind="scenes", align=False)[0]
    np.testing.assert_allclose(raw.points, synthetic.mesh_points(), atol=1e-6)


def test_other_choices_of_classes(root):
    forty = opened(root, kind="scenes", classes="nyu40")
    assert [forty.class_names[v] for v in forty[0].labels[:20:4]] == ["floor", "chair", "chair", "table", "otherprop"]
    many = opened(root, kind="scenes", classes="scannet200")
    labels = many[0].labels[::4]
    assert [many.class_names[v] for v in labels[:4]] == ["floor", "office chair", "office chair", "table"]
    assert labels[4:].tolist() == [-1, -1]  # the table does not have the category; no object
    assert many.class_colors is None
    assert opened(root).prompts["otherfurniture"] == ("other furniture",)


def test_boxes_are_axis_aligned_around_the_objects_of_detection(root):
    scene = opened(root, kind="scenes", boxes=True)[0]
    assert [ScanNet.box_names[label] for label in scene.box_labels] == ["chair", "table"]
    for box, number in zip(scene.boxes, (2, 3), strict=True):
        mine = scene.points[scene.instances == number].astype(float)
        np.testing.assert_allclose(box[:3], (mine.min(0) + mine.max(0)) / 2, atol=1e-6)
        np.testing.assert_allclose(box[3:6], np.maximum(np.ptp(mine, axis=0), 1e-3), atol=1e-6)
        assert box[6] == 0
    assert scene.boxes[0, 5] == pytest.approx(0.4, abs=1e-5)


def test_normals_are_those_of_the_triangles_turned_with_the_room(root):
    data = opened(root, kind="scenes", normals=True)
    assert data.feature_names[3:] == ("nx", "ny", "nz")
    features = data[0].features
    assert data[0].normal_columns == (3, 4, 5)
    assert opened(root, kind="scenes")[0].normal_columns is None
    np.testing.assert_allclose(features[:4, 3:], np.tile([0, 0, 1], (4, 1)), atol=1e-6)  # the floor
    corners = synthetic.mesh_points()[8:11]
    normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    normal = synthetic.ALIGNMENT[:3, :3] @ normal / np.linalg.norm(normal)
    np.testing.assert_allclose(features[8:12, 3:], np.tile(normal, (4, 1)), atol=1e-6)


def test_vertex_normals_against_a_loop_over_triangles():
    rng = np.random.default_rng(0)
    points, triangles = rng.normal(size=(9, 3)), rng.integers(0, 8, (12, 3))
    expected = np.zeros((9, 3))
    for a, b, c in triangles:
        for corner in (a, b, c):
            expected[corner] += np.cross(points[b] - points[a], points[c] - points[a]) / 2
    lengths = np.linalg.norm(expected, axis=1, keepdims=True)
    expected = np.divide(expected, lengths, out=np.zeros_like(expected), where=lengths > 0)
    np.testing.assert_allclose(vertex_normals(points, triangles), expected, atol=1e-12)
    assert not expected[8].any()  # no triangle has it


def test_scenes_with_views_see_what_the_frames_see(root):
    data = opened(root, kind="scenes", views=3, frame_step=10)
    scene = data[0].validate()
    assert [view.name for view in scene.views] == ["000000", "000020", "000040"]
    frames = opened(root, frame_step=10)
    assert frames.ids[2] == f"{TRAIN}/000020"
    points = frames[2].points[:9]
    in_room = camera.transform(synthetic.ALIGNMENT @ frames.pose(2), points)
    direct, _ = frames.views(2)[0].project(points)
    through_room, _ = scene.views[1].project(in_room)
    np.testing.assert_allclose(through_room, direct, atol=1e-3)
    assert [view.name for view in data.views(0)] == [view.name for view in scene.views]


def test_scans_without_annotation_have_no_labels(copy):
    (copy / "scans").rename(copy / "scans_test")
    shutil.move(copy / "scans_test" / TRAIN, copy / "scans_test" / "scene0707_00")
    scan = copy / "scans_test" / "scene0707_00"
    for path in list(scan.iterdir()):
        if path.is_file():
            path.rename(path.with_name(path.name.replace(TRAIN, scan.name)))
    for pattern in ("*.labels.ply", "*.json", "*.txt"):
        for path in scan.glob(pattern):
            path.unlink()
    scene = opened(copy, split="test", kind="scenes", boxes=True, classes="scannet200")[0]
    assert (scene.id, scene.labels, scene.instances, scene.boxes) == ("scene0707_00", None, None, None)
    np.testing.assert_allclose(scene.points, synthetic.mesh_points(), atol=1e-6)


def test_lists_of_ones_own_and_single_scans(root, tmp_path):
    (tmp_path / "mine.txt").write_text(f"{VAL}\n{TRAIN}\n")
    assert opened(root, scene_list=tmp_path / "mine.txt", kind="scenes").ids == [TRAIN, VAL]
    assert opened(root, split="all", scenes=[VAL], kind="scenes").ids == [VAL]
    with pytest.raises(DataError, match=r"none\.txt: the file is missing"):
        opened(root, scene_list=tmp_path / "none.txt")
    with pytest.raises(DataError, match=r"the scan 'scene0011_00' is not in split 'train'"):
        opened(root, scenes=[VAL])
    with pytest.raises(DataError, match=r"there is no scan 'scene0001_00' on disk"):
        opened(root, scenes=["scene0001_00"])
    with pytest.raises(DataError, match=r"none of the 100 scans of split 'test' is on disk"):
        opened(root, split="test")


# ---- bad input


def test_missing_parts(copy, tmp_path):
    scan = copy / "scans" / TRAIN
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: the folder holds neither scans, nor scans such as scene0000_00"):
        opened(tmp_path / "empty")
    with pytest.raises(DataError, match=r"nowhere: the folder does not exist"):
        opened(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"normals, boxes and views are for kind 'scenes'"):
        opened(copy, boxes=True)
    with pytest.raises(RecipeError, match="frame_step"):
        opened(copy, frame_step=0)
    (scan / "pose" / "0.txt").unlink()
    with pytest.raises(DataError, match=r"pose/0\.txt: the pose is missing"):
        opened(copy)
    (scan / "color" / "25.jpg").unlink()
    with pytest.raises(DataError, match=r"color: frame 25 has a depth image but no colour image"):
        opened(copy)
    shutil.rmtree(scan / "depth")
    with pytest.raises(DataError, match=r"there are neither exported frames .* nor scene0000_00\.sens"):
        opened(copy)


def test_a_pose_that_is_not_rigid_and_no_frames_left(copy):
    scan = copy / "scans" / TRAIN
    np.savetxt(scan / "pose" / "0.txt", np.diag([1.0, 2, 1, 1]))
    with pytest.raises(DataError, match=r"pose/0\.txt: the pose is not rigid"):
        opened(copy)[0]
    np.savetxt(scan / "pose" / "0.txt", synthetic.LOST)
    with pytest.raises(
        DataError, match=r"no frame of split 'train' is left by frame_step; 2 have no pose, 1 have no depth"
    ):
        opened(copy)


def relabelled(copy: Path, value: int, count: int = 24) -> None:
    vertices = np.zeros(count, [("x", "<f4"), ("label", "<u2")])
    vertices["label"] = value
    faces = np.zeros(1, [("n", "u1"), ("i", "<i4", (3,))])
    synthetic.write_ply(copy / "scans" / TRAIN / f"{TRAIN}_vh_clean_2.labels.ply", vertices, faces)


def test_labels_that_do_not_fit(copy):
    relabelled(copy, 41)
    with pytest.raises(DataError, match=r"labels\.ply: the label 41 of vertex 0 is not an id of NYU40"):
        opened(copy, kind="scenes")[0]
    relabelled(copy, 1, count=23)
    with pytest.raises(DataError, match=r"labels\.ply: there are labels of 23 vertices, the mesh has 24"):
        opened(copy, kind="scenes")[0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            f"{TRAIN}_vh_clean_2.0.010000.segs.json",
            {"segIndices": [1, 2]},
            "there are 2 segment numbers for 24 vertices",
        ),
        (f"{TRAIN}_vh_clean_2.0.010000.segs.json", {}, r"segs\.json: .*missing required field `segIndices`"),
        (
            f"{TRAIN}.aggregation.json",
            {"segGroups": [{"label": "a"}]},
            "missing required field `segments`",
        ),
        (f"{TRAIN}.aggregation.json", [], "Expected `object`, got `array`"),
        (f"{TRAIN}.aggregation.json", None, "the file is not JSON"),
        (f"{TRAIN}.txt", "axisAlignment = 1 2 3", r"axisAlignment: a pose is a 4 x 4 matrix, not one of 3 numbers"),
        (f"{TRAIN}.txt", "axisAlignment = a", "axisAlignment is not a row of numbers"),
    ],
)
def test_broken_annotation(copy, name, content, message):
    text = content if isinstance(content, str) else "{" if content is None else json.dumps(content)
    (copy / "scans" / TRAIN / name).write_text(text)
    with pytest.raises(DataError, match=message):
        opened(copy, kind="scenes")[0]


def test_broken_tables_and_meshes(copy):
    table = copy / classes.TABLE
    table.write_text("id\traw_category\n1\twall\n")
    with pytest.raises(DataError, match=r"combined\.tsv: the table has no column 'nyu40id'; it has: id, raw_category"):
        opened(copy, kind="scenes", boxes=True)[0]
    table.write_text("id\traw_category\tnyu40id\nx\twall\t1\n")
    with pytest.raises(DataError, match=r"combined\.tsv: line 2 has no whole numbers as id and nyu40id"):
        opened(copy, kind="scenes", classes="scannet200")[0]
    table.unlink()
    with pytest.raises(DataError, match=r"combined\.tsv: the file is missing"):
        opened(copy, kind="scenes", classes="scannet200")[0]
    mesh = copy / "scans" / TRAIN / f"{TRAIN}_vh_clean_2.ply"
    mesh.write_bytes(mesh.read_bytes()[:-10])
    assert len(opened(copy, kind="scenes")[0]) == 24  # faces are read for normals only
    with pytest.raises(DataError, match=r"the file is truncated: its header promises 12 of 'face'"):
        opened(copy, kind="scenes", normals=True)[0]
    relabelled(copy, 1)
    shutil.copy(mesh.with_name(f"{TRAIN}_vh_clean_2.labels.ply"), mesh)
    with pytest.raises(DataError, match=r"the vertices have no property 'y'; they have: x, label"):
        opened(copy, kind="scenes")[0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("segs", {"segIndices": [[1, 2], [3]]}, "Expected `int`, got `array`"),
        ("segs", {"segIndices": [1.5] * 24}, "Expected `int`, got `float`"),
        ("segs", {"segIndices": [2**70] * 24}, r"segs\.json: the file is not"),
        ("segs", {"segIndices": {"a": 1}}, "Expected `array`, got `object`"),
        ("aggregation", {"segGroups": [{"label": "wall", "segments": [1.9]}]}, "Expected `int`, got `float`"),
        ("aggregation", {"segGroups": [{"label": ["wall"], "segments": []}]}, "Expected `str`, got `array`"),
        ("aggregation", {"segGroups": [7]}, "Expected `object`, got `int`"),
    ],
)
def test_ragged_annotation(copy, name, content, message):
    files = {"segs": f"{TRAIN}_vh_clean_2.0.010000.segs.json", "aggregation": f"{TRAIN}.aggregation.json"}
    (copy / "scans" / TRAIN / files[name]).write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        opened(copy, kind="scenes")[0]


def test_deep_nesting_is_said(copy):
    (copy / "scans" / TRAIN / f"{TRAIN}.aggregation.json").write_text('{"segGroups": ' + "[" * 100_000)
    with pytest.raises(DataError, match=r"aggregation\.json: the file is not"):
        opened(copy, kind="scenes")[0]


@pytest.mark.parametrize(
    "row",
    [
        "-3\tfloor\tfloor\t1\t2\t5",
        "3\tfloor\tfloor\t1\t-2\t5",
        "1_0\tfloor\tfloor\t1\t2\t5",
        "3\tfloor\tfloor",
        "9999999999999999999999\tfloor\tfloor\t1\t2\t5",
        "3\tfloor\tfloor\t1\t2.0\t5",
    ],
)
def test_ids_that_would_count_as_others_are_refused(copy, row):
    table = copy / classes.TABLE
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], row, *lines[2:]]))
    with pytest.raises(DataError, match=r"combined\.tsv: line 2 has no whole numbers as id and nyu40id"):
        opened(copy, kind="scenes", classes="scannet200")[0]


def test_ids_beyond_nyu40_and_fields_without_end(copy):
    table = copy / classes.TABLE
    heading = table.read_text().splitlines()[0]
    table.write_text(f"{heading}\n3\tfloor\tfloor\t1\t41\t5\n")
    with pytest.raises(DataError, match=r"line 2 has the nyu40id 41, which is not one of 0 to 40"):
        opened(copy, kind="scenes", boxes=True)[0]
    table.write_text(f"{heading}\n3\t{'floor' * 50_000}\tfloor\t1\t4\t5\n")
    with pytest.raises(DataError, match=r"combined\.tsv: the file is not a table of columns with tabs"):
        opened(copy, kind="scenes", boxes=True)[0]


# ---- images that are not as they were recorded


def resize(scan: Path, part: str, size: tuple[int, int]) -> None:
    for path in (scan / part).iterdir():
        Image.open(path).resize(size, Image.Resampling.NEAREST if part == "depth" else None).save(path)


def say_sizes(scan: Path, color: tuple[int, int] = (80, 60), depth: tuple[int, int] = (32, 24)) -> None:
    """Width and height of both cameras as recorded."""
    sizes = zip(("colorWidth", "colorHeight", "depthWidth", "depthHeight"), (*color, *depth), strict=True)
    (scan / f"{scan.name}.txt").write_text("".join(f"{key} = {value}\n" for key, value in sizes))


@pytest.mark.parametrize("size", [(40, 30), (160, 120), (32, 24), (48, 36)])
def test_intrinsics_follow_colour_images_that_were_resized(copy, size):
    scan = copy / "scans" / TRAIN
    say_sizes(scan)
    before = opened(copy)[0]
    resize(scan, "color", size)
    after = opened(copy)[0]
    assert after.views[0].size == size[::-1]
    assert len(after) == pytest.approx(len(before), abs=10)
    color = synthetic.color_at(camera.transform(opened(copy).pose(0), after.points))
    assert np.abs(after.features - color).mean() < 0.03


def test_intrinsics_follow_depth_images_that_were_resized(copy):
    scan = copy / "scans" / TRAIN
    say_sizes(scan)
    resize(scan, "depth", (64, 48))
    data = opened(copy)
    world = camera.transform(data.pose(0), data[0].points)
    assert np.median(np.abs(world[:, None] - synthetic.ROOM).min(axis=(1, 2))) < 0.05


def test_intrinsics_that_were_scaled_with_the_images_are_taken_as_they_are(copy):
    scan = copy / "scans" / TRAIN
    say_sizes(scan)
    resize(scan, "color", (40, 30))
    K = camera.resize_intrinsics(synthetic.COLOR_K, (60, 80), (30, 40))
    np.savetxt(scan / "intrinsic" / "intrinsic_color.txt", synthetic.square(K))
    np.testing.assert_allclose(opened(copy).views(0)[0].intrinsics, K)


def test_resized_images_without_their_recorded_size_are_refused(copy):
    scan = copy / "scans" / TRAIN
    resize(scan, "color", (40, 30))
    with pytest.raises(DataError, match=r"0\.jpg: colour camera: .* of images of about 79 x 61 pixels"):
        opened(copy)
    say_sizes(scan)
    resize(scan, "color", (30, 30))
    with pytest.raises(DataError, match=r"has 30 x 30 pixels and its intrinsics belong to 80 x 60, which is not"):
        opened(copy)
    say_sizes(scan, color=(0, 60))
    with pytest.raises(DataError, match=r"scene0000_00\.txt: colorHeight and colorWidth are not numbers of pixels"):
        opened(copy)


def test_names_with_zeros_capitals_and_other_folders_of_intrinsics(copy):
    scan = copy / "scans" / TRAIN
    expected = opened(copy)[0]
    for path in (scan / "color").iterdir():
        path.rename(path.with_name(f"{int(path.stem):06d}.JPG"))
    for path in (scan / "depth").iterdir():
        path.rename(path.with_suffix(".PNG"))
    for part in ("color", "depth"):
        (scan / "intrinsic" / f"intrinsic_{part}.txt").rename(scan / f"intrinsics_{part}.txt")
        (scan / "intrinsic" / f"extrinsic_{part}.txt").rename(scan / f"extrinsic_{part}.txt")
    np.testing.assert_array_equal(opened(copy)[0].features, expected.features)
    shutil.copy(scan / "color" / "000025.JPG", scan / "color" / "25.jpg")
    with pytest.raises(DataError, match=r"color: 000025\.JPG and 25\.jpg are both of frame 25; only one"):
        opened(copy)


@pytest.mark.parametrize("text", ["", "1.#QNAN 0 0 0\n" * 4, "0 0 0 0\n" * 4])
def test_other_ways_to_say_that_tracking_was_lost(copy, text):
    (copy / "scans" / TRAIN / "pose" / "0.txt").write_text(text)
    with pytest.raises(DataError, match=r"is left by frame_step; 2 have no pose, 1 have no depth"):
        opened(copy)


# ---- faces of PLY files

ASCII = (
    "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
    "element face 2\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n3 0 1 2\n3 0 2 3\n"
)


def test_faces_of_ascii_and_binary_files(root):
    assert parse_ply_faces(ASCII.encode(), Path("a.ply")).tolist() == [[0, 1, 2], [0, 2, 3]]
    path = root / "scans" / TRAIN / f"{TRAIN}_vh_clean_2.ply"
    faces = parse_ply_faces(path.read_bytes(), path)
    assert faces.shape == (12, 3)
    assert faces[:3].tolist() == [[0, 1, 2], [0, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("3 0 2 3", "3 0 2 4", "a face names vertex 4, the mesh has 4 vertices"),
        ("3 0 2 3", "2 0 2", "face 1 is not a triangle"),
        ("3 0 2 3", "4 0 2 3 1", "face 1 is not a triangle"),
        ("3 0 2 3", "2 0 2 3", "row 1 of 'face' is not as the header says: 2 0 2 3"),
        ("3 0 2 3", "3 0 1.9 3", "value 4: 'vertex_indices' is 1.9, which does not fit its type int32"),
        ("element face 2", "element face 0", "the mesh has no faces"),
        ("element face 2", "element edge 2", "the mesh has no faces"),
        ("vertex_indices\n", "corners\nproperty list uchar int more\n", "each face must have one list of its vertices"),
    ],
)
def test_bad_faces(old, new, message):
    with pytest.raises(DataError, match=rf"a\.ply: {message}"):
        parse_ply_faces(ASCII.replace(old, new).encode(), Path("a.ply"))
