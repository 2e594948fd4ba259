from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointlift import cli
from pointlift.commands.check import check, tables
from pointlift.data import camera
from pointlift.data.formats import depth_images, rgbd
from pointlift.data.formats.depth_images import DepthCode, read_depth
from pointlift.data.formats.matrices import read_intrinsics
from pointlift.data.opening import open_dataset
from pointlift.datasets.rgbd.dataset import RGBD
from pointlift.datasets.rgbd.layouts import held_out, natural_order
from pointlift.errors import DataError, RecipeError
from pointlift.registry import DATASETS
from tests import fixtures_scannet as synthetic

SPLITS = {"held_out": 2, "gap": 1}
FAR = np.random.default_rng(0).integers(20_000, 60_000, (24, 32)).astype(np.uint16)
"""Readings beyond all depth, in a file that is as large as one of a real frame."""


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.write_sequence(tmp_path_factory.mktemp("rgbd") / "office", 6)


@pytest.fixture
def copy(sequence: Path, tmp_path: Path) -> Path:
    """A sequence that a test may damage."""
    return shutil.copytree(sequence, tmp_path / "office")


def opened(root: Path, **options) -> RGBD:
    return DATASETS.build("rgbd", root=root, **{"split": "all", **options})


# ---- geometry


def test_back_projection_is_that_of_the_camera_module_and_stride_takes_every_nth_pixel():
    rng = np.random.default_rng(0)
    depth = rng.uniform(0.5, 4, (7, 9)) * (rng.random((7, 9)) > 0.3)
    K = np.array([[20.0, 0.5, 4], [0, 21, 3], [0, 0, 1]])
    for stride in (1, 2, 3):
        points, rows, columns = rgbd.back_project(depth, K, stride)
        grid = camera.back_project(depth, K)
        kept = np.zeros((7, 9), bool)
        kept[::stride, ::stride] = True
        kept &= depth > 0
        np.testing.assert_allclose(points, grid[kept], atol=1e-12)
        assert np.array_equal(np.argwhere(kept), np.stack([rows, columns], axis=1))


def test_bilinear_sampling_against_four_neighbours_one_by_one():
    rng = np.random.default_rng(1)
    image = rng.integers(0, 255, (5, 6, 3), dtype=np.uint8)
    pixels = np.array([[0, 0], [5, 4], [1.25, 2.5], [4.9, 0.1], [-0.4, 4.4], [2, 3.75]])
    for (u, v), got in zip(pixels, rgbd.bilinear(image, pixels), strict=True):
        u, v = min(max(u, 0), 5), min(max(v, 0), 4)
        expected = np.zeros(3)
        for y in range(5):
            for x in range(6):
                expected += max(0, 1 - abs(x - u)) * max(0, 1 - abs(y - v)) * image[y, x]
        np.testing.assert_allclose(got, expected, atol=1e-4)


def test_depth_in_metres_leaves_out_invalid_near_and_far_readings():
    code = DepthCode(scale=5000, invalid=(0, 65535, 7000), min_depth=0.5, max_depth=12.0)
    raw = np.array([[0, 65535, 7000, 2499, 2500, 60000, 60001]], np.uint16)
    assert code.metres(raw).tolist() == [[0, 0, 0, 0, 0.5, 12.0, 0]]


def test_held_out_frames_are_the_last_and_the_gap_belongs_to_neither():
    assert list(held_out(10, "train", 3, 2)) == [0, 1, 2, 3, 4]
    assert list(held_out(10, "val", 3, 2)) == [7, 8, 9]
    assert len(held_out(10, "all", 3, 2)) == 10
    assert len(held_out(2, "train", 3, 2)) == 0
    assert held_out(10, "val", 3, 2, block=1) == [4, 5, 6]
    assert held_out(10, "train", 3, 2, block=1) == [0, 1, 9]
    assert held_out(10, "val", 3, 2, block=3) == [0]
    assert held_out(10, "train", 3, 2, block=3) == [3, 4, 5, 6, 7, 8, 9]
    assert held_out(10, "val", 3, 2, block=4) == []
    assert held_out(10, "train", 3, 2, block=4) == list(range(10))
    assert sorted(["learn10", "learn2", "a", "7"], key=natural_order) == ["7", "a", "learn2", "learn10"]


# ---- reading


def test_a_sequence_in_the_layout_of_7_scenes(sequence):
    data = opened(sequence)
    assert data.ids == [f"office/{number:06d}" for number in range(0, 60, 10)]
    assert opened(sequence, split="train", **SPLITS).ids == data.ids[:3]
    assert opened(sequence, split="val", **SPLITS).ids == data.ids[4:]
    assert opened(sequence, split="train", frame_step=2, **SPLITS).ids == [data.ids[0], data.ids[2]]
    scene = data[2].validate()
    assert (scene.id, scene.up_axis, scene.labels, scene.dropped) == ("office/000020", "-y", None, 0)
    assert len(scene) == 24 * 32 - 12  # the hole
    assert scene.features.dtype == np.float32
    assert data.feature_names == ("red", "green", "blue")
    assert [view.name for view in scene.views] == [view.name for view in data.views(2)] == ["color"]
    assert len(opened(sequence, stride=4)[0]) < len(scene) / 15


def test_points_are_on_the_walls_in_the_frame_of_the_world(sequence):
    data = opened(sequence)
    for index in (0, 5):
        world = camera.transform(data.pose(index), data[index].points)
        to_wall = np.abs(world[:, None] - synthetic.ROOM).min(axis=(1, 2))
        assert to_wall.max() < 2e-3  # depth is in whole millimetres
        np.testing.assert_allclose(data.pose(index), synthetic.pose(index), atol=1e-12)


def test_registered_colours_are_those_of_the_same_pixel(sequence):
    scene = opened(sequence)[1]
    raw, color = synthetic.frame(1, registered=True)
    np.testing.assert_array_equal(scene.features, (color[raw > 0] / 255).astype(np.float32))
    pairs = scene.pairs(min_depth=0.1, border=0.0)
    assert len(pairs.point_index) == len(scene)
    rows, columns = np.nonzero(raw)
    np.testing.assert_allclose(pairs.pixels, np.stack([columns, rows], axis=1), atol=1e-3)


def test_colours_of_another_camera_are_found_by_its_projection(tmp_path):
    root = synthetic.write_sequence(tmp_path / "office", 3, registered=False)
    transform = synthetic.COLOR_FROM_DEPTH.ravel().tolist()
    data = opened(root, color_intrinsics=synthetic.COLOR_K.ravel().tolist(), color_from_depth=transform)
    scene = data[1]
    expected = synthetic.color_at(camera.transform(data.pose(1), scene.points))
    assert np.abs(scene.features - expected).max() < 0.02
    assert scene.dropped + len(scene) == 24 * 32 - 12
    assert 0 < scene.dropped < 200  # the colour camera sees a little less
    pairs = scene.pairs(min_depth=0.1, border=0.0)
    assert len(pairs.point_index) == len(scene)
    sampled = rgbd.bilinear(scene.views[0].image, pairs.pixels.astype(float)) / 255
    np.testing.assert_allclose(sampled, scene.features[pairs.point_index], atol=1e-3)
    # without the shift between the cameras the colours are worse
    off = opened(root, color_intrinsics=synthetic.COLOR_K.ravel().tolist())[1]
    wrong = np.abs(off.features - synthetic.color_at(camera.transform(data.pose(1), off.points)))
    assert wrong.mean() > 3 * np.abs(scene.features - expected).mean()


def test_white_stays_white():
    rng = np.random.default_rng(0)
    white = np.full((9, 9, 3), 255, np.uint8)
    rig = rgbd.Rig(
        np.array([[30.0, 0, 4], [0, 30, 4], [0, 0, 1]]), np.array([[28.1, 0, 4.2], [0, 28.3, 4.1], [0, 0, 1]])
    )
    colors = rgbd.colored_cloud(rng.uniform(1, 2, (9, 9)), white, rig).colors
    assert colors.max() <= 1
    assert colors.min() > 0.999


def test_intrinsics_come_from_a_file_or_from_numbers(copy):
    four = [30.0, 30.0, 15.5, 11.5]
    expected = opened(copy)[0].points
    (copy / "camera-intrinsics.txt").rename(copy / "K.txt")
    np.testing.assert_array_equal(opened(copy, intrinsics="K.txt")[0].points, expected)
    np.testing.assert_array_equal(opened(copy, intrinsics=four)[0].points, expected)
    (copy / "intrinsics.txt").write_text("30, 30, 15.5, 11.5\n")
    np.testing.assert_array_equal(opened(copy)[0].points, expected)


def test_several_sequences_are_split_one_by_one(sequence, tmp_path):
    for name in ("seq-01", "seq-02"):
        shutil.copytree(sequence, tmp_path / "all" / "chess" / name)
    data = opened(tmp_path / "all", split="val", held_out=1)
    assert data.ids == ["chess/seq-01/000050", "chess/seq-02/000050"]
    assert len(data[1]) > 0


def test_the_layout_of_mosd_with_labels_and_objects(tmp_path):
    data = opened(synthetic.write_mosd(tmp_path / "mosd"), depth_scale=5000)
    assert data.ids[1:3] == ["mosd/learn1", "mosd/learn2"]
    assert data.ids[-1] == "mosd/learn11"
    assert data.class_names == ("table", "object")
    scene = data[0]
    rows = np.nonzero(synthetic.frame(0)[0])[0]
    assert set(scene.labels[rows < 8]) == {-1}
    assert np.unique(scene.instances).tolist() == [0, 1, 2, 3]  # none, the table, both parts of object 1, object 2
    np.testing.assert_array_equal(scene.labels, np.array([-1, 0, 1, 1])[scene.instances])
    assert data.pose(0) is None


def test_label_images_with_classes_of_ones_own(tmp_path):
    root = synthetic.write_mosd(tmp_path / "own", 1)
    names = tuple(f"class {value}" for value in range(1, 34))
    data = opened(root, depth_scale=5000, classes=names)
    assert data.class_names == names
    assert set(data[0].labels) == {-1, 1, 19, 20, 32}
    assert data[0].instances is None
    with pytest.raises(DataError, match=r"learn0\.png: the label 33 is not one of the 2 classes: floor, box"):
        opened(root, depth_scale=5000, classes=("floor", "box"))[0]


# ---- bad input


def spoil(copy: Path, name: str, content: np.ndarray | str | None) -> Path:
    path = copy / f"frame-000010.{name}"
    if content is None:
        path.unlink()
    elif isinstance(content, str):
        path.write_text(content)
    else:
        Image.fromarray(content).save(path)
    return copy


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("pose.txt", None, r"frame-000010\.pose\.txt: the pose of frame 000010 is missing, though other frames"),
        ("color.png", None, r"frame-000010\.color\.png: the colour image of frame 000010 is missing"),
        ("depth.png", None, r"frame-000010\.depth\.png: the depth image of frame 000010 is missing"),
        ("pose.txt", "1 0 0 0\n0 1 0 0\n0 0 1 0\n", r"pose\.txt: a pose is a 4 x 4 matrix, not one of 3 x 4 numbers"),
        ("pose.txt", "2 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1", r"pose\.txt: the pose is not rigid \(R Rᵀ differs from I"),
        ("pose.txt", "1 0 0 0\n0 1 0 0\n0 0 -1 0\n0 0 0 1", r"pose\.txt: the pose is not rigid .* is -1,"),
        ("pose.txt", "1 0 0 x\n", r"pose\.txt: the file is not a table of numbers"),
        ("pose.txt", "1 0\n0\n", r"pose\.txt: the file is not a matrix"),
        ("depth.png", np.ones((24, 32), np.uint8), r"depth\.png: a depth image has 16 bits per pixel .* mode L"),
        ("depth.png", np.ones((24, 32, 3), np.uint8), r"depth\.png: a depth image has 16 bits per pixel .* mode RGB"),
        ("depth.png", "nothing", r"depth\.png: the image cannot be decoded"),
        ("depth.png", np.full((12, 16), 900, np.uint16), r"16 x 12 pixels and the colour image .* need the intrinsics"),
        ("depth.png", FAR, r"frame has no points: none of its 768 pixels .* between 0\.1 and 10 m \(0 have no reading"),
    ],
)  # fmt: skip
def test_broken_frames(copy, name, content, message):
    with pytest.raises(DataError, match=message):
        opened(spoil(copy, name, content))[1]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("pose.txt", None, "frame-000010.pose.txt: the pose of frame 000010 is missing"),
        ("depth.png", np.full((12, 16), 900, np.uint16), "the depth image has 16 x 12 pixels and the colour image"),
    ],
)
def test_the_command_line_says_one_sentence(copy, tmp_path, capsys, name, content, said):
    spoil(copy, name, content)
    with pytest.raises(SystemExit) as caught:
        cli.main(["check", "rgbd", "--data-root", str(copy), "--split", "all", "--out", str(tmp_path / "out")])
    error = capsys.readouterr().err.strip()
    assert (caught.value.code, len(error.splitlines())) == (2, 1)
    assert error.startswith("error: ")
    assert said in error


@pytest.mark.parametrize("reading", [0, 65535, 60_000, [0, 65535]])
def test_frames_without_depth_are_dropped_and_the_split_does_not_move(copy, reading):
    parts = {split: opened(copy, split=split, **SPLITS).ids for split in ("train", "val", "all")}
    empty = np.resize(np.array(reading, np.uint16), (24, 32))
    for number in (1, 5):
        Image.fromarray(empty).save(copy / f"frame-{10 * number:06d}.depth.png")
    lost = {f"office/{number:06d}" for number in (10, 50)}
    for split, ids in parts.items():
        data = opened(copy, split=split, **SPLITS)
        assert data.ids == [one for one in ids if one not in lost]
        assert data.dropped_frames == {"no pose": 0, "no depth": len(ids) - len(data)}
        assert all(len(scene) for scene in data)
    assert opened(copy, frame_step=5).dropped_frames == {"no pose": 0, "no depth": 1}


def test_a_frame_whose_readings_a_stride_passes_over_is_dropped(copy):
    depth = np.zeros((24, 32), np.uint16)
    depth[1, 1] = 900
    Image.fromarray(depth).save(copy / "frame-000010.depth.png")
    assert len(opened(copy)[1]) == 1
    assert opened(copy, stride=2).dropped_frames == {"no pose": 0, "no depth": 1}


def test_full_depth_images_are_not_read_at_opening(copy, monkeypatch):
    for path in copy.glob("*.depth.png"):
        Image.fromarray(np.asarray(Image.open(path))).save(path, compress_level=0)
    monkeypatch.setattr(depth_images, "read_depth", None)
    assert opened(copy).dropped_frames == {"no pose": 0, "no depth": 0}


def test_no_depth_in_any_frame_is_one_sentence(copy):
    for path in copy.glob("*.depth.png"):
        Image.fromarray(np.zeros((24, 32), np.uint16)).save(path)
    with pytest.raises(
        DataError, match=r"office: none of the 6 frames of split 'all' has a depth between 0\.1 and 10 m"
    ):
        opened(copy)


def test_dropped_frames_are_shown_by_check_and_said_where_a_recipe_is_opened(copy, caplog):
    Image.fromarray(np.zeros((24, 32), np.uint16)).save(copy / "frame-000010.depth.png")
    report = check(opened(copy), limit=1)
    assert report["dropped_frames"] == {"no pose": 0, "no depth": 1}
    assert ["frames left out: no depth", "1"] in tables(report)[0][2]
    with caplog.at_level(logging.INFO):
        open_dataset(DATASETS.options("rgbd")(root=copy, split="all"))
    assert caplog.messages == ["rgbd: frames are left out, 1 with no depth"]


def test_images_of_different_size_need_the_colour_camera(tmp_path):
    root = synthetic.write_sequence(tmp_path / "office", 2, registered=False)
    with pytest.raises(
        DataError, match=r"32 x 24 pixels and the colour image .* has 80 x 60; .* intrinsics of the colour"
    ):
        opened(root)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "train"}, r"no frame is left for split 'train' by held_out 20, gap 10 and block 0"),
        ({"block": 3, "held_out": 2}, r"block 3 of 2 frames lies before the first; the longest sequence has"),
        ({"color": "rgb.png"}, r"color must contain \{frame\} once, not be 'rgb\.png'"),
        ({"labels": "{frame}.labels.png"}, r"no file has a name of this pattern of 'labels'"),
        ({"intrinsics": [1.0, 2.0]}, r"rgbd: intrinsics: intrinsics are .* not 2 numbers"),
        ({"intrinsics": [0.0, 30.0, 15.5, 11.5]}, r"rgbd: intrinsics: these are not the intrinsics of a camera"),
        ({"intrinsics": "none.txt"}, r"none\.txt: the file is missing"),
        ({"color_from_depth": [1.0] * 16}, r"rgbd: color_from_depth: the pose is not rigid"),
        ({"color_from_depth": [1.0] * 3}, r"rgbd: color_from_depth: a pose is a 4 x 4 matrix, not one of 3 numbers"),
        ({"min_depth": 3.0, "max_depth": 2.0}, r"min_depth between 0 and max_depth"),
        (
            {"color_from_depth": np.diag([-1.0, 1, -1, 1]).ravel().tolist()},
            r"none of the points is in the colour image",
        ),
    ],
)
def test_bad_options(sequence, options, message):
    with pytest.raises(DataError, match=message):
        opened(sequence, **options)[0]


def test_the_root_may_be_relative(copy, monkeypatch):
    expected = opened(copy)[0].points
    monkeypatch.chdir(copy.parent)
    np.testing.assert_array_equal(opened(Path("office"))[0].points, expected)


def test_missing_folders_and_intrinsics(copy, tmp_path):
    with pytest.raises(DataError, match=r"nowhere: the folder does not exist"):
        opened(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: no frames are there, nor in its folders; give 'color' and 'depth'"):
        opened(tmp_path / "empty")
    (copy / "camera-intrinsics.txt").unlink()
    with pytest.raises(DataError, match=r"there are no intrinsics of the depth camera; give 'intrinsics'"):
        opened(copy)
    with pytest.raises(RecipeError, match="frame_step"):
        opened(copy, frame_step=0)


def test_label_images_of_another_size(tmp_path):
    root = synthetic.write_mosd(tmp_path / "own", 1)
    Image.fromarray(np.zeros((12, 16), np.uint8)).save(root / "label" / "learn0.png")
    with pytest.raises(DataError, match=r"learn0\.png: the label image has 16 x 12 pixels and the depth image 32 x 24"):
        opened(root, depth_scale=5000)[0]
    Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(root / "label" / "learn0.png")
    with pytest.raises(DataError, match=r"a label image has one channel of whole numbers, not the mode RGB"):
        opened(root, depth_scale=5000)[0]


# ---- real frames


@pytest.fixture(scope="module")
def seven_scenes(shared: Path) -> Path:
    if not (shared / "data" / "7scenes-rgbd").is_dir():
        pytest.skip("../shared/data/7scenes-rgbd is not there")
    return shared / "data" / "7scenes-rgbd"


def test_the_real_frames_of_7_scenes(seven_scenes):
    assert [len(opened(seven_scenes, split=split)) for split in ("train", "val", "all")] == [70, 20, 100]
    data = opened(seven_scenes, stride=4)
    for index in (0, 57, 99):
        scene = data[index]
        assert 10_000 < len(scene) <= 19_200
        assert scene.points[:, 2].min() > 0.3
        assert scene.features.std() > 0.1


def test_real_poses_bring_frames_together(seven_scenes):
    """Points of two frames lie closer to each other in the world than in their cameras' frames."""
    data = opened(seven_scenes, stride=16)
    clouds = [data[index].points.astype(float) for index in (20, 24)]
    moved = [camera.transform(data.pose(index), cloud) for index, cloud in zip((20, 24), clouds, strict=True)]

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.median(np.sqrt(((a[:, None] - b) ** 2).sum(axis=2)).min(axis=1)))

    assert distance(*moved) < 0.06
    assert distance(*moved) < 0.7 * distance(*clouds)


def test_real_colours_have_edges_where_depth_has_with_the_colour_cameras_matrices(seven_scenes):
    """The share of depth edges on edges of the image, with the colour camera's matrices and taken as registered."""
    shift = np.eye(4)
    shift[0, 3] = -0.025

    def contrast(**options) -> float:
        data, found = opened(seven_scenes, **options), []
        for index in (0, 30, 60, 90):
            depth = DepthCode().metres(read_depth(data[index].files["points"]))
            jump = (depth > 0) & (np.roll(depth, 1, axis=1) > 1.12 * depth)  # the near side of an edge
            jump[:, :8] = False
            points, _, _ = rgbd.back_project(depth * jump, read_intrinsics(seven_scenes / "camera-intrinsics.txt"))
            view = data.views(index)[0]
            grey = view.image.mean(axis=2)
            gradient = np.minimum(np.abs(np.gradient(grey, axis=1)), 20)
            pixels = view.project(points)[0]
            pixels = np.round(pixels[camera.in_image(pixels, view.size, 1.0)]).astype(int)
            near = np.max(
                [gradient[pixels[:, 1], np.clip(pixels[:, 0] + d, 0, 639)] for d in (-2, -1, 0, 1, 2)], axis=0
            )
            found.append(near.mean() / gradient.mean())
        return float(np.mean(found))

    aligned = contrast(color_intrinsics=[525.0, 525.0, 320.0, 240.0], color_from_depth=shift.ravel().tolist())
    assert aligned > 1.25 * contrast()


def test_the_real_frames_of_mosd(shared):
    root = shared / "data" / "mosd-rgbd"
    if not root.is_dir():
        pytest.skip("../shared/data/mosd-rgbd is not there")
    data = opened(root, depth_scale=5000, stride=4)
    assert len(data) == 45
    assert data.ids[2] == "mosd-rgbd/learn2"
    scene = data[15]
    assert 0.3 < np.median(scene.points[:, 2]) < 1.5  # a table in reach
    assert set(scene.labels) <= {-1, 0, 1}
    # A table is flat: most of its points lie within 2 cm of one plane.
    table = scene.points[scene.labels == 0].astype(float)
    normal = np.linalg.svd(table - table.mean(axis=0), full_matrices=False)[2][2]
    assert (np.abs((table - np.median(table, axis=0)) @ normal) < 0.02).mean() > 0.8
