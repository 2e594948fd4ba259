from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pointlift import losses
from pointlift.data.augmentation import ImageAugmentation, PointAugmentation
from pointlift.data.scene import Pairs, Scene
from pointlift.errors import DataError, RecipeError
from pointlift.losses.distributed import permuted_rows
from pointlift.methods.point_pixel import PointPixel, draw_pairs
from pointlift.registry import DATASETS, STUDENTS, TEACHERS
from pointlift.students.base import Student
from pointlift.teachers.cache import FeatureCache
from pointlift.teachers.labelmaps import LabelMaps
from pointlift.teachers.pixels import PixelFeatures
from pointlift.train.loader import scene_generator
from tests.fixtures_kitti import write_semantickitti

SIMILARITY = losses.build("similarity")


@pytest.fixture
def scenes(kitti_root: Path) -> list[Scene]:
    data = DATASETS.build("semantickitti", root=kitti_root)
    return [data[0], data[1]]


@pytest.fixture
def features(tiny_dinov2: Path) -> PixelFeatures:
    teacher = TEACHERS.build("dinov2", source=str(tiny_dinov2), layer=1)
    return PixelFeatures(teacher, cache=FeatureCache(None, teacher))


def student(out_channels: int = 24) -> Student:
    torch.manual_seed(0)
    return STUDENTS.build("minkunet14", 1, out_channels, width=0.25, voxel_size=0.5, stem_kernel=3)


def generators(scenes: list[Scene]) -> list[np.random.Generator]:
    return [scene_generator(0, 0, scene.id) for scene in scenes]


def batch_of(method: PointPixel, scenes: list[Scene]) -> object:
    samples = [method.sample(scene, rng) for scene, rng in zip(scenes, generators(scenes), strict=True)]
    return method.collate(samples, np.random.default_rng(0))


def test_the_loss_is_that_of_literally_paired_rows(scenes: list[Scene], features: PixelFeatures) -> None:
    method = PointPixel(student(), features, SIMILARITY, pairs_per_scene=50).eval()
    loss = method(batch_of(method, scenes))["loss"].item()
    expected = []
    for scene, rng in zip(scenes, generators(scenes), strict=True):
        pairs = draw_pairs(scene.pairs(min_depth=1.0), 50, rng)
        points = method.student.features(scene)
        for point, view, (u, v) in zip(*pairs, strict=True):
            one = Pairs(np.array([point]), np.array([view]), np.array([[u, v]], np.float32))
            k, q = points[point].astype(float), features(scene, one)[0].double().numpy()
            expected.append(1 - k @ q / np.linalg.norm(k) / np.linalg.norm(q))
    assert len(expected) == 100
    assert loss == pytest.approx(np.mean(expected), abs=1e-5)


def test_augmentation_leaves_the_targets_alone(scenes: list[Scene], features: PixelFeatures) -> None:
    """Geometry moves, cuboids vanish, yet each pair's point is the one whose pixel it keeps."""
    plain = PointPixel(student(), features, SIMILARITY, pairs_per_scene=10_000)
    options = PointAugmentation(min_pairs=10, cuboid_fraction=0.5, scale=(0.9, 1.1))
    moved = PointPixel(student(), features, SIMILARITY, options, pairs_per_scene=10_000)
    for scene in scenes:
        before, after = (method.sample(scene, np.random.default_rng(1)) for method in (plain, moved))
        known = {tuple(pixel): target for pixel, target in zip(before.pairs.pixels, before.targets, strict=True)}
        assert len(after.scene.points) < len(before.scene.points)
        assert not np.allclose(after.scene.points, before.scene.points[: len(after.scene.points)])
        for pixel, target in zip(after.pairs.pixels, after.targets, strict=True):
            torch.testing.assert_close(known[tuple(pixel)], target)


def test_image_augmentation_without_a_cache_runs_and_with_one_is_refused(
    scenes: list[Scene], features: PixelFeatures
) -> None:
    options = ImageAugmentation(crop_size=(56, 98), min_pairs=10)
    with pytest.raises(RecipeError, match="cannot be cached while images are augmented"):
        PointPixel(student(), features, SIMILARITY, image=options)
    uncached = PixelFeatures(features.teacher)
    method = PointPixel(student(), uncached, SIMILARITY, image=options, pairs_per_scene=30)
    batch = batch_of(method, scenes)
    assert batch.targets is None
    assert {sample.scene.views[0].image.shape for sample in batch.samples} == {(56, 98, 3)}
    loss = method(batch)["loss"]
    loss.backward()
    assert loss.isfinite()


def test_cached_and_computed_targets_agree(scenes: list[Scene], features: PixelFeatures) -> None:
    cached = PointPixel(student(), features, SIMILARITY, pairs_per_scene=40).eval()
    computed = PointPixel(student(), PixelFeatures(features.teacher), SIMILARITY, pairs_per_scene=40).eval()
    first, second = (method(batch_of(method, scenes))["loss"].item() for method in (cached, computed))
    assert first == pytest.approx(second, abs=1e-3)


def test_the_shuffled_control_permutes_targets_over_the_batch(scenes: list[Scene], features: PixelFeatures) -> None:
    method = PointPixel(student(), features, SIMILARITY, pairs_per_scene=40, shuffle_pairs=True).eval()
    batch = batch_of(method, scenes)
    order = permuted_rows(torch.arange(80)[:, None], batch.seed)[:, 0].tolist()
    assert sorted(order) == list(range(80))
    assert sum(int(source < 40) != int(row < 40) for row, source in enumerate(order)) > 20
    k = torch.nn.functional.normalize(method.student(batch.points)[batch.rows])
    q = torch.nn.functional.normalize(batch.targets[order])
    assert method(batch)["loss"].item() == pytest.approx((1 - (k * q).sum(1)).mean().item(), abs=1e-5)


def test_only_the_student_is_trained_and_saved(features: PixelFeatures) -> None:
    method = PointPixel(student(), features, SIMILARITY)
    assert {name.split(".")[0] for name in method.state_dict()} == {"trained"}
    method.train()
    assert not features.teacher.training
    assert not any(parameter.requires_grad for parameter in features.teacher.parameters())


def test_mistakes_are_named(scenes: list[Scene], features: PixelFeatures) -> None:
    with pytest.raises(RecipeError, match="student gives 7 channels and the teacher 24"):
        PointPixel(student(7), features, SIMILARITY)
    method = PointPixel(student(), features, SIMILARITY)
    blind = scenes[0].select(scenes[0].points[:, 0] < -5)
    with pytest.raises(DataError, match=f"scene {blind.id}: no point is seen"):
        method.sample(blind, np.random.default_rng(0))


def test_draw_pairs_takes_all_there_are() -> None:
    pairs = Pairs(np.arange(5), np.zeros(5, np.int64), np.zeros((5, 2), np.float32))
    assert draw_pairs(pairs, 9, np.random.default_rng(0)) is pairs
    drawn = draw_pairs(pairs, 3, np.random.default_rng(0)).point_index
    assert len(set(drawn.tolist())) == 3


def test_scenes_without_images_are_named_before_training(tmp_path: Path, features: PixelFeatures) -> None:
    root = write_semantickitti(tmp_path, {"00": 3}, points=300)
    for frame in (0, 2):
        (root / "sequences" / "00" / "image_2" / f"{frame:06d}.png").unlink()
    method = PointPixel(student(), features, SIMILARITY)
    with pytest.raises(DataError, match=r"2 of 3 scenes have no image, .*: 00/000000, 00/000002"):
        method.prepare(DATASETS.build("semantickitti", root=root))


class Half(PixelFeatures):
    """Says nothing of the pixels in the left half of the image."""

    def __call__(self, scene: Scene, pairs: Pairs, device: torch.device | str = "cpu") -> torch.Tensor:
        width = scene.views[0].size[1]
        return super().__call__(scene, pairs, device) * torch.from_numpy(pairs.pixels[:, :1] > width / 2)


@pytest.mark.parametrize("cached", [True, False])
def test_pairs_of_which_the_teacher_says_nothing_are_dropped(
    scenes: list[Scene], features: PixelFeatures, cached: bool
) -> None:
    half = Half(features.teacher, cache=features.cache if cached else None)
    method = PointPixel(student(), half, SIMILARITY, pairs_per_scene=60).eval()
    batch = batch_of(method, scenes)
    assert (batch.targets is not None) == cached
    expected = []
    for scene, rng in zip(scenes, generators(scenes), strict=True):
        pairs = draw_pairs(scene.pairs(min_depth=1.0), 60, rng)
        points = method.student.features(scene).astype(float)
        targets = features(scene, pairs).double().numpy()
        for row, point in enumerate(pairs.point_index):
            if pairs.pixels[row, 0] > scene.views[0].size[1] / 2:
                k, q = points[point], targets[row]
                expected.append(1 - k @ q / np.linalg.norm(k) / np.linalg.norm(q))
    assert 20 < len(expected) < 100
    assert method(batch)["loss"].item() == pytest.approx(np.mean(expected), abs=1e-3)


def test_no_pair_that_the_teacher_speaks_of_is_no_loss(scenes: list[Scene], features: PixelFeatures) -> None:
    class Silent(PixelFeatures):
        def __call__(self, scene: Scene, pairs: Pairs, device: torch.device | str = "cpu") -> torch.Tensor:
            return torch.zeros(len(pairs.point_index), 24)

    for cache in (features.cache, None):
        method = PointPixel(student(), Silent(features.teacher, cache=cache), SIMILARITY)
        loss = method(batch_of(method, scenes))["loss"]
        loss.backward()
        assert loss.item() == 0


def test_images_of_a_teacher_that_reads_files_are_not_augmented(features: PixelFeatures) -> None:
    features.teacher.reads_files = True
    with pytest.raises(RecipeError, match="reads its maps from files, so images cannot be augmented"):
        PointPixel(student(), features, SIMILARITY, image=ImageAugmentation())


def test_missing_files_of_the_teacher_are_found_before_training(scenes: list[Scene], kitti_root: Path) -> None:
    teacher = LabelMaps(path="{folder}/{stem}-classes.png", classes="cityscapes19")
    method = PointPixel(student(19), PixelFeatures(teacher), SIMILARITY)
    data = DATASETS.build("semantickitti", root=kitti_root)
    with pytest.raises(DataError, match=rf"-classes.png: the label map is missing \({len(data)} of {len(data)} views"):
        method.prepare(data)


def rig(scene: Scene, cameras: int) -> Scene:
    """The scene seen by several cameras: its own, and others turned from it by 20 degrees each, of another size."""
    views = [scene.views[0]]
    for number in range(1, cameras):
        angle = np.deg2rad(20 * number)
        turn = np.eye(4)
        turn[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
        image = np.random.default_rng(number).integers(0, 255, (64, 200 - 28 * (number % 2), 3)).astype(np.uint8)
        views.append(
            replace(
                views[0], name=f"camera-{number}", camera_from_points=turn @ views[0].camera_from_points, source=image
            )
        )
    return replace(scene, views=views)


def test_pairs_are_drawn_over_all_views_together(scenes: list[Scene], features: PixelFeatures) -> None:
    scene = rig(scenes[0], 3)
    method = PointPixel(student(), features, SIMILARITY, pairs_per_scene=90)
    sample = method.sample(scene, np.random.default_rng(0))
    assert len(sample.pairs.point_index) == 90
    assert (sample.pairs.per_view(3) > 10).all()
    whole = scene.pairs()
    known = {(point, view, *pixel) for point, view, pixel in zip(*whole[:2], whole.pixels.tolist(), strict=True)}
    assert {
        (p, v, *pixel) for p, v, pixel in zip(*sample.pairs[:2], sample.pairs.pixels.tolist(), strict=True)
    } <= known


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_some_random_views_of_each_scene(scenes: list[Scene], features: PixelFeatures, count: int) -> None:
    scene = rig(scenes[0], 4)
    backwards = scene.views[0].camera_from_points.copy()
    backwards[:3] = np.diag([-1, 1, -1]) @ backwards[:3]
    blind = replace(scene.views[0], name="blind", camera_from_points=backwards, intrinsics=np.diag([9000.0, 9000, 1]))
    scene = replace(scene, views=[blind, *scene.views])  # far off its axis: it sees nothing
    assert scene.pairs().per_view(5)[0] == 0
    method = PointPixel(student(), features, SIMILARITY, pairs_per_scene=10_000, views_per_scene=count)
    seen = set()
    for seed in range(40):
        sample = method.sample(scene, np.random.default_rng(seed))
        names = [view.name for view in sample.scene.views]
        assert len(names) == min(count, 4)
        assert names == [view.name for view in scene.views if view.name in names]
        seen |= set(names)
        chosen = replace(scene, views=[view for view in scene.views if view.name in names]).pairs()
        for mine, right in zip(sample.pairs, chosen, strict=True):
            np.testing.assert_array_equal(mine, right)
        again = method.sample(scene, np.random.default_rng(seed))
        assert [view.name for view in again.scene.views] == names
    assert seen == {"image_2", "camera-1", "camera-2", "camera-3"}


def test_without_a_number_of_views_no_random_number_is_spent(scenes: list[Scene], features: PixelFeatures) -> None:
    """Runs begun before the option was there go on with the pairs that they had."""
    sample = PointPixel(student(), features, SIMILARITY, pairs_per_scene=20).sample(scenes[0], np.random.default_rng(3))
    expected = draw_pairs(scenes[0].pairs(), 20, np.random.default_rng(3))
    np.testing.assert_array_equal(sample.pairs.point_index, expected.point_index)


def test_no_view_that_sees_a_point_is_named(scenes: list[Scene], features: PixelFeatures) -> None:
    blind = scenes[0].select(scenes[0].points[:, 0] < -5)
    with pytest.raises(DataError, match="no point is seen by any view"):
        PointPixel(student(), features, SIMILARITY, views_per_scene=1).sample(blind, np.random.default_rng(0))


def test_the_images_of_a_step_go_through_the_teacher_together(
    scenes: list[Scene], features: PixelFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scenes of three cameras and of one: four images of one size and one of another are two batches."""
    mixed = [rig(scenes[0], 3), scenes[1], scenes[0]]
    teacher = features.teacher
    batches = []
    whole = type(teacher)._features
    monkeypatch.setattr(
        type(teacher),
        "_features",
        lambda self, images, views: batches.append(len(images)) or whole(self, images, views),
    )
    method = PointPixel(student(), PixelFeatures(teacher), SIMILARITY, pairs_per_scene=60).eval()
    batch = batch_of(method, mixed)
    together = method(batch)["loss"].item()
    assert sorted(batches) == [1, 4]
    targets = torch.cat([PixelFeatures(teacher)(sample.scene, sample.pairs) for sample in batch.samples])
    alone = losses.similarity(method.student(batch.points, batch.rows), targets).item()
    assert together == pytest.approx(alone, abs=1e-5)
