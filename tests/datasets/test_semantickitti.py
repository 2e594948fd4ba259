from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointlift.datasets.semantickitti.dataset import SemanticKITTI
from pointlift.errors import DataError, RecipeError
from pointlift.registry import DATASETS
from tests import fixtures_kitti as synthetic


@pytest.fixture
def root(street: Path, tmp_path: Path) -> Path:
    """A copy of the street that a test may damage."""
    return shutil.copytree(street, tmp_path / "street")


def opened(root: Path, **options) -> SemanticKITTI:
    return SemanticKITTI(root=root, **options)


# ---- reading


def test_splits_sequences_and_steps(street):
    assert opened(street).ids == ["00/000000", "00/000001", "00/000002", "01/000000", "01/000001"]
    assert opened(street, split="val").ids == ["08/000000", "08/000001"]
    assert len(opened(street, split="all")) == 7
    assert opened(street, sequences=["01"]).ids == ["01/000000", "01/000001"]
    assert opened(street, frame_step=2).ids == ["00/000000", "00/000002", "01/000001"]
    data = opened(street)
    assert [scene.id for scene in data] == data.ids
    assert data[-1].id == "01/000001"
    with pytest.raises(IndexError):
        data[5]


def test_the_registry_builds_it_and_rejects_unknown_options(street):
    assert DATASETS.build("semantickitti", root=street, split="val").ids == ["08/000000", "08/000001"]
    with pytest.raises(RecipeError):
        DATASETS.build("semantickitti", root=street, splits="val")


def test_the_layout_of_the_official_archives_is_found_too(root, tmp_path):
    (tmp_path / "unpacked").mkdir()
    root.rename(tmp_path / "unpacked" / "dataset")
    assert len(opened(tmp_path / "unpacked")) == 5


def test_points_labels_and_instances_are_those_of_the_files(street):
    scene = opened(street)[1].validate()
    cloud = np.fromfile(street / "sequences/00/velodyne/000001.bin", dtype=np.float32).reshape(-1, 4)
    raw = np.fromfile(street / "sequences/00/labels/000001.label", dtype=np.uint32)
    np.testing.assert_array_equal(scene.points, cloud[:, :3])
    np.testing.assert_array_equal(scene.features, cloud[:, 3:])
    np.testing.assert_array_equal(scene.instances, raw // 65536)
    names = {0: None, 40: "road", 48: "sidewalk", 72: "terrain", 10: "car", 252: "car", 50: "building"}
    names |= {70: "vegetation", 80: "pole", 30: "person"}
    for label, value in zip(scene.labels, raw % 65536, strict=True):
        assert (SemanticKITTI.class_names[label] if label >= 0 else None) == names[int(value)]
    assert scene.points.flags.writeable
    assert scene.features.flags.writeable


def test_the_learning_map_is_the_official_one(root):
    """Every raw id of semantic-kitti.yaml, in one scan, against the published table."""
    official = {
        0: 0, 1: 0, 10: 1, 11: 2, 13: 5, 15: 3, 16: 5, 18: 4, 20: 5, 30: 6, 31: 7, 32: 8, 40: 9, 44: 10, 48: 11,
        49: 12, 50: 13, 51: 14, 52: 0, 60: 9, 70: 15, 71: 16, 72: 17, 80: 18, 81: 19, 99: 0, 252: 1, 253: 7, 254: 6,
        255: 8, 256: 5, 257: 5, 258: 4, 259: 5,
    }  # fmt: skip
    cloud = np.ones((len(official), 4), "<f4")
    (root / "sequences/00/velodyne/000000.bin").write_bytes(cloud.tobytes())
    raw = np.array(list(official), "<u4") + (7 << 16)
    (root / "sequences/00/labels/000000.label").write_bytes(raw.tobytes())
    scene = opened(root)[0]
    assert (scene.labels + 1).tolist() == list(official.values())
    assert (scene.instances == 7).all()
    assert len(SemanticKITTI.class_names) == len(SemanticKITTI.class_colors) == 19


def test_the_fourth_column_of_the_projection_is_folded_into_the_extrinsics(street):
    """K (R x + t) equals the official P2 · Tr · x, and the matrix stays rigid."""
    scene = opened(street)[0]
    view = scene.views[0]
    P2 = np.hstack([synthetic.K, synthetic.K @ [[synthetic.BASELINE], [0], [0]]])
    homogeneous = np.hstack([scene.points.astype(float), np.ones((len(scene), 1))])
    u, v, depth = P2 @ synthetic.TR @ homogeneous.T
    pixels, z = view.project(scene.points)
    front = z > 0
    np.testing.assert_allclose(z, depth, atol=1e-9)
    np.testing.assert_allclose(pixels[front], np.stack([u / depth, v / depth], axis=1)[front], atol=1e-6)
    np.testing.assert_allclose(view.camera_from_points[:3, :3], synthetic.TR[:3, :3], atol=1e-12)


def test_pixels_show_the_colour_of_the_points_class(street):
    scene = opened(street)[0]
    pairs = scene.pairs(occlusion=0.1)
    u, v = np.round(pairs.pixels).astype(int).T
    colors = scene.views[0].image[v, u].astype(float)
    nearest = np.abs(colors[:, None] - np.array(list(synthetic.COLORS.values()))).sum(axis=2).argmin(axis=1)
    raw = np.fromfile(scene.files["labels"], dtype=np.uint32)[pairs.point_index] & 0xFFFF
    same = np.array(list(synthetic.COLORS))[nearest] == raw
    assert same[raw != 0].mean() > 0.9


def test_poses_are_in_the_lidar_frame(street):
    data = opened(street)
    np.testing.assert_allclose(data.pose(0), np.eye(4), atol=1e-12)
    forward = np.eye(4)
    forward[0, 3] = 2.0  # the synthetic car drives 1 m per frame along x
    np.testing.assert_allclose(data.pose(2), forward, atol=1e-9)


def test_sector_and_ego_radius_drop_points_and_count_ego_returns(street):
    whole = opened(street)[0]
    front = opened(street, sector=(-45, 45))[0]
    assert (np.abs(front.points[:, 1]) <= front.points[:, 0] + 1e-5).all()
    assert len(front) == (np.abs(np.arctan2(*whole.points[:, 1::-1].T)) <= np.pi / 4).sum()
    assert len(front.labels) == len(front.features) == len(front.instances) == len(front)
    assert len(front.pairs().point_index) == len(whole.pairs().point_index)  # the camera looks forward
    near = np.hypot(whole.points[:, 0], whole.points[:, 1]) < 6.0
    assert whole.dropped == 0
    far = opened(street, ego_radius=6.0)[0]
    assert (far.dropped, len(far)) == (near.sum(), (~near).sum())
    assert near.any()


def test_scans_without_labels_or_images_are_scenes_all_the_same(tmp_path):
    root = synthetic.write_semantickitti(tmp_path, {"11": 2}, labels=False, images=False)
    (root / "sequences/11/calib.txt").unlink()  # nothing needs it
    scene = opened(root, split="test")[0].validate()
    assert scene.labels is None
    assert scene.instances is None
    assert scene.views == []
    assert len(scene.pairs().point_index) == 0


def test_single_missing_files_concern_their_own_scene_only(root):
    (root / "sequences/00/labels/000001.label").unlink()
    (root / "sequences/00/image_2/000002.png").unlink()
    data = opened(root)
    assert [scene.labels is None for scene in data] == [False, True, False, False, False]
    assert [len(scene.views) for scene in data] == [1, 1, 0, 1, 1]


def test_opening_reads_no_scan_and_lists_each_folder_once(street, monkeypatch):
    listed = []
    scandir = __import__("os").scandir
    monkeypatch.setattr("os.scandir", lambda path: listed.append(str(path)) or scandir(path))
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail(f"{self} was read"))
    opened(street)
    assert len(listed) == len(set(listed)) == 1 + 2 * 3


def test_hidden_files_are_no_scans(root):
    (root / "sequences/00/velodyne/._000000.bin").write_bytes(b"macOS")
    assert len(opened(root)) == 5


# ---- what is wrong is one sentence that names the file


def error_of(action) -> str:
    with pytest.raises(DataError) as raised:
        action()
    message = str(raised.value)
    assert "\n" not in message
    return message


def test_folders_that_are_not_there(tmp_path, street):
    assert "nowhere: the folder does not exist" in error_of(lambda: opened(tmp_path / "nowhere"))
    assert "holds neither 'sequences' nor" in error_of(lambda: opened(tmp_path))
    assert "none of the sequences of split 'test'" in error_of(lambda: opened(street, split="test"))
    assert "there is no sequence '05' on disk; there are: 00, 01, 08" in error_of(
        lambda: opened(street, sequences=["05"])
    )
    assert "sequence '08' is not in split 'train'" in error_of(lambda: opened(street, sequences=["08"]))
    assert "split must be train" in error_of(lambda: opened(street, split="training"))
    assert "frame_step must be at least 1" in error_of(lambda: opened(street, frame_step=0))


def test_an_empty_sequence(root):
    shutil.rmtree(root / "sequences/01/velodyne")
    assert "sequences/01/velodyne: the sequence has no scans" in error_of(lambda: opened(root))
    (root / "sequences/01/velodyne").mkdir()
    assert "sequences/01/velodyne: the sequence has no scans" in error_of(lambda: opened(root))


def test_a_scan_with_another_kind_of_name(root):
    scan = root / "sequences/00/velodyne/000000.bin"
    scan.rename(scan.with_name("first.bin"))
    assert "velodyne/first.bin: a scan is named by its frame number" in error_of(lambda: opened(root))


def calibration(root: Path, change) -> None:
    path = root / "sequences/00/calib.txt"
    path.write_text("\n".join(change(path.read_text().splitlines())))


ZERO_FOCAL = "P2: 0 0 99 0 0 0 26 0 0 0 1 0"
BAD_FILES = {
    "truncated": ("velodyne/000000.bin", lambda b: b[:-3], "velodyne/000000.bin: the scan is truncated"),
    "empty": ("velodyne/000000.bin", lambda b: b"", "velodyne/000000.bin: the file is empty, there are no points"),
    "nan": (
        "velodyne/000000.bin",
        lambda b: b[:16] + np.full(4, np.nan, "<f4").tobytes() + b[32:],
        "velodyne/000000.bin: points has 1 rows with NaN or infinity, the first is row 1",
    ),
    "infinite_intensity": (
        "velodyne/000000.bin",
        lambda b: b[:12] + np.array([np.inf], "<f4").tobytes() + b[16:],
        "velodyne/000000.bin: features has 1 rows",
    ),
    "few_labels": ("labels/000000.label", lambda b: b[:-4], "labels/000000.label: there are"),
    "half_label": ("labels/000000.label", lambda b: b[:-2], "labels/000000.label: there are"),
    "unknown_label": (
        "labels/000000.label",
        lambda b: b[:4] + np.array([77], "<u4").tobytes() + b[8:],
        "labels/000000.label: label 77 of point 1 is not an id of SemanticKITTI",
    ),
    "image_header": ("image_2/000000.png", lambda b: b"no png", "image_2/000000.png: the image cannot be decoded"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_damaged_file(root, case):
    name, damage, message = BAD_FILES[case]
    path = root / "sequences/00" / name
    path.write_bytes(damage(path.read_bytes()))
    data = opened(root)
    said = error_of(lambda: data[0])
    assert message in said
    assert str(path) in said
    data[1].validate()


def test_labels_without_points_still_names_the_count(root):
    path = root / "sequences/00/labels/000000.label"
    path.write_bytes(path.read_bytes() + bytes(4))
    points = len(opened(root)[1].points) and (root / "sequences/00/velodyne/000000.bin").stat().st_size // 16
    assert f"there are {points + 1} labels for {points} points" in error_of(lambda: opened(root)[0])


def test_an_image_that_is_cut_off_is_found_when_it_is_decoded(root):
    path = root / "sequences/00/image_2/000000.png"
    path.write_bytes(path.read_bytes()[:3000])
    view = opened(root)[0].views[0]
    assert view.size == (64, 200)
    assert "image_2/000000.png: the image cannot be decoded" in error_of(lambda: view.image)


def test_an_image_of_another_camera(root):
    Image.new("RGB", (30, 20)).save(root / "sequences/00/image_2/000000.png")
    said = error_of(lambda: opened(root)[0])
    assert "calib.txt: view 'image_2': the principal point (99.5, 26.0) does not belong to an image of 30 x 20" in said
    assert "image_2/000000.png" in said


BAD_CALIBRATIONS = {
    "no_Tr": (lambda rows: rows[:4], "calib.txt: the key 'Tr' is missing; keys are: P0, P1, P2, P3"),
    "no_P2": (lambda rows: rows[:2] + rows[3:], "calib.txt: the key 'P2' is missing"),
    "short": (lambda rows: [*rows[:4], "Tr: 1 2 3"], "calib.txt: 'Tr' must have 12 finite numbers (3 x 4), not 3"),
    "words": (lambda rows: [*rows[:4], "Tr: " + "x " * 12], "calib.txt: 'Tr' is not a row of numbers"),
    "nan": (lambda rows: [*rows[:4], "Tr: " + "nan " * 12], "calib.txt: 'Tr' must have 12 finite numbers"),
    "singular": (lambda rows: [*rows[:2], ZERO_FOCAL, rows[4]], "calib.txt: the intrinsics in P2 are singular"),
    "negative": (
        lambda rows: [*rows[:2], "P2: -9 0 99 0 0 9 26 0 0 0 1 0", rows[4]],
        "calib.txt: view 'image_2': the focal lengths must be positive",
    ),
    "skewed": (
        lambda rows: [*rows[:4], "Tr: 0 -1 0 0 0 0 -1 0 0.9 0 0 0"],
        "calib.txt: view 'image_2': the rotation of camera_from_points is not orthonormal",
    ),
    "mirrored": (
        lambda rows: [*rows[:4], "Tr: 0 1 0 0 0 0 -1 0 1 0 0 0"],
        "calib.txt: view 'image_2': the rotation of camera_from_points mirrors",
    ),
    "empty": (lambda rows: [], "calib.txt: the key 'P2' is missing"),
}


@pytest.mark.parametrize("case", BAD_CALIBRATIONS)
def test_a_bad_calibration(root, case):
    change, message = BAD_CALIBRATIONS[case]
    calibration(root, change)
    data = opened(root)
    assert message in error_of(lambda: data[0])


def test_missing_calibration_and_poses(root):
    (root / "sequences/00/calib.txt").unlink()
    (root / "sequences/01/poses.txt").unlink()
    data = opened(root)
    assert "sequences/00/calib.txt: the file is missing" in error_of(lambda: data[0])
    assert "sequences/01/poses.txt: the file is missing" in error_of(lambda: data.pose(3))


def test_bad_poses(root):
    path = root / "sequences/00/poses.txt"
    path.write_text(path.read_text().splitlines()[0])
    assert "poses.txt: frame 000002 has no pose, the file has 1 rows" in error_of(lambda: opened(root).pose(2))
    path.write_text("1 2 3\n")
    assert "poses.txt: row 0 must have 12 finite numbers" in error_of(lambda: opened(root).pose(0))


def test_nothing_left(street):
    data = opened(street, ego_radius=1000.0)
    assert "no point is left by sector and ego_radius" in error_of(lambda: data[0])


# ---- real scans


@pytest.fixture(scope="module")
def real(semantickitti_mini: Path) -> SemanticKITTI:
    return opened(semantickitti_mini, split="all")


def test_real_scans_have_sensible_sizes_ranges_and_labels(real, semantickitti_mini):
    assert len(real) == 33
    assert len(opened(semantickitti_mini, split="val")) == 5
    counts = np.zeros(19)
    for index in range(0, 33, 4):
        scene = real[index].validate()
        assert 100_000 < len(scene) < 135_000
        assert np.abs(scene.points).max() < 121
        assert 0 <= scene.features.min() <= scene.features.max() <= 1
        assert -2.2 < np.median(scene.points[scene.labels == 8][:, 2]) < -1.3  # the road lies 1.73 m below the sensor
        counts += np.bincount(scene.labels[scene.labels >= 0], minlength=19)
    shares = dict(zip(real.class_names, counts / counts.sum(), strict=True))
    assert shares["road"] > 0.15
    assert shares["vegetation"] > 0.1
    assert 0.005 < shares["car"] < 0.15
    assert shares["motorcyclist"] < 0.01


def test_the_camera_sees_about_a_sixth_of_a_real_scan(real):
    shares = [len(scene.pairs().point_index) / len(scene) for scene in (real[i] for i in range(0, 33, 8))]
    assert 0.14 < np.mean(shares) < 0.18


def test_real_calibration_agrees_with_what_a_network_sees_in_the_images(real):
    """Points fall on pixels that a Cityscapes network gives their class, fewer of them once the camera turns by 1°."""
    cityscapes = {"road": 0, "building": 2, "vegetation": 8, "car": 13}
    ids = {real.class_names.index(name): value for name, value in cityscapes.items()}

    def agreement(tilt: float) -> dict[str, float]:
        right, total = dict.fromkeys(cityscapes, 0), dict.fromkeys(cityscapes, 0)
        for index in range(0, 33, 6):
            scene = real[index]
            view = scene.views[0]
            turn = np.eye(4)
            turn[:2, :2] = [[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]
            view.camera_from_points = view.camera_from_points @ turn
            pairs = scene.pairs(occlusion=0.1)
            seen = np.array(Image.open(view.path.parent.with_name("image_2_cityscapes19") / view.path.name))
            u, v = np.round(pairs.pixels).astype(int).T
            for label, name in zip(ids, cityscapes, strict=True):
                mine = scene.labels[pairs.point_index] == label
                right[name] += int((seen[v[mine], u[mine]] == ids[label]).sum())
                total[name] += int(mine.sum())
        return {name: right[name] / total[name] for name in cityscapes}

    good = agreement(0.0)
    # What the network is weak on is low for its own reasons: it calls a tenth of the hedges terrain.
    for name, least in {"road": 0.95, "car": 0.8, "building": 0.7, "vegetation": 0.6}.items():
        assert good[name] > least, good
    for degrees in (-1.0, 1.0):
        off = agreement(np.radians(degrees))
        assert off["car"] < good["car"] - 0.03, (degrees, good, off)
        assert sum(off.values()) < sum(good.values()) - 0.08, (degrees, good, off)


def test_real_poses_move_the_static_world_onto_itself(real):
    """Consecutive scans, 0.3 s apart, lie closer together in the frame of the first scan than without poses."""
    first, later = real[0], real[3]
    assert (first.id, later.id) == ("00/000000", "00/000009")
    poses = [real.pose(0), real.pose(3)]
    assert 3 < np.linalg.norm(poses[1][:3, 3]) < 12
    assert poses[1][0, 3] > 3  # forward is x of the LiDAR frame
    trunks = [scene.points[np.isin(scene.labels, (12, 15, 17))].astype(float)[::40] for scene in (first, later)]
    moved = trunks[1] @ poses[1][:3, :3].T + poses[1][:3, 3]

    def distance(points: np.ndarray) -> float:
        return float(np.median(np.sqrt(((points[:, None] - trunks[0]) ** 2).sum(axis=2)).min(axis=1)))

    assert distance(moved) < 0.8 * distance(trunks[1])


def test_views_need_no_points_and_sequences_may_be_numbers(tmp_path: Path) -> None:
    root = synthetic.write_semantickitti(tmp_path, {"00": 2, "01": 1}, points=300)
    data = SemanticKITTI(root=root, sequences=[0])
    assert data.ids == ["00/000000", "00/000001"]
    (root / "sequences" / "00" / "velodyne" / "000001.bin").write_bytes(b"")
    (root / "sequences" / "00" / "image_2" / "000000.png").unlink()
    data = SemanticKITTI(root=root, sequences=["00"])
    assert data.views(0) == []
    assert [view.name for view in data.views(1)] == ["image_2"]


def test_the_home_folder_is_expanded(street: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(street.parent))
    assert opened(f"~/{street.name}").ids == opened(street).ids


@pytest.mark.parametrize(("option", "value"), [("frame_step", 0), ("ego_radius", -1.0), ("sequences", [0.5])])
def test_options_out_of_bounds_are_named(street: Path, option: str, value: object) -> None:
    with pytest.raises(RecipeError, match=option):
        DATASETS.build("semantickitti", root=street, **{option: value})


def test_recipes_may_give_sequences_as_numbers(street: Path) -> None:
    assert DATASETS.build("semantickitti", root=street, sequences=[0]).ids == opened(street, sequences=["00"]).ids


# ---- ordinary habits of other logs


def renamed(folder: Path, suffix: str) -> None:
    for file in folder.iterdir():
        if suffix.lower() in (".jpg", ".jpeg", ".webp"):
            Image.open(file).save(file.with_suffix(suffix), format="WEBP" if suffix.lower() == ".webp" else "JPEG")
            file.unlink()
        else:
            file.rename(file.with_suffix(suffix))


@pytest.mark.parametrize("suffix", [".jpg", ".JPG", ".Jpeg", ".PNG", ".webp"])
def test_images_of_any_ordinary_kind(root: Path, suffix: str) -> None:
    renamed(root / "sequences/00/image_2", suffix)
    data = opened(root, sequences=["00"])
    assert [path.suffix for index in range(3) for path in data.image_paths(index)] == [suffix] * 3
    assert len(data[0].pairs().point_index) > 0
    assert data[0].views[0].image.ndim == 3


def test_upper_case_everywhere_and_the_kind_without_loss_first(root: Path) -> None:
    before = opened(root)
    images = root / "sequences/00/image_2"
    Image.open(images / "000000.png").save(images / "000000.jpg")
    for folder, suffix in (("velodyne", ".BIN"), ("labels", ".LABEL")):
        renamed(root / "sequences/00" / folder, suffix)
    data = opened(root)
    assert data.ids == before.ids
    assert data.image_paths(0) == [images / "000000.png"]
    assert data[0].labels is not None


def test_images_that_cannot_belong_are_said_and_not_passed_over(root: Path) -> None:
    images = root / "sequences/00/image_2"
    for file in sorted(images.iterdir()):
        file.rename(images / f"left_{file.name}")
    with pytest.raises(
        DataError, match=r"image_2: none of the 3 images is named as a scan is; 000000.bin belongs to 0"
    ):
        opened(root)
    renamed(images, ".heic")
    with pytest.raises(
        DataError, match=r"left_000000.heic: this is no image of a kind that is read, which end in .png"
    ):
        opened(root)


def with_intensity(root: Path, factor: float) -> None:
    for file in (root / "sequences/00/velodyne").iterdir():
        rows = np.fromfile(file, "<f4").reshape(-1, 4)
        rows[:, 3] *= factor
        rows.tofile(file)


@pytest.mark.parametrize("scale", [255, 100, 65535])
def test_intensity_of_another_scale_is_refused_or_given(root: Path, scale: float) -> None:
    right = opened(root, sequences=["00"])[0]
    with_intensity(root, scale)
    with pytest.raises(DataError, match=r"000000\.bin: intensity must lie in \[0, 1\].*such as intensity_scale=255"):
        opened(root)[0]
    scene = opened(root, sequences=["00"], intensity_scale=scale)[0]
    np.testing.assert_allclose(scene.features, right.features, atol=1e-6)
    np.testing.assert_array_equal(scene.points, right.points)
