from __future__ import annotations

import json
from importlib import resources

import pytest
import torch
from torch.nn import functional as F

from pointlift.errors import CheckpointError, RecipeError
from pointlift.registry import TEACHERS
from pointlift.teachers import street
from pointlift.teachers.street import weights, words
from pointlift.worlds.street.classes import ATTRIBUTES, CLASSES


@pytest.fixture(scope="module")
def teacher():
    return TEACHERS.build("street")


def street_folder():
    return resources.files(street.__name__)


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


def test_the_shipped_numbers_are_there():
    report = json.loads((street_folder() / street.REPORT).read_text())
    assert report["measured"]["val"]["images"] >= 40
    assert report["measured"]["val"]["mIoU"] > 0.45
