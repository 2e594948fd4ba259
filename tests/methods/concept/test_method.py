from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch

from pointlift import losses
from pointlift.data.augmentation import PointAugmentation
from pointlift.data.batch import Batch
from pointlift.data.crops import crop_scene
from pointlift.data.dataset import Scenes
from pointlift.errors import DataError, RecipeError
from pointlift.methods.concept.alignment import ImagePatchBatch, image_patches, nearest_patches
from pointlift.methods.concept.method import Concept
from pointlift.methods.concept.samples import ConceptBatch
from pointlift.registry import STUDENTS
from pointlift.teachers.pixels import PixelFeatures
from pointlift.train import TrainOptions, fit
from pointlift.train.schedule import build_optimizer
from tests.methods.frames import Frames, TokenTeacher, concept, student

MSE = losses.build("mse")

ABLATIONS: dict[str, dict[str, Any]] = {
    "full": {},
    "standardised": {"units": "standardised"},
    "flatten": {"head": "flatten", "hidden": 16},
    "pooled": {"head": "pooled", "hidden": 16},
    "without concepts": {"concepts": False},
    "local alignment": {"target": "patches"},
    "reconstruction": {"target": "none", "reconstruction": 1.0},
    "reconstruction and distillation": {"reconstruction": 1.0},
    "crops": {"crops": 2},
    "farthest": {"sampling": "farthest"},
}


def batch_of(method: Concept, frames: Frames, count: int = 4, seed: int = 0) -> ConceptBatch:
    samples = [method.sample(frames[index], np.random.default_rng([seed, index])) for index in range(count)]
    return method.collate(samples, np.random.default_rng(seed))


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_learns(name: str) -> None:
    method, frames = concept(**ABLATIONS[name]), Frames()
    options = TrainOptions(steps=40, batch_size=4, learning_rate=4e-3, log_every=1, clip_norm=1.0)
    values: list[float] = []
    fit(method, frames, options, callbacks=[lambda step, m, logged: values.append(logged["loss"])], cpu=True)
    assert np.mean(values[-10:]) < 0.7 * np.mean(values[:3]), values


@pytest.mark.parametrize("name", ABLATIONS)
@pytest.mark.parametrize("class_token", [False, True])
def test_every_trained_parameter_gets_a_gradient_and_no_other(name: str, class_token: bool) -> None:
    outputs = 3 if name == "local alignment" else 0
    method, frames = concept(network=student(outputs, class_token=class_token), **ABLATIONS[name]), Frames()
    method.prepare(frames)
    method.train()
    method(batch_of(method, frames))["loss"].backward()
    for key, parameter in method.trained.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, key


def test_a_sample_is_in_the_unit_sphere_scaled_and_shifted() -> None:
    method, frames = concept(scale=(1.0, 1.0), shift=0.0), Frames()
    sample = method.sample(frames[3], np.random.default_rng(0))
    assert sample.scene.points.shape == (128, 3)
    np.testing.assert_allclose(np.linalg.norm(sample.scene.points, axis=1).max(), 1, rtol=1e-5)
    np.testing.assert_allclose(sample.scene.points.mean(axis=0), 0, atol=1e-6)
    moved = concept().sample(frames[3], np.random.default_rng(0))
    assert np.abs(moved.scene.points).max() < 1.5 + 0.2
    assert sorted(sample.order.tolist()) == list(range(8))
    again = concept().sample(frames[3], np.random.default_rng(0))
    np.testing.assert_array_equal(again.scene.points, moved.scene.points)


def test_the_target_is_that_of_one_random_image() -> None:
    method, frames = concept(), Frames(views=3)
    seen = {round(float(method.sample(frames[2], np.random.default_rng(s)).target[0, 2]) * 255) for s in range(30)}
    assert seen == {0, 20, 40}


def test_half_of_the_samples_are_fixed_crops_with_what_they_see() -> None:
    method, frames = concept(crops=3, crop_area=(0.3, 0.6), scale=(1.0, 1.0), shift=0.0), Frames()
    scene, teacher = frames[3], method.pixel_features.teacher
    ramp = np.linspace(0, 255, 16 * 24).astype(np.uint8).reshape(16, 24, 1).repeat(3, axis=2)  # so that crops differ
    scene.views[0] = dataclasses.replace(scene.views[0], source=ramp)
    before = teacher.images
    method.prepare(Scenes([scene]))
    samples = [method.sample(scene, np.random.default_rng(seed)) for seed in range(60)]
    assert teacher.images == before + 4
    targets = [float(sample.target[0, 0]) for sample in samples]
    (view,) = scene.views
    known = {float(method.token_sets(view)[0, 0]): scene}
    for crop in method.crops(view):
        known[float(method.token_sets(view, crop)[0, 0])] = crop_scene(scene, view, crop)
    assert set(targets) == set(known)
    assert len(known) == 4
    assert 15 < sum(target == float(method.token_sets(view)[0, 0]) for target in targets) < 45
    for sample, target in zip(samples, targets, strict=True):
        # drawn points may repeat, so the cloud's own centre and radius are not known: compare its features
        assert set(sample.scene.features[:, 0].tolist()) <= set(known[target].features[:, 0].tolist())
    assert concept(crops=3).crops(view) == concept(crops=3).crops(view)
    assert concept().crops(view) == []


def test_a_crop_that_sees_too_few_points_is_left_out() -> None:
    method, frames = concept(crops=20, crop_area=(0.001, 0.002)), Frames()
    whole = method.token_sets(frames[3].views[0])
    assert all(torch.equal(method.sample(frames[3], np.random.default_rng(s)).target, whole) for s in range(20))


def test_crops_need_a_teacher_that_can_see_them() -> None:
    with pytest.raises(RecipeError, match=r"method\.crops needs a teacher"):
        concept(crops=2, target="patches")


def test_the_loss_is_the_mean_squared_error_of_the_tokens() -> None:
    method, frames = concept(), Frames()
    method.prepare(frames)
    batch = batch_of(method, frames)
    predicted = method.network.tokens(method.student.encode(batch.points))
    expected = ((predicted - batch.targets) ** 2).mean()
    torch.testing.assert_close(method(batch)["loss"], expected)
    torch.testing.assert_close(batch.targets[1], method.token_sets(frames[1].views[0]))


def test_standardised_units_are_those_of_the_training_targets() -> None:
    method, frames = concept(units="standardised"), Frames()
    method.prepare(frames)
    targets = torch.stack([method.token_sets(frames[index].views[0]) for index in range(len(frames))])
    torch.testing.assert_close(method.network.mean, targets.mean(0))
    deviation = targets.std(0, correction=0)
    torch.testing.assert_close(method.network.deviation, torch.where(deviation > 1e-6, deviation, 1.0))
    batch = batch_of(method, frames)
    wanted = (batch.targets - method.network.mean) / method.network.deviation
    torch.testing.assert_close(
        method(batch)["loss"], (method.network.tokens(method.student.encode(batch.points)) - wanted).square().mean()
    )
    with torch.no_grad():  # a head that says 0 predicts the mean
        for parameter in method.network.head.parameters():
            parameter.zero_()
    torch.testing.assert_close(method.predict([frames[0]])[0], method.network.mean)


def test_prediction_does_not_change_and_leaves_the_mode_alone() -> None:
    method, frames = concept(), Frames()
    method.train()
    first = method.predict([frames[0], frames[5]])
    assert first.shape == (2, 2, 3)
    torch.testing.assert_close(method.predict([frames[5]])[0], first[1])
    assert method.student.training


def test_reconstruction_and_distillation_are_a_weighted_sum() -> None:
    method, frames = concept(reconstruction=0.5), Frames()
    values = method(batch_of(method, frames))
    torch.testing.assert_close(values["loss"], values["distillation"] + 0.5 * values["reconstruction"])
    plain = concept()
    torch.testing.assert_close(values["distillation"], plain(batch_of(plain, frames))["loss"])


def test_parameter_counts_are_those_of_the_formulas() -> None:
    features = PixelFeatures(_Prefix())

    def published(**options: Any) -> Concept:
        with torch.device("meta"):
            return Concept(STUDENTS.build("point_transformer", 0, 0), features, MSE, **options)

    method = published(reconstruction=1.0)
    d, m, k = 384, 32, 32
    counts = method.parameter_counts()
    block = 2 * d + 3 * d * d + (d * d + d) + 2 * d + (4 * d * d + 4 * d) + (4 * d * d + d)
    assert counts["encoder"] == 494_464 + 50_048 + 12 * block + 2 * d
    assert counts["concept module"] == m * d + block + 2 * d == 1_786_368
    assert counts["concept head"] == (32 * 10 + 10) + (384 * 768 + 768) == 296_010
    position = (3 * 128 + 128) + (128 * d + d)
    assert counts["reconstruction decoder"] == position + 3 * block + 2 * d + (d * 3 * k + 3 * k) + d
    for head, hidden, expected in (
        ("flatten", 512, (m * d * 512 + 512) + (512 * 7680 + 7680)),
        ("pooled", 512, (d * 512 + 512) + (512 * 768 + 768) + 10 * m + 7680),
    ):
        other = published(head=head, hidden=hidden)
        assert other.parameter_counts()["concept head"] == expected
        assert "reconstruction decoder" not in other.parameter_counts()
    without = published(concepts=False)
    assert without.parameter_counts()["concept head"] == (64 * 10 + 10) + (384 * 768 + 768)
    assert "concept module" not in without.parameter_counts()


class _Prefix(TokenTeacher):
    token_shape = (10, 768)


def test_attention_says_which_patches_each_concept_looks_at() -> None:
    method, frames = concept(), Frames()
    attention, encoding, batch = method.attention(frames[0])
    assert attention.shape == (4, 3, 4, 8)
    torch.testing.assert_close(attention.sum(3), torch.ones(4, 3, 4))
    assert encoding.patches.rows.shape == (1, 8, 8)
    assert batch.scene_ids == ["a/000"]
    with pytest.raises(RecipeError, match="has no concepts"):
        concept(concepts=False).attention(frames[0])


# --- direct local alignment ---------------------------------------------------------------------------------------


def test_image_patches_lie_at_their_pixels() -> None:
    frames = Frames()
    scene, view = frames[0], frames[0].views[0]
    found = image_patches(view, torch.arange(24.0).reshape(1, 4, 6), scene.points, 0.1)
    assert found.features[:, 0].tolist() == list(range(24))
    assert found.places[0].tolist() == [1.5, 1.5]
    assert found.places[7].tolist() == [5.5, 5.5]
    assert found.places[23].tolist() == [21.5, 13.5]
    expected = scene.points[:, :2] / scene.points[:, 2:] * 20 + [11.5, 7.5]
    np.testing.assert_allclose(found.pixels, expected, atol=1e-4)
    behind = image_patches(view, torch.zeros(1, 4, 6), -scene.points, 0.1)
    assert torch.isnan(behind.pixels).all()


def test_every_image_patch_meets_the_nearest_centre() -> None:
    rng = torch.Generator().manual_seed(0)
    pixels = torch.rand(20, 2, generator=rng) * 10
    pixels[[2, 15]] = torch.nan
    places = torch.rand(7, 2, generator=rng) * 10
    batch = ImagePatchBatch(torch.zeros(7, 3), places, pixels, [4, 3])
    centres = torch.tensor([[0, 2, 5], [15, 12, 19]])
    rows, nearest = nearest_patches(batch, centres)
    assert rows.tolist() == list(range(7))
    for row in range(7):
        cloud = int(row >= 4)
        distances = [
            math.dist(places[row], pixels[c]) if not torch.isnan(pixels[c, 0]) else math.inf for c in centres[cloud]
        ]
        assert int(nearest[row]) == 3 * cloud + int(np.argmin(distances))


def test_local_alignment_is_the_loss_of_nearest_patches() -> None:
    method, frames = concept(target="patches"), Frames()
    batch = batch_of(method, frames, count=2)
    encoding = method.student.encode(batch.points)
    terms = []
    for cloud, (features, places) in enumerate(
        zip(batch.images.features.split(24), batch.images.places.split(24), strict=True)
    ):
        centres = batch.images.pixels[encoding.patches.rows[cloud, :, 0]]
        for feature, place in zip(features, places, strict=True):
            distances = (centres - place).square().sum(1).nan_to_num(nan=math.inf)
            terms.append((method.student.head(encoding.tokens[cloud, distances.argmin()]) - feature).square().mean())
    torch.testing.assert_close(method(batch)["loss"], torch.stack(terms).mean())


def test_points_may_be_augmented_before_all_else() -> None:
    turned = concept(augmentation=PointAugmentation(drop_cuboid=0.0), target="patches", scale=(1.0, 1.0), shift=0.0)
    plain = concept(target="patches", scale=(1.0, 1.0), shift=0.0)
    frames = Frames()
    one, other = (method.sample(frames[3], np.random.default_rng(0)) for method in (turned, plain))
    assert not np.allclose(one.scene.points, other.scene.points)
    assert not torch.isnan(one.image.pixels).all()  # the camera turned along


def test_normals_turn_with_the_points_of_a_sample() -> None:
    """Of a ball, the normals before all is moved are the points; afterwards they still stand on the surface."""
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(400, 3))
    ball = (ball / np.linalg.norm(ball, axis=1, keepdims=True)).astype(np.float32)
    scene = dataclasses.replace(Frames()[3], points=ball, features=ball, labels=None, normal_columns=(0, 1, 2))
    method = concept(augmentation=PointAugmentation(drop_cuboid=0.0), target="none", reconstruction=1.0)
    sample = method.sample(scene, np.random.default_rng(5)).scene
    points, normals = sample.points.astype(float), sample.features.astype(float)
    quadric = np.linalg.lstsq(np.c_[points**2, points], np.ones(len(points)), rcond=None)[0]  # an ellipsoid now
    gradient = 2 * quadric[:3] * points + quadric[3:]
    gradient /= np.linalg.norm(gradient, axis=1, keepdims=True)
    np.testing.assert_allclose(normals, gradient * np.sign((gradient * normals).sum(axis=1))[:, None], atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)


def test_a_cloud_that_its_image_does_not_see_gives_no_pairs() -> None:
    batch = ImagePatchBatch(torch.zeros(4, 3), torch.zeros(4, 2), torch.full((9, 2), torch.nan), [2, 2])
    rows, nearest = nearest_patches(batch, torch.tensor([[0, 1], [4, 5]]))
    assert len(rows) == len(nearest) == 0


# --- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target": "none"}, "there is nothing to learn"),
        ({"image": object()}, "image=null"),
        ({"scale": (1.5, 0.6)}, r"method\.scale is a range from low to high, not \[1\.5, 0\.6\]"),
        ({"crop_area": (1.0, 0.25)}, r"method\.crop_area is a range from low to high, not \[1, 0\.25\]"),
    ],
)
def test_wrong_options_are_one_sentence(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        concept(**options)


def test_the_student_has_an_output_layer_only_where_it_is_trained() -> None:
    assert not list(concept(reconstruction=1.0).student.head.parameters())
    assert "student's output layer" not in concept().parameter_counts()
    assert concept(target="patches").parameter_counts()["student's output layer"] == 96 * 3 + 3
    assert Concept.trains(target="patches", units="raw") == "points"
    assert Concept.trains() == "tokens"
    assert Concept.trains(target="none", reconstruction=1.0) is None
    with pytest.raises(
        RecipeError, match=r"gives 3 channels at each point, and with method.target=tokens it must be 0"
    ):
        concept(network=student(3))
    with pytest.raises(
        RecipeError, match=r"gives 0 channels at each point, and with method.target=patches it must be 3"
    ):
        concept(network=student(), target="patches")


def test_patches_of_images_need_the_cache() -> None:
    with pytest.raises(RecipeError, match=r"cache\.enabled=true"):
        Concept(student(3), PixelFeatures(TokenTeacher()), MSE, target="patches")
    assert Concept(student(), PixelFeatures(TokenTeacher()), MSE).target == "tokens"


def test_what_is_learned_as_a_token_is_not_decayed() -> None:
    options = TrainOptions(weight_decay=0.05)

    def decayed(**changes: Any) -> dict[str, bool]:
        trained = concept(network=student(class_token=True), reconstruction=1.0, **changes).trained
        groups = build_optimizer(trained, options).param_groups
        found = {id(p): group["weight_decay"] > 0 for group in groups for p in group["params"]}
        return {name: found[id(p)] for name, p in trained.named_parameters() if p.requires_grad}

    found = decayed(head="pooled")
    matrices = {name for name, p in concept(head="pooled").trained.named_parameters() if p.ndim > 1}
    undecayed = {"student.class_token", "concepts.queries", "decoder.mask_token", "head.offset"}
    assert not any(found[name] for name in undecayed)
    assert all(found[name] for name in matrices - undecayed)
    assert found["student.class_position"]  # as Point-MAE, whose rule is the word "token" in the name


def test_only_a_point_transformer_will_do() -> None:
    other = STUDENTS.build("minkunet14", 1, 3, width=0.125)
    with pytest.raises(RecipeError, match="needs the student point_transformer"):
        Concept(other, PixelFeatures(TokenTeacher()), MSE)


def test_scenes_that_will_not_do_are_one_sentence() -> None:
    method = concept()
    with pytest.raises(DataError, match="'a/001' has 5 points, but 8 patches of 8 points need at least 8"):
        method.sample(Frames(points=5)[1], np.random.default_rng(0))
    with pytest.raises(DataError, match="scene a/001 has no image"):
        method.sample(Frames(views=0)[1], np.random.default_rng(0))
    with pytest.raises(RecipeError, match="learned patches and no token sets"):
        concept(target="patches").predict([Frames()[0]])


def test_a_small_scene_repeats_its_points() -> None:
    sample = concept().sample(Frames(points=40)[0], np.random.default_rng(0))
    assert len(sample.scene.points) == 128
    assert len(np.unique(sample.scene.points, axis=0)) == 40
    assert isinstance(concept().clouds([Frames(points=40)[0]]), Batch)
