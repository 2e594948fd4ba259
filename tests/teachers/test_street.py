from __future__ import annotations

import dataclasses
import json
from importlib import resources

import numpy as np
import pytest
import torch
from tools.street_teacher import measuring, objective, training
from tools.street_teacher.augmentation import draw_batch
from tools.street_teacher.rendering import Streets, views_of
from tools.street_teacher.truth import SKY, Truth, bag_table
from tools.street_teacher.views import Views, collect
from torch.nn import functional as F

from pointlift.datasets.street import Street
from pointlift.errors import CheckpointError, DataError, RecipeError
from pointlift.registry import TEACHERS
from pointlift.teachers import street
from pointlift.teachers.street import weights, words
from pointlift.worlds.engine.materials import ATTRIBUTES
from pointlift.worlds.engine.world import CLASSES


@pytest.fixture(scope="module")
def teacher():
    return TEACHERS.build("street")


@pytest.fixture(scope="module")
def unseen():
    """Six images of three streets of the split 'val', which the shipped weights never saw."""
    return views_of(Streets("val", 0, 3, 1, cameras=("front", "left")))


def street_folder():
    return resources.files(street.__name__)


def toy_views(count: int = 4, height: int = 32, width: int = 48, seed: int = 0) -> Views:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(-1, SKY + 1, (count, height // 8, width // 8), generator=generator)
    labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    images = torch.stack([labels * 16, labels * 7 % 200, 255 - labels * 16], dim=1).clamp(0, 255)
    return Views(
        images=images.to(torch.uint8),
        labels=labels.to(torch.int8),
        materials=torch.where(labels == SKY, -1, labels.clamp(min=0) % 3).to(torch.int16),
        lit=labels % 2 == 0,
        depth=torch.where(labels == SKY, 0, 5 * labels.clamp(min=0)).to(torch.float16),
        words=(("red", "brick"), ("green", "leafy", "tree"), ("grey", "metal")),
    )


@pytest.fixture
def one_thread():
    """The script sets the number of threads; leave the other tests theirs."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


# ---- the teacher


def test_features_have_the_shape_and_are_unit(teacher):
    features = teacher.features(torch.rand(2, 3, 32, 48))
    assert features.shape == (2, 64, 8, 12)
    assert (teacher.dim, teacher.stride) == (64, 4)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(2, 8, 12))


@pytest.mark.parametrize("size", [(4, 4), (20, 36)])
def test_any_multiple_of_the_stride_will_do(teacher, size):
    assert teacher.features(torch.rand(1, 3, *size)).shape[2:] == (size[0] // 4, size[1] // 4)


def test_it_is_frozen_and_the_same_each_time(teacher):
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert not teacher.train().training
    image = torch.rand(1, 3, 16, 16)
    again = TEACHERS.build("street")
    assert again.fingerprint == teacher.fingerprint
    assert torch.equal(again.features(image), teacher.features(image))
    assert torch.equal(again.embed_text(["car"]), teacher.embed_text(["car"]))


def test_an_image_does_not_depend_on_the_others_of_its_batch(teacher):
    images = torch.rand(3, 3, 32, 48)
    torch.testing.assert_close(teacher.features(images)[1:2], teacher.features(images[1:2]), atol=1e-5, rtol=0)


def test_the_random_control_has_the_same_words_and_another_network(teacher):
    state = torch.random.get_rng_state()
    first, second, other = (TEACHERS.build("street", random=True, random_seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), state)
    image = torch.rand(1, 3, 16, 16)
    assert torch.equal(first.features(image), second.features(image))
    assert len({teacher.fingerprint, first.fingerprint, other.fingerprint}) == 3
    assert not torch.allclose(first.features(image), other.features(image))
    assert torch.equal(first.embed_text(["red car"]), teacher.embed_text(["red car"]))


def test_the_file_is_small_and_in_half_precision():
    data = (street_folder() / street.WEIGHTS).read_bytes()
    assert len(data) < 3_000_000
    parts = street.street_parts()
    stored = weights.load(data)
    assert {tensor.dtype for tensor in stored.values() if tensor.ndim > 1} == {torch.float16}
    assert sum(parameter.numel() for parameter in parts.parameters()) < 1_200_000


@pytest.mark.parametrize("damage", ["missing", "cut", "zeros", "words", "shape", "nan"])
def test_weights_that_are_missing_or_damaged_are_named(damage, tmp_path, monkeypatch):
    data = (street_folder() / street.WEIGHTS).read_bytes()
    path = tmp_path / street.WEIGHTS
    parts = street.street_parts()
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "zeros":
        path.write_bytes(bytes(100))
    elif damage == "words":
        path.write_bytes(weights.save(weights.load(data), metadata={"words": json.dumps(["car"])}))
    elif damage == "shape":
        path.write_bytes(weights.pack(parts["words"]))
    elif damage == "nan":
        parts["words"].vectors.data[0] = torch.nan
        path.write_bytes(weights.pack(parts))
    monkeypatch.setattr(street.resources, "files", lambda name: tmp_path)
    with pytest.raises(CheckpointError, match=str(path)):
        TEACHERS.build("street")


def test_packing_keeps_what_was_measured():
    parts = street.street_parts()
    again = street.street_parts()
    weights.load_into(again, weights.unpack(weights.pack(parts), "file"), "file")
    for name, value in again.state_dict().items():
        torch.testing.assert_close(value, parts.state_dict()[name], atol=1e-3, rtol=1e-3)


# ---- words


def test_a_prompt_is_the_normalised_sum_of_its_words(teacher):
    vectors = {word: teacher.words.vectors[row] for row, word in enumerate(words.VOCABULARY)}
    expected = F.normalize(vectors["red"] + vectors["car"], dim=0)
    found = teacher.embed_text(["a photo of a Red car", "car, red!", "two-wheeler"])
    assert found.shape == (3, 64)
    torch.testing.assert_close(found[0], expected)
    torch.testing.assert_close(found[1], expected)
    torch.testing.assert_close(found[2], F.normalize(vectors["two-wheeler"], dim=0))


@pytest.mark.parametrize(
    "prompt, near",
    [("a lory", "lorry"), ("red  pavment", "pavement"), ("qqqq", "road"), ("two-wheelers", "two-wheeler")],
)
def test_a_word_that_is_not_in_the_table_is_named_with_near_ones(teacher, prompt, near):
    with pytest.raises(RecipeError, match=near) as caught:
        teacher.embed_text(["car", prompt])
    assert f"'{prompt.split()[-1]}'" in str(caught.value)


@pytest.mark.parametrize("prompt", ["", "a photo of the", "..."])
def test_a_prompt_without_a_word_is_an_error(teacher, prompt):
    with pytest.raises(RecipeError, match="no word"):
        teacher.embed_text([prompt])


def test_no_prompts_are_no_rows(teacher):
    assert teacher.embed_text([]).shape == (0, 64)


def test_the_vocabulary_covers_the_generator_and_its_own_names():
    assert tuple(words.CLASS_WORDS) == (*(name for name, _ in CLASSES), "sky") == tuple(words.CLASS_NAMES)
    assert set(ATTRIBUTES) <= set(words.VOCABULARY)
    assert not words.STOP_WORDS & set(words.VOCABULARY)
    assert set(words.ALIASES.values()) <= set(words.VOCABULARY)
    for names in words.CLASS_NAMES.values():
        words.bags_of_words(names)


# ---- what is true of a pixel


def said(row: torch.Tensor) -> set[str]:
    return {word for word, value in zip(words.VOCABULARY, row, strict=True) if value}


def test_what_is_true_of_pixels():
    truth = Truth([("red", "metal"), ("grass", "green")])
    found = truth.of(
        torch.tensor([5, 2, SKY]),
        torch.tensor([0, 1, -1]),
        torch.tensor([True, False, False]),
        torch.tensor([20.0, 40, 0]),
    )
    assert said(found[0]) == {"car", "automobile", "vehicle", "red", "metal", "metallic", "lit", "sunny"}
    assert said(found[1]) == {"terrain", "ground", "verge", "grass", "green", "shaded", "shadowed", "far", "distant"}
    assert said(found[2]) == {"sky"}
    assert "near" in said(truth.of(torch.tensor([0]), torch.tensor([0]), torch.tensor([True]), torch.tensor([3.0]))[0])


def test_descriptions_are_true_and_not_empty():
    truth = Truth([("red", "metal", "hatchback"), ("grass", "green")])
    labels = torch.tensor([5, 2] * 200)
    known = truth.of(labels, torch.tensor([0, 1] * 200), labels > 3, torch.full((400,), 20.0))
    bags = truth.describe(labels, known, torch.Generator().manual_seed(0))
    assert bool((bags.bool() <= known).all())
    sizes = bags.sum(dim=1)
    assert (int(sizes.min()), int(sizes.max())) == (1, 4)
    assert len({tuple(bag) for bag in bags.tolist()}) > 50


def test_a_material_word_outside_the_vocabulary_is_refused():
    with pytest.raises(DataError, match="'velvet'"):
        bag_table([("red", "velvet")])


def test_collecting_views_joins_equal_materials():
    def image(materials):
        blank = torch.zeros(2, 2)
        return {
            "images": torch.zeros(3, 2, 2, dtype=torch.uint8),
            "labels": blank.to(torch.int8),
            "materials": torch.tensor(materials),
            "lit": blank.bool(),
            "depth": blank.half(),
        }

    views = collect([(image([[0, 1], [-1, 0]]), (("a", "b"), ("c",))), (image([[0, 0], [1, 1]]), (("c",), ("b", "a")))])
    assert views.words == (("a", "b"), ("c",))
    assert views.materials.tolist() == [[[0, 1], [-1, 0]], [[1, 1], [0, 0]]]


# ---- losses and batches


def test_the_description_loss_is_its_literal_equation():
    generator = torch.Generator().manual_seed(0)
    pixels = F.normalize(torch.randn(5, 8, generator=generator), dim=1)
    descriptions = F.normalize(torch.randn(5, 8, generator=generator), dim=1)
    truth = torch.rand(5, 6, generator=generator) < 0.6
    bags = torch.zeros(5, 6)
    for i in range(5):
        truth[i, i] = True
        bags[i, i] = 1.0
    total = 0.0
    for i in range(5):
        pixel_sum = description_sum = 0.0
        for j in range(5):
            if i == j or not truth[i, j]:  # description j is the word j alone
                pixel_sum += float(torch.exp(pixels[i] @ descriptions[j] / objective.TEMPERATURE))
            if i == j or not truth[j, i]:
                description_sum += float(torch.exp(pixels[j] @ descriptions[i] / objective.TEMPERATURE))
        own = float(torch.exp(pixels[i] @ descriptions[i] / objective.TEMPERATURE))
        total -= (np.log(own / pixel_sum) + np.log(own / description_sum)) / 2
    found = objective.description_loss(3 * pixels, descriptions, bags, truth)
    assert float(found) == pytest.approx(total / 5, rel=1e-4)


@pytest.mark.parametrize("whole", [True, False])
def test_pixels_of_a_batch_show_what_their_truth_says(whole):
    views = toy_views(height=96, width=96)
    batch = draw_batch(views, torch.tensor([2, 0, 3]), 500, whole, torch.Generator().manual_seed(1))
    assert batch.images.shape == (3, 3, *((96, 96) if whole else (80, 80)))
    assert len(batch.pixels) == 500
    assert int(batch.truth["labels"].min()) >= 0
    # colours are a function of the label but for the mild change of each window
    red_minus_blue = batch.sample(batch.images)[:, [0, 2]].diff(dim=1)[:, 0]
    correlation = np.corrcoef(red_minus_blue.numpy(), batch.truth["labels"].numpy())[0, 1]
    assert correlation < -0.9


def test_rare_classes_are_drawn_more_often_than_they_occur():
    views = toy_views(count=1, height=80, width=80)
    views.labels[:] = 0
    views.labels[:, :8, :8] = 1  # 1 %
    batch = draw_batch(views, torch.tensor([0]), 400, True, torch.Generator().manual_seed(0))
    assert float((batch.truth["labels"] == 1).float().mean()) > 0.03


# ---- measuring


def test_measuring_is_the_literal_intersection_over_union():
    views = toy_views()
    torch.manual_seed(0)
    parts = street.street_parts().eval()
    found = measuring.measure(parts, views)
    with torch.no_grad():
        maps = parts["network"](views.images.float() / 255)
        prompts = parts["words"](words.bags_of_words(list(words.CLASS_WORDS)))
        scores = F.interpolate(torch.einsum("bdhw,cd->bchw", maps, prompts), views.size, mode="bilinear")
    for sky, key in ((False, "mIoU"), (True, "mIoU_with_sky")):
        classes = range(SKY + sky)
        predicted = scores[:, : len(classes)].argmax(dim=1)
        known = (views.labels >= 0) & (views.labels < len(classes))
        ious = []
        for label in classes:
            true, said_so = (views.labels == label) & known, (predicted == label) & known
            if true.any():
                ious.append(float((true & said_so).sum() / (true | said_so).sum()))
        assert found[key] == pytest.approx(np.mean(ious), abs=1e-6)
    assert found["images"] == 4
    assert -1 <= found["tolerance"] <= 1


def test_the_accuracy_of_colours_is_one_for_features_that_are_their_prompts():
    torch.manual_seed(0)
    parts = street.street_parts().eval()
    labels = torch.tensor([3, 4, 5])
    known = bag_table([("red",), ("green", "tree"), ("metal",)])  # the last has no colour and does not count
    with torch.no_grad():
        good, bad = (
            parts["words"](words.bags_of_words(names))
            for names in (
                ["red building", "green vegetation", "car"],
                ["red building", "blue vegetation", "car"],
            )
        )
        assert measuring._color_accuracy(parts, good, labels, known) == 1.0
        assert measuring._color_accuracy(parts, bad, labels, known) == 0.5


# ---- rendering


def test_rendered_images_are_those_of_the_data_set(tmp_path):
    size, cameras = (32, 64), ("front", "right")
    views = views_of(Streets("teacher", 1, 1, 2, cameras=cameras, image_size=size), tmp_path)
    dataset = Street(root=tmp_path, split="teacher", sequences=2, frames=2, cameras=cameras, image_size=size)
    for index in (2, 3):
        for place, view in enumerate(dataset.views(index)):
            ours = 2 * (index - 2) + place
            assert np.array_equal(view.image.transpose(2, 0, 1), views.images[ours].numpy())
            labels = dataset.label_image(index, view.name)
            assert np.array_equal(np.where(labels < 0, SKY, labels), views.labels[ours].numpy())
    assert set(views.materials[views.labels == SKY].tolist()) <= {-1}
    again = views_of(Streets("teacher", 1, 1, 2, cameras=cameras, image_size=size), tmp_path)
    assert again.words == views.words
    assert all(torch.equal(value, again.tensors()[name]) for name, value in views.tensors().items())


# ---- training


def test_training_is_a_function_of_views_and_settings():
    views = toy_views()
    settings = training.Settings(steps=6, batch_size=2, pixels=128, described=32)
    state = torch.random.get_rng_state()
    first, second = (training.train(views, settings).state_dict() for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    other = training.train(views, dataclasses.replace(settings, seed=1)).state_dict()
    assert not torch.equal(first["words.vectors"], other["words.vectors"])


def test_the_training_script_runs(tmp_path, one_thread):
    options = "--steps 2 --batch-size 2 --sequences 1 --frames 1 --measured 1 --image-size 32 64"
    training.main([*options.split(), "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")])
    report = json.loads((tmp_path / "out" / street.REPORT).read_text())
    assert set(report["measured"]) == {"teacher", "val", "coast"}
    before = (tmp_path / "out" / street.WEIGHTS).read_bytes()
    training.main([*options.split(), "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")])
    assert (tmp_path / "out" / street.WEIGHTS).read_bytes() == before  # from the cache now
    parts = street.street_parts()
    weights.load_into(parts, weights.unpack((tmp_path / "out" / street.WEIGHTS).read_bytes(), "file"), "file")


# ---- the shipped weights


def test_the_shipped_teacher_segments_unseen_streets_and_keeps_structure_within_classes(teacher, unseen):
    found = measuring.measure(torch.nn.ModuleDict({"network": teacher.network, "words": teacher.words}), unseen)
    assert 0.5 < found["tolerance"] < 0.9
    assert found["mIoU"] > 0.4


def test_the_shipped_numbers_are_there():
    report = json.loads((street_folder() / street.REPORT).read_text())
    assert report["measured"]["val"]["images"] >= 40
    assert report["measured"]["val"]["mIoU"] > 0.45
