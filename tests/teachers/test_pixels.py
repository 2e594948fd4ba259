from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pointlift.data.dataset import Dataset
from pointlift.data.scene import Pairs, Scene
from pointlift.teachers.cache import FeatureCache
from pointlift.teachers.images import view_features
from pointlift.teachers.pixels import PixelFeatures
from pointlift.teachers.sampling import sample_features
from tests.teachers.helpers import Lifted, MeanColor, make_view, random_image


def make_scene(seed: int = 0, sizes: tuple[tuple[int, int], ...] = ((16, 24), (20, 40), (16, 24))) -> Scene:
    views = [make_view(random_image(10 * seed + n, *size), name=f"camera {n}") for n, size in enumerate(sizes)]
    return Scene(
        points=np.zeros((30, 3), np.float32),
        features=np.zeros((30, 1), np.float32),
        views=views,
        labels=None,
        id=f"scene {seed}",
    )


def make_pairs(scene: Scene, views: tuple[int, ...] = (0, 1, 2), count: int = 50) -> Pairs:
    random = np.random.default_rng(0)
    view_index = random.choice(views, count)
    sizes = np.array([view.size for view in scene.views])[view_index]
    pixels = (random.uniform(0, 1, (count, 2)) * sizes[:, ::-1] - 0.5).astype(np.float32)
    return Pairs(random.integers(0, 30, count), view_index, pixels)


def expected(scene: Scene, pairs: Pairs, **options) -> torch.Tensor:
    """One pair at a time."""
    rows = []
    for view_index, pixel in zip(pairs.view_index, pairs.pixels, strict=True):
        view = scene.views[view_index]
        feature_map = view_features(MeanColor(), [view], **options)[0]
        size = torch.tensor([view.size])
        rows.append(sample_features(feature_map[None], torch.tensor([0]), torch.from_numpy(pixel)[None], size)[0])
    return torch.stack(rows)


@pytest.mark.parametrize("options", [{}, {"image_size": (8, 12)}, {"scale": 2.0}])
def test_features_of_pairs_with_and_without_a_cache(tmp_path, options):
    scene = make_scene()
    pairs = make_pairs(scene)
    reference = expected(scene, pairs, **options)
    features = PixelFeatures(MeanColor(), **options)(scene, pairs)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, reference)
    teacher = MeanColor()
    cached = PixelFeatures(teacher, cache=FeatureCache(tmp_path, teacher, **options))
    for _ in range(2):
        torch.testing.assert_close(cached(scene, pairs), reference, atol=1e-3, rtol=1e-3)  # float16
    assert teacher.images == 3


def test_only_views_in_pairs_are_decoded(tmp_path):
    scene = make_scene()
    scene.views[1] = make_view(tmp_path / "absent.png")
    pairs = Pairs(np.array([0, 1]), np.array([2, 0]), np.zeros((2, 2), np.float32))
    assert PixelFeatures(MeanColor())(scene, pairs).shape == (2, 3)


def test_no_pairs():
    none = Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 2), np.float32))
    assert PixelFeatures(MeanColor())(make_scene(), none).shape == (0, 3)


def test_precompute_fills_in_batches_and_goes_on(tmp_path):
    teacher = MeanColor()
    scenes = [make_scene(seed) for seed in range(3)]
    pixel_features = PixelFeatures(teacher, cache=FeatureCache(tmp_path, teacher))
    seen: list[tuple[int, int]] = []
    assert pixel_features.precompute(scenes[:1], batch_size=4) == 3
    assert pixel_features.precompute(scenes, lambda *count: seen.append(count), batch_size=6) == 6
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert teacher.images == 9
    assert max(shape[0] for shape in teacher.shapes) == 2  # of two scenes, one is there already
    assert pixel_features.precompute(scenes) == 0
    for scene in scenes:
        pixel_features(scene, make_pairs(scene))
    assert teacher.images == 9


def test_precompute_reads_no_points_where_views_are_known(tmp_path):
    class Views(Dataset):
        """A data set whose points must not be read."""

        def __len__(self):
            return 3

        def __getitem__(self, index):
            raise AssertionError(f"scene {index} was read")

        def views(self, index):
            return make_scene(index).views[: index % 2]  # only scene 1 has an image

    teacher = MeanColor()
    assert PixelFeatures(teacher, cache=FeatureCache(tmp_path, teacher)).precompute(Views()) == 1


def test_what_does_not_belong_together(tmp_path):
    teacher = MeanColor()
    with pytest.raises(ValueError, match="another teacher"):
        PixelFeatures(MeanColor(2.0), cache=FeatureCache(tmp_path, teacher))
    with pytest.raises(ValueError, match="image_size"):
        PixelFeatures(teacher, image_size=(8, 8), cache=FeatureCache(tmp_path, teacher))
    with pytest.raises(ValueError, match="no cache"):
        PixelFeatures(teacher).precompute([])


class _Targets(torch.utils.data.Dataset):
    """At module level, so that it can be sent to other processes."""

    def __init__(self, pixel_features: PixelFeatures, folder: Path) -> None:
        self.pixel_features, self.folder = pixel_features, folder

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        scene = make_scene(sizes=((16, 24),))
        scene.views = [make_view(self.folder / f"{index}.png")]
        return self.pixel_features(scene, make_pairs(scene, (0,)))


def test_in_data_loading_processes(tmp_path):
    for index in range(4):
        Image.fromarray(random_image(index)).save(tmp_path / f"{index}.png")
    teacher = MeanColor()
    pixel_features = PixelFeatures(teacher, cache=FeatureCache(tmp_path / "cache", teacher))
    targets = _Targets(pickle.loads(pickle.dumps(pixel_features)), tmp_path)
    loaded = list(torch.utils.data.DataLoader(targets, batch_size=None, num_workers=2))
    assert len(loaded) == 4
    for index, features in enumerate(loaded):
        torch.testing.assert_close(features, targets[index])
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 4


def test_samples_are_lifted_and_narrow_maps_cached(tmp_path):
    scene = make_scene()
    pairs = make_pairs(scene)
    teacher = Lifted()
    rows = expected(scene, pairs).double().numpy() @ teacher.matrix.double().numpy()
    assert np.allclose(PixelFeatures(teacher)(scene, pairs).numpy(), rows, atol=1e-5)
    cache = FeatureCache(tmp_path, teacher)
    cached = PixelFeatures(teacher, cache=cache)
    assert np.allclose(cached(scene, pairs).numpy(), rows, atol=5e-3)  # float16
    assert cache.features(scene.views[0]).shape == (3, 4, 6)


@pytest.mark.parametrize("kept", [True, False])
def test_dense_features_of_a_view(tmp_path, kept):
    teacher = Lifted()
    view = make_scene().views[1]
    pixel_features = PixelFeatures(teacher, cache=FeatureCache(tmp_path, teacher) if kept else None)
    assert pixel_features.ready == kept
    maps = view_features(MeanColor(), [view])[0].double().numpy()
    expected = np.einsum("chw,cd->dhw", maps, teacher.matrix.double().numpy())
    found = pixel_features.dense(view)
    assert found.dtype == torch.float32
    assert found.device.type == "cpu"
    assert np.allclose(found.numpy(), expected, atol=5e-3 if kept else 1e-5)


def test_a_teacher_that_reads_files_gets_no_pixels_and_no_cache(tmp_path):
    class Reader(MeanColor):
        reads_files = True

        def _features(self, images, views):
            assert not images.any()
            assert len(views) == len(images) == 1  # large maps: one after the other
            return torch.full((1, 3, *images.shape[2:]), float(views[0].name[-1]))

    teacher = Reader()
    teacher.stride = 1
    scene = make_scene()
    pairs = make_pairs(scene)
    pixel_features = PixelFeatures(teacher, scale=2.0, cache=FeatureCache(tmp_path, teacher))
    assert pixel_features.ready
    assert pixel_features.cache is None
    features = pixel_features(scene, pairs)
    assert np.allclose(features.numpy(), pairs.view_index[:, None])
    assert pixel_features.dense(scene.views[1]).shape == (3, 20, 40)


@pytest.mark.gpu
def test_sampling_happens_on_the_teacher_s_device():
    scene = make_scene()
    pairs = make_pairs(scene)
    pixel_features = PixelFeatures(Lifted().cuda())
    pixel_features.teacher.matrix = pixel_features.teacher.matrix.cuda()  # would fail on the CPU
    reference = PixelFeatures(Lifted())(scene, pairs)
    on_device = pixel_features(scene, pairs, "cuda")
    assert on_device.is_cuda
    torch.testing.assert_close(on_device.cpu(), reference, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(pixel_features(scene, pairs), on_device.cpu())
