"""What belongs together in folders of colour, depth and pose: cameras, image sizes, time stamps, lost poses."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointlift.commands.check import check
from pointlift.data import camera
from pointlift.data.formats.matrices import quaternion_rotation
from pointlift.datasets.rgbd.dataset import RGBD
from pointlift.datasets.rgbd.timestamps import pairs_in_time
from pointlift.errors import DataError
from pointlift.registry import DATASETS
from tests import fixtures_scannet as synthetic

START = 1_305_031_102.1753


@pytest.fixture
def office(tmp_path: Path) -> Path:
    return synthetic.write_sequence(tmp_path / "all" / "office", 4)


def opened(root: Path, **options) -> RGBD:
    return DATASETS.build("rgbd", root=root, **{"split": "all", **options})


# ---- one camera for each sequence


def another_camera(office: Path, name: str, factor: float) -> Path:
    """A copy of the sequence whose intrinsics have other focal lengths."""
    other = shutil.copytree(office, office.parent / name)
    K = synthetic.DEPTH_K.copy()
    K[[0, 1], [0, 1]] *= factor
    np.savetxt(other / "camera-intrinsics.txt", K)
    return other


def test_each_sequence_has_its_own_camera(office):
    another_camera(office, "tele", 4.0)
    data = opened(office.parent)
    wide, tele = (data[data.ids.index(f"{name}/000000")] for name in ("office", "tele"))
    np.testing.assert_allclose(wide.points[:, :2], 4 * tele.points[:, :2], rtol=1e-5)
    assert data.views(data.ids.index("tele/000000"))[0].intrinsics[0, 0] == 120


def test_the_nearest_file_counts_and_what_a_sequence_lacks_is_looked_for_above(office):
    other = another_camera(office, "tele", 4.0)
    shutil.move(office / "camera-intrinsics.txt", office.parent)
    focal = {one.split("/")[0]: opened(office.parent).views(index)[0].intrinsics[0, 0] for index, one in
             enumerate(opened(office.parent).ids)}  # fmt: skip
    assert focal == {"office": 30, "tele": 120}
    (office.parent / "camera-intrinsics.txt").unlink()
    with pytest.raises(DataError, match=r"office: there are no intrinsics of the depth camera; give 'intrinsics'"):
        opened(office.parent)
    for folder, scale in ((office, 1), (other, 2)):
        (folder / "mine.txt").write_text(f"{30 * scale} {30 * scale} 15.5 11.5")
    data = opened(office.parent, intrinsics="mine.txt")  # a name that each sequence has
    assert {view.intrinsics[0, 0] for index in range(len(data)) for view in data.views(index)} == {30, 60}


def test_the_colour_cameras_files_beside_the_depth_cameras_are_used(tmp_path):
    scan = synthetic.write_scan(tmp_path / "scannet", "scene0000_00", 6)
    data = opened(scan)  # ScanNet's export, read as any folder
    scene = data[0]
    assert scene.views[0].size == synthetic.COLOR_SIZE
    expected = synthetic.color_at(camera.transform(data.pose(0), scene.points))
    assert np.abs(scene.features - expected).max() < 0.06  # JPEG


@pytest.mark.parametrize(
    ("K", "size"),
    [((30, 30, 31.5, 23.5), "64 x 48"), ((30, 30, 23.5, 17.5), "48 x 36"), ((30, 30, 7.5, 5.5), "16 x 12")],
)
def test_intrinsics_of_another_resolution_are_refused(office, K, size):
    with pytest.raises(DataError, match=rf"depth camera: the intrinsics, .* those of images of about {size} pixels"):
        opened(office, intrinsics=list(K))


def test_a_frame_of_another_size_than_its_sequence(office):
    stem = office / "frame-000010"
    for kind, size in (("depth", (48, 36)), ("color", (48, 36))):
        Image.open(f"{stem}.{kind}.png").resize(size, Image.Resampling.NEAREST).save(f"{stem}.{kind}.png")
    data = opened(office)
    with pytest.raises(DataError, match=r"000010\.depth\.png: the image has 48 x 36 pixels, .* images of 32 x 24"):
        data[1]


# ---- lost poses


@pytest.mark.parametrize(
    "text",
    [
        "-inf -inf -inf -inf\n" * 4,
        "nan nan nan nan\n" * 4,
        "-1.#INF -1.#INF -1.#INF -1.#INF\n" * 4,
        "1.#QNAN0 -1.#IND 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1",
        "",
        "\n \n",
        "0.0 0 0 0\n" * 4,
        "0.000000e+00 0 0 0\n" * 4,
    ],
)
def test_frames_that_lost_tracking_are_left_out_and_counted(office, text):
    (office / "frame-000010.pose.txt").write_text(text)
    data = opened(office)
    assert data.ids == ["office/000000", "office/000020", "office/000030"]
    assert data.dropped_frames == {"no pose": 1, "no depth": 0}
    assert check(data)["dropped_frames"] == {"no pose": 1, "no depth": 0}
    assert len(opened(office, pose="frame-{frame}.pose.txt")) == 3


def test_tracking_lost_everywhere_is_one_sentence(office):
    for path in office.glob("*.pose.txt"):
        path.write_text("")
    with pytest.raises(DataError, match=r"office: tracking was lost in all 4 frames of split 'all', by their"):
        opened(office)
    assert len(opened(office, pose="")) == 4


def test_the_split_does_not_move_with_lost_frames(office):
    kept = opened(office, split="val", held_out=2, gap=0).ids
    (office / "frame-000030.pose.txt").write_text("nan")
    assert opened(office, split="val", held_out=2, gap=0).ids == kept[:1]


# ---- names


def test_names_in_capitals_and_jpeg(office):
    for path in office.glob("*.color.png"):
        Image.open(path).save(path.with_suffix(".JPEG"))
        path.unlink()
    for path in office.glob("*.depth.png"):
        path.rename(path.with_suffix(".PNG"))
    assert len(opened(office)) == 4
    shutil.copy(office / "frame-000000.depth.PNG", office / "frame-000000.depth.png")
    with pytest.raises(DataError, match=r"both frame-000000\.depth\.PNG and frame-000000\.depth\.png would be frame"):
        opened(office)


# ---- time stamps


def write_tum(root: Path, shifts: tuple[float, ...] = (-0.013, -0.01, 0.004, 0.019), scale: int = 1) -> Path:
    """TUM's layout: a colour image every 33 ms, depth images at a shift of their own, and poses between them."""
    for part in ("rgb", "depth"):
        (root / part).mkdir(parents=True)
    rows: dict[str, list[str]] = {"rgb": [], "depth": [], "poses": []}
    for number, shift in enumerate(shifts):
        raw, color = synthetic.frame(number, registered=True)
        time = START + number / 30
        for part, picture, at in (("rgb", color, time), ("depth", (raw * scale).astype(np.uint16), time + shift)):
            Image.fromarray(picture).save(root / part / f"{at:.6f}.png")
            rows[part].append(f"{at:.6f} {part}/{at:.6f}.png")
        x, y, z = synthetic.pose(number)[:3, 3]
        a, b, c, d = quaternion_of(synthetic.pose(number)[:3, :3])
        rows["poses"].append(f"{time + 0.003:.4f} {x} {y} {z} {b} {c} {d} {a}")
    heading = "# images\n# file: 'office.bag'\n# timestamp filename\n"
    for part in ("rgb", "depth"):
        (root / f"{part}.txt").write_text(heading + "\n".join(rows[part]) + "\n")
    (root / "groundtruth.txt").write_text("# timestamp tx ty tz qx qy qz qw\n" + "\n".join(rows["poses"]))
    np.savetxt(root / "camera-intrinsics.txt", synthetic.DEPTH_K)
    return root


def quaternion_of(rotation: np.ndarray) -> np.ndarray:
    """(w, x, y, z): the eigenvector that the rotation's own quaternion is of this matrix (Bar-Itzhack 2000)."""
    m = rotation
    N = np.array([
        [m[0, 0] + m[1, 1] + m[2, 2], m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
        [m[2, 1] - m[1, 2], m[0, 0] - m[1, 1] - m[2, 2], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0]],
        [m[0, 2] - m[2, 0], m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], m[1, 2] + m[2, 1]],
        [m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1]],
    ])  # fmt: skip
    return np.linalg.eigh(N)[1][:, -1]


def test_time_stamps_pair_images_and_poses(tmp_path):
    data = opened(write_tum(tmp_path / "fr1", scale=5), depth_scale=5000)
    assert data.ids == [f"fr1/{START + number / 30:.6f}" for number in range(4)]
    assert data.dropped_frames == {"no pose": 0, "no depth": 0, "no depth image of their time": 0}
    for number in range(4):
        np.testing.assert_allclose(data.pose(number), synthetic.pose(number), atol=1e-9)
        scene = data[number]
        np.testing.assert_allclose(
            scene.features, synthetic.color_at(camera.transform(data.pose(number), scene.points)), atol=0.01
        )


def test_images_without_a_partner_are_left_out_and_counted(tmp_path):
    data = opened(write_tum(tmp_path / "fr1", (-0.013, 0.3, 0.0, 0.019)))
    assert [one[-6:] for one in data.ids] == [f"{START + number / 30:.6f}"[-6:] for number in (0, 2, 3)]
    assert data.dropped_frames["no depth image of their time"] == 1


def test_frames_without_a_pose_of_their_time_have_none(tmp_path):
    root = write_tum(tmp_path / "fr1")
    rows = (root / "groundtruth.txt").read_text().splitlines()
    rows[2] = rows[2].split()[0] + " nan" * 7
    (root / "groundtruth.txt").write_text("\n".join([*rows[:3], rows[4]]))
    data = opened(root)
    assert [data.pose(number) is None for number in range(4)] == [False, True, True, False]
    (root / "groundtruth.txt").unlink()
    assert opened(root).pose(0) is None


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("name", ["associations.txt", "associate.txt"])
def test_a_list_of_pairs_counts_before_all_else(tmp_path, swapped, name):
    root = write_tum(tmp_path / "icl")
    color, depth = (
        [line.split() for line in (root / f"{part}.txt").read_text().splitlines() if line[0] != "#"]
        for part in ("rgb", "depth")
    )
    pairs = [(color[0], depth[1]), (color[2], depth[3])]  # not the nearest ones
    rows = [[*b, *a] if swapped else [*a, *b] for a, b in pairs]
    (root / name).write_text("\n".join(" ".join(row) for row in rows))
    data = opened(root)
    assert [one.split("/")[1] for one in data.ids] == [color[0][0], color[2][0]]
    assert data[1].files["points"].name == Path(depth[3][1]).name


def test_patterns_pair_by_name_in_spite_of_lists(tmp_path):
    root = write_tum(tmp_path / "fr1", (0.0, 0.0, 0.0))
    (root / "rgb.txt").write_text("no list at all\n")
    assert len(opened(root, color="rgb/{frame}.png", depth="depth/{frame}.png")) == 3


def test_a_depth_scale_that_looks_wrong_is_a_warning(tmp_path, caplog):
    root = write_tum(tmp_path / "fr1", scale=5)
    opened(root, depth_scale=5000)
    assert not caplog.messages
    opened(root)
    assert "readings lie beyond 10 m with depth_scale 1000, as where it should be 5000" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rgb.txt", "1 rgb/none.png\n", r"rgb/none\.png: the file is missing, though rgb\.txt lists it"),
        ("rgb.txt", "rgb/a.png\n", r"rgb\.txt: a row is not 'timestamp file': 'rgb/a\.png'; give 'color' and 'depth'"),
        ("rgb.txt", "later rgb/a.png\n", r"rgb\.txt: a time stamp is a number of seconds, not 'later'"),
        ("rgb.txt", "nan rgb/a.png\n", r"rgb\.txt: a time stamp is a number of seconds, not 'nan'"),
        ("rgb.txt", "1 ../../a.png\n", r"rgb\.txt: the file name '\.\./\.\./a\.png' must be relative and not lead out"),
        ("rgb.txt", "1 /etc/passwd\n", r"rgb\.txt: the file name '/etc/passwd' must be relative and not lead out"),
        ("rgb.txt", "# nothing\n", r"no colour image of rgb\.txt has a depth image of depth\.txt within 0\.02 s"),
        ("associations.txt", "1 a.png 1 b.png\n", r"associations\.txt: one of the two files .* must have 'depth' in"),
        ("associations.txt", "", r"associations\.txt: the file lists no pairs"),
        ("groundtruth.txt", "1 2 3\n", r"groundtruth\.txt: a row is not 'timestamp tx ty tz qx qy qz qw'"),
        ("groundtruth.txt", "1 2 3 4 5 6 7 eight\n", r"groundtruth\.txt: a row is not 'timestamp tx ty tz qx qy qz"),
    ],
)
def test_bad_lists(tmp_path, name, content, message):
    root = write_tum(tmp_path / "fr1")
    (root / name).write_text(content)
    with pytest.raises(DataError, match=message):
        opened(root)


def test_time_stamps_in_names_without_lists_say_what_is_missing(tmp_path):
    root = write_tum(tmp_path / "fr1")
    (root / "depth.txt").unlink()
    with pytest.raises(DataError, match=r"no colour image has the name of a depth image; where .* rgb\.txt and depth"):
        opened(root)


def test_pairs_in_time_against_all_pairs_one_by_one():
    rng = np.random.default_rng(0)
    for _ in range(20):
        first = np.sort(rng.uniform(0, 1, 30))
        second = rng.permutation(np.concatenate([first[::2] + rng.normal(0, 0.01, 15), rng.uniform(0, 1, 9)]))
        candidates = sorted((abs(a - b), i, j) for i, a in enumerate(first) for j, b in enumerate(second))
        expected: dict[int, int] = {}
        for apart, i, j in candidates:
            if apart < 0.02 and i not in expected and j not in expected.values():
                expected[i] = j
        assert pairs_in_time(first, second) == sorted(expected.items())


def test_quaternions_turn_as_rotations_do():
    for number in range(5):
        rotation = synthetic.pose(number)[:3, :3]
        np.testing.assert_allclose(quaternion_rotation(3 * quaternion_of(rotation)), rotation, atol=1e-12)
