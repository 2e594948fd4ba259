from pathlib import Path

import numpy as np
import pytest
import torch

import pointlift
from pointlift.data import Scene
from pointlift.data.augmentation import PointAugmentation
from pointlift.errors import DataError
from pointlift.tasks.segmentation import Segmentation
from pointlift.train import TrainOptions, fit


def network() -> pointlift.students.base.Student:
    torch.manual_seed(0)
    options = {"width": 0.25, "voxel_size": 0.5, "stem_kernel": 3, "inputs": ("features", "height")}
    return pointlift.student("minkunet14", 1, 8, **options)


def test_learns_the_labels_of_the_street(kitti_root: Path) -> None:
    data = pointlift.dataset("semantickitti", kitti_root)
    method = Segmentation(network(), len(data.class_names), PointAugmentation(rotate_z=10, flip_x=0))
    options = TrainOptions(steps=40, batch_size=2, learning_rate=0.01)
    fit(method, data, options, cpu=True)
    scene = data[0]
    known = scene.labels >= 0
    assert np.mean(method.predict(scene)[known] == scene.labels[known]) > 0.7


def test_the_distillation_head_is_left_aside_and_the_new_head_has_its_own_rate() -> None:
    method = Segmentation(network(), 5, head_factor=10.0)
    assert not any(p.requires_grad for p in method.trained["student"].head.parameters())
    assert method.learning_rate_factors == {"head.": 10.0}
    assert method.trained["head"].weight.shape == (5, method.trained["student"].decoder_channels)


def test_normals_and_boxes_turn_with_the_points_of_a_sample(scene: Scene) -> None:
    scene.labels = np.zeros(len(scene), np.int64)
    scene.features, scene.normal_columns = scene.points.copy(), (0, 1, 2)  # as vectors they must stay the points
    scene.boxes = np.array([[*scene.points[7], 1, 2, 3, 0.4]], np.float64)
    options = PointAugmentation(drop_cuboid=0.0)
    sample = Segmentation(network(), 5, options).sample(scene, np.random.default_rng(1))
    assert not np.allclose(sample.points, scene.points, atol=0.1)
    np.testing.assert_allclose(sample.features, sample.points, atol=1e-4)
    np.testing.assert_allclose(sample.boxes[0, :3], sample.points[7], atol=1e-5)


def test_unlabelled_scenes_are_named(kitti_root: Path) -> None:
    scene = pointlift.dataset("semantickitti", kitti_root)[0]
    scene.labels = None
    with pytest.raises(DataError, match=f"scene {scene.id} has no labels"):
        Segmentation(network(), 5).sample(scene, np.random.default_rng(0))
