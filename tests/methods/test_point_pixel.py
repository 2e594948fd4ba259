from pathlib import Path

import numpy as np
import pytest
import torch

import pointlift
from pointlift.data.augmentation import ImageAugmentation, PointAugmentation
from pointlift.data.scene import Pairs, Scene
from pointlift.errors import DataError, RecipeError
from pointlift.losses import similarity
from pointlift.losses.distributed import permuted_rows
from pointlift.methods.point_pixel import PointPixel, draw_pairs
from pointlift.teachers.cache import FeatureCache
from pointlift.teachers.pixels import PixelFeatures
from pointlift.train.loader import scene_generator
from tests.fixtures_kitti import write_semantickitti


@pytest.fixture
def scenes(kitti_root: Path) -> list[Scene]:
    data = pointlift.dataset("semantickitti", kitti_root)
    return [data[0], data[1]]


@pytest.fixture
def features(tiny_dinov2: Path) -> PixelFeatures:
    teacher = pointlift.teacher("dinov2", source=str(tiny_dinov2), layer=1)
    return PixelFeatures(teacher, cache=FeatureCache(None, teacher))


def student(out_channels: int = 24) -> pointlift.students.base.Student:
    torch.manual_seed(0)
    return pointlift.student("minkunet14", 1, out_channels, width=0.25, voxel_size=0.5, stem_kernel=3)


def generators(scenes: list[Scene]) -> list[np.random.Generator]:
    return [scene_generator(0, 0, scene.id) for scene in scenes]


def batch_of(method: PointPixel, scenes: list[Scene]) -> object:
    samples = [method.sample(scene, rng) for scene, rng in zip(scenes, generators(scenes), strict=True)]
    return method.collate(samples, np.random.default_rng(0))


def test_the_loss_is_that_of_literally_paired_rows(scenes: list[Scene], features: PixelFeatures) -> None:
    method = PointPixel(student(), features, similarity, pairs_per_scene=50).eval()
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
    plain = PointPixel(student(), features, similarity, pairs_per_scene=10_000)
    options = PointAugmentation(min_pairs=10, cuboid_fraction=0.5, scale=(0.9, 1.1))
    moved = PointPixel(student(), features, similarity, options, pairs_per_scene=10_000)
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
        PointPixel(student(), features, similarity, image=options)
    uncached = PixelFeatures(features.teacher)
    method = PointPixel(student(), uncached, similarity, image=options, pairs_per_scene=30)
    batch = batch_of(method, scenes)
    assert batch.targets is None
    assert {sample.scene.views[0].image.shape for sample in batch.samples} == {(56, 98, 3)}
    loss = method(batch)["loss"]
    loss.backward()
    assert loss.isfinite()


def test_cached_and_computed_targets_agree(scenes: list[Scene], features: PixelFeatures) -> None:
    cached = PointPixel(student(), features, similarity, pairs_per_scene=40).eval()
    computed = PointPixel(student(), PixelFeatures(features.teacher), similarity, pairs_per_scene=40).eval()
    first, second = (method(batch_of(method, scenes))["loss"].item() for method in (cached, computed))
    assert first == pytest.approx(second, abs=1e-3)


def test_the_shuffled_control_permutes_targets_over_the_batch(scenes: list[Scene], features: PixelFeatures) -> None:
    method = PointPixel(student(), features, similarity, pairs_per_scene=40, shuffle_pairs=True).eval()
    batch = batch_of(method, scenes)
    order = permuted_rows(torch.arange(80)[:, None], batch.seed)[:, 0].tolist()
    assert sorted(order) == list(range(80))
    assert sum(int(source < 40) != int(row < 40) for row, source in enumerate(order)) > 20
    k = torch.nn.functional.normalize(method.student(batch.points)[batch.rows])
    q = torch.nn.functional.normalize(batch.targets[order])
    assert method(batch)["loss"].item() == pytest.approx((1 - (k * q).sum(1)).mean().item(), abs=1e-5)


def test_only_the_student_is_trained_and_saved(features: PixelFeatures) -> None:
    method = PointPixel(student(), features, similarity)
    assert {name.split(".")[0] for name in method.state_dict()} == {"trained"}
    method.train()
    assert not features.teacher.training
    assert not any(parameter.requires_grad for parameter in features.teacher.parameters())


def test_mistakes_are_named(scenes: list[Scene], features: PixelFeatures) -> None:
    with pytest.raises(RecipeError, match="student gives 7 channels and the teacher 24"):
        PointPixel(student(7), features, similarity)
    method = PointPixel(student(), features, similarity)
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
    method = PointPixel(student(), features, similarity)
    with pytest.raises(DataError, match=r"2 of 3 scenes have no image, .*: 00/000000, 00/000002"):
        method.prepare(pointlift.dataset("semantickitti", root))
