from pathlib import Path

import numpy as np
import pytest
import torch

import pointlift
from pointlift.data import Scene
from pointlift.data.augmentation import PointAugmentation
from pointlift.data.batch import Batch
from pointlift.data.dataset import Scenes
from pointlift.errors import DataError, RecipeError
from pointlift.losses.segmentation import segmentation_loss
from pointlift.registry import TASKS
from pointlift.tasks.segmentation import Segmentation
from pointlift.train import TrainOptions, fit


def network() -> pointlift.students.base.Student:
    torch.manual_seed(0)
    options = {"width": 0.25, "voxel_size": 0.5, "stem_kernel": 3, "inputs": ("features", "height")}
    return pointlift.student("minkunet14", 1, 8, **options)


def five_classes() -> Segmentation:
    return Segmentation(Scenes([], class_names=tuple("abcde")))


def test_learns_the_labels_of_the_street(kitti_root: Path) -> None:
    data = pointlift.dataset("semantickitti", kitti_root)
    method = Segmentation(data).training(network(), PointAugmentation(rotate_z=10, flip_x=0))
    options = TrainOptions(steps=40, batch_size=2, learning_rate=0.01)
    fit(method, data, options, cpu=True)
    scene = data[0]
    known = scene.labels >= 0
    assert np.mean(method.predict(scene)[known] == scene.labels[known]) > 0.7


def test_the_distillation_head_is_left_aside_and_the_new_head_has_its_own_rate() -> None:
    method = five_classes().training(network(), head_factor=10.0)
    assert not any(p.requires_grad for p in method.trained["student"].head.parameters())
    assert method.learning_rate_factors == {"head.": 10.0}
    assert method.trained["head"].weight.shape == (5, method.trained["student"].decoder_channels)


def test_normals_and_boxes_turn_with_the_points_of_a_sample(scene: Scene) -> None:
    scene.labels = np.zeros(len(scene), np.int64)
    scene.features, scene.normal_columns = scene.points.copy(), (0, 1, 2)  # as vectors they must stay the points
    scene.boxes = np.array([[*scene.points[7], 1, 2, 3, 0.4]], np.float64)
    options = PointAugmentation(drop_cuboid=0.0)
    sample = five_classes().training(network(), options).sample(scene, np.random.default_rng(1))
    assert not np.allclose(sample.points, scene.points, atol=0.1)
    np.testing.assert_allclose(sample.features, sample.points, atol=1e-4)
    np.testing.assert_allclose(sample.boxes[0, :3], sample.points[7], atol=1e-5)


def test_unlabelled_scenes_are_named(kitti_root: Path) -> None:
    scene = pointlift.dataset("semantickitti", kitti_root)[0]
    scene.labels = None
    with pytest.raises(DataError, match=f"the training scan '{scene.id}' has no labels"):
        five_classes().training(network()).sample(scene, np.random.default_rng(0))


def test_targets_must_be_classes() -> None:
    scene = Scene(np.zeros((3, 3), np.float32), np.zeros((3, 0), np.float32), labels=np.array([-1, 4, 0]), id="a")
    assert five_classes().targets(scene).tolist() == [-1, 4, 0]
    for wrong in (5, -2):
        scene.labels = np.array([0, wrong, 1])
        with pytest.raises(DataError, match=f"the test scan 'a' has the label {wrong}; labels must be below .* .5."):
            five_classes().targets(scene, "test scan")


def test_the_weight_of_the_lovasz_term_is_an_option_of_the_task(scene: Scene) -> None:
    scene.labels = np.arange(len(scene)) % 5
    batch, outputs = Batch.from_scenes([scene]), torch.randn(len(scene), 5)
    for weight in (0.0, 0.5):
        task = TASKS.build("segmentation", Scenes([], class_names=tuple("abcde")), lovasz_weight=weight)
        expected = segmentation_loss(outputs, batch.labels, lovasz_weight=weight)
        assert torch.equal(task.loss(outputs, batch)["loss"], expected)
        assert task.settings == {"lovasz_weight": weight}
    with pytest.raises(RecipeError, match="'lovasz_weight' is -1"):
        TASKS.build("segmentation", Scenes([]), lovasz_weight=-1)
