from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pointlift.errors import CheckpointError, RecipeError
from pointlift.teachers import label_space
from pointlift.teachers.cache import FeatureCache
from pointlift.teachers.pixels import PixelFeatures
from pointlift.teachers.segmenter import Segmenter
from tests.teachers.helpers import make_view, random_image
from tests.teachers.test_labelmaps import FakeText, letters
from tests.teachers.test_pixels import make_pairs, make_scene

NAMES = ("road", "sky", "car", "tree", "person")
MAP = """
source: {classes: [road, sky, car, tree, person]}
target: {classes: [thing, ground]}
map: {road: ground, sky: null, car: thing, tree: thing, person: thing}
"""


@pytest.fixture(scope="module")
def segformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    folder = tmp_path_factory.mktemp("segformer")
    config = SegformerConfig(
        depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 16, 16], num_attention_heads=[1, 1, 2, 2], decoder_hidden_size=16,
        id2label=dict(enumerate(NAMES)), label2id={name: n for n, name in enumerate(NAMES)}, initializer_range=0.5,
    )  # fmt: skip
    torch.manual_seed(0)
    SegformerForSemanticSegmentation(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def maskformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

    folder = tmp_path_factory.mktemp("mask2former")
    backbone = SwinConfig(
        embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = Mask2FormerConfig(
        backbone_config=backbone, hidden_dim=32, feature_size=32, mask_feature_size=32, num_attention_heads=2,
        encoder_layers=1, decoder_layers=2, encoder_feedforward_dim=16, dim_feedforward=16, num_queries=7,
        id2label=dict(enumerate(NAMES)), label2id={name: n for n, name in enumerate(NAMES)},
    )  # fmt: skip
    torch.manual_seed(0)
    Mask2FormerForUniversalSegmentation(config).save_pretrained(folder)
    return folder


def network_input(images: torch.Tensor) -> torch.Tensor:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (images - mean[:, None, None]) / std[:, None, None]


def softmax(logits: np.ndarray, axis: int) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


def two_images() -> torch.Tensor:
    return torch.from_numpy(np.stack([random_image(n, 64, 96) for n in range(2)])).permute(0, 3, 1, 2).float() / 255


def test_posteriors_of_logits_at_their_own_resolution(segformer: Path) -> None:
    from transformers import SegformerForSemanticSegmentation

    model = SegformerForSemanticSegmentation.from_pretrained(segformer).eval()
    images = two_images()
    with torch.no_grad():
        logits = model(network_input(images)).logits.double().numpy()
    teacher = Segmenter(source=str(segformer))
    assert (teacher.stride, teacher.dim, teacher.map_channels) == (4, 5, 5)
    found = teacher.features(images)
    assert found.shape == (2, 5, 16, 24)
    assert np.allclose(found.numpy(), softmax(logits, 1), atol=1e-5)
    assert len(np.unique(found.argmax(dim=1))) > 1  # the random network does tell pixels apart
    samples = torch.rand(7, 5)
    assert torch.equal(teacher.lift(samples), samples)
    assert teacher.embed_text(["Car", "tree"]).argmax(dim=1).tolist() == [2, 3]


def test_queries_against_a_literal_sum(maskformer: Path) -> None:
    from transformers import Mask2FormerForUniversalSegmentation

    model = Mask2FormerForUniversalSegmentation.from_pretrained(maskformer).eval()
    images = two_images()
    with torch.no_grad():
        output = model(pixel_values=network_input(images))
    classes = softmax(output.class_queries_logits.double().numpy(), 2)[:, :, :5]
    masks = 1 / (1 + np.exp(-output.masks_queries_logits.double().numpy()))
    expected = np.zeros((2, 5, *masks.shape[2:]))
    for query in range(7):
        for label in range(5):
            expected[:, label] += classes[:, query, label, None, None] * masks[:, query]
    expected /= expected.sum(axis=1, keepdims=True)
    teacher = Segmenter(source=str(maskformer))
    assert teacher.stride == 64 // masks.shape[2]
    assert np.allclose(teacher.features(images).numpy(), expected, atol=1e-5)


def test_text_embeddings_weighted_by_the_posteriors(
    segformer: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(label_space.LabelSpace, "_encoder", lambda self: FakeText(self.text_source))
    monkeypatch.setattr(label_space, "_templates", lambda name: ("{}",))
    teacher = Segmenter(source=str(segformer), text_source="x")
    assert (teacher.dim, teacher.map_channels) == (6, 5)
    embeddings = np.stack([letters(name) / np.linalg.norm(letters(name)) for name in NAMES])
    scene = make_scene(sizes=((64, 96),))
    pairs = make_pairs(scene, (0,))
    posteriors = PixelFeatures(Segmenter(source=str(segformer)))(scene, pairs).double().numpy()
    expected = np.zeros((len(posteriors), 6))
    for row, posterior in enumerate(posteriors):
        for share, embedding in zip(posterior, embeddings, strict=True):
            expected[row] += share * embedding
    assert np.allclose(PixelFeatures(teacher)(scene, pairs).numpy(), expected, atol=1e-5)
    cache = FeatureCache(tmp_path, teacher)
    assert np.allclose(PixelFeatures(teacher, cache=cache)(scene, pairs).numpy(), expected, atol=5e-3)
    assert cache.features(scene.views[0]).shape == (5, 16, 24)  # narrow maps are what is kept


def test_a_map_and_what_it_leaves_out(segformer: Path, tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text(MAP)
    images = two_images()
    posteriors = Segmenter(source=str(segformer)).features(images).double().numpy()
    teacher = Segmenter(source=str(segformer), map=str(tmp_path / "map.yaml"))
    found = teacher.features(images)
    lifted = teacher.lift(found.permute(0, 2, 3, 1).reshape(-1, 5)).reshape(2, 16, 24, 2).numpy()
    silent = posteriors.argmax(axis=1) == 1  # sky
    assert 0 < silent.sum() < silent.size
    for n, y, x in np.ndindex(2, 16, 24):
        p = posteriors[n, :, y, x]
        expected = [0, 0] if silent[n, y, x] else [p[2] + p[3] + p[4], p[0]]
        assert np.allclose(lifted[n, y, x], expected, atol=1e-5)


def test_the_fingerprint_tells_maps_and_weights_apart(segformer: Path, tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text(MAP)
    plain = Segmenter(source=str(segformer)).fingerprint
    assert plain == Segmenter(source=str(segformer)).fingerprint
    assert plain != Segmenter(source=str(segformer), random=True, random_seed=1).fingerprint
    assert plain != Segmenter(source=str(segformer), map=str(tmp_path / "map.yaml")).fingerprint


def test_any_image_size_through_the_pixels(segformer: Path) -> None:
    view = make_view(random_image(0, 37, 61))
    assert PixelFeatures(Segmenter(source=str(segformer))).dense(view).shape == (5, 9, 15)


def test_what_is_no_segmenter(tiny_dinov2: Path, segformer: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="is not a network for semantic segmentation .*model type is 'dinov2'"):
        Segmenter(source=str(tiny_dinov2))
    with pytest.raises(CheckpointError, match="is not a folder"):
        Segmenter(source="./nowhere")
    (tmp_path / "map.yaml").write_text(MAP.replace(", person: thing", "").replace(", person]", "]"))
    with pytest.raises(RecipeError, match=r"map.yaml: map: the class 'person' of id2label of .* has no mapping"):
        Segmenter(source=str(segformer), map=str(tmp_path / "map.yaml"))
