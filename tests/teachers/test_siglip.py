from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pointlift.errors import CheckpointError, RecipeError
from pointlift.registry import TEACHERS
from pointlift.teachers.siglip import SigLIP

from .towers import TOWER, Weights, bicubic, pooled, save_siglip, tanh_gelu


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("siglip")
    save_siglip(path)
    return path


def literal(teacher: SigLIP, image: np.ndarray) -> np.ndarray:
    """Dense features (16, h, w) of one image (3, H, W), from the state dict alone."""
    weights = Weights(teacher.state_dict())
    height, width = image.shape[1] // 4, image.shape[2] // 4
    places = bicubic(weights("position_embedding.weight").reshape(3, 3, -1), height, width)
    x = weights.patches((image - 0.5) / 0.5, 4) + places.reshape(height * width, -1)
    for layer in range(3):
        x = weights.block(x, f"encoder.layers.{layer}", 2, 1e-6, tanh_gelu)
    x = weights.norm(x, "post_layernorm", 1e-6)
    values = x @ weights("attention.in_proj_weight")[32:].T + weights("attention.in_proj_bias")[32:]
    values = weights.linear(values, "attention.out_proj")
    values = values + weights.mlp(weights.norm(values, "head.layernorm", 1e-6), "head.mlp", tanh_gelu)
    return values.T.reshape(-1, height, width)


def test_against_a_literal_recomputation(folder):
    teacher = SigLIP(source=str(folder))
    assert (teacher.dim, teacher.stride) == (16, 4)
    images = torch.rand(2, 3, 12, 28)
    for image, found in zip(images, teacher.features(images), strict=True):
        expected = literal(teacher, image.double().numpy())
        assert expected.std() > 0.1
        assert np.allclose(found, expected, atol=1e-5)


def test_whole_images_equal_transformers(folder, tmp_path):
    model, teacher = save_siglip(tmp_path / "same"), SigLIP(source=str(folder))
    for height, width in ((12, 12), (8, 20)):
        images = torch.rand(2, 3, height, width)
        with torch.no_grad():
            output = model.get_image_features(pixel_values=2 * images - 1, interpolate_pos_encoding=True)
        torch.testing.assert_close(teacher.tokens(images), pooled(output)[:, None], atol=1e-5, rtol=1e-5)


def test_dense_features_of_one_patch_are_its_pooled_embedding(folder):
    """A probe that sees one patch attends to nothing else, which is what every patch of the dense form has."""
    teacher = SigLIP(source=str(folder))
    images = torch.rand(3, 3, 4, 4)
    torch.testing.assert_close(teacher.features(images)[:, :, 0, 0], teacher.tokens(images)[:, 0], atol=1e-5, rtol=1e-5)


def test_naflex_equals_transformers(tmp_path):
    model, height, width = save_siglip(tmp_path, naflex=True), 2, 5
    teacher = SigLIP(source=str(tmp_path))
    images = torch.rand(1, 3, 4 * height, 4 * width)
    corners = [(4 * row, 4 * column) for row in range(height) for column in range(width)]
    patches = torch.stack(
        [images[0, :, top : top + 4, left : left + 4].permute(1, 2, 0).reshape(-1) for top, left in corners]
    )
    with torch.no_grad():
        output = model.get_image_features(
            pixel_values=2 * patches[None] - 1,
            pixel_attention_mask=torch.ones(1, height * width, dtype=torch.long),
            spatial_shapes=torch.tensor([[height, width]]),
        )
    torch.testing.assert_close(teacher.tokens(images), pooled(output)[:, None], atol=1e-5, rtol=1e-5)
    one = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(teacher.features(one)[:, :, 0, 0], teacher.tokens(one)[:, 0], atol=1e-5, rtol=1e-5)
    assert teacher.features(images).shape == (1, 16, height, width)
    assert teacher.embed_text(["the car"]).shape == (1, 16)


def test_text_lies_in_the_space_of_the_images(folder):
    teacher = SigLIP(source=str(folder))
    found = teacher.embed_text(["a photo of a car", "road"])
    assert found.shape == (2, teacher.dim)
    assert not any("text" in name for name in teacher.state_dict())


def test_fingerprints_follow_all_that_determines_the_features(folder, tmp_path):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    fingerprints = [
        SigLIP(source=str(folder)).fingerprint,
        SigLIP(source=str(folder), random=True).fingerprint,
        SigLIP(source=str(folder), random=True, random_seed=1).fingerprint,
    ]
    assert SigLIP(source=str(copy)).fingerprint == fingerprints[0]
    (copy / "preprocessor_config.json").write_text('{"image_mean": [0.4, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}')
    assert len({*fingerprints, SigLIP(source=str(copy)).fingerprint}) == 4


# ---- mistakes


def test_folders_that_are_no_siglip(tmp_path):
    from transformers import CLIPConfig, Dinov2Config

    for config in (Dinov2Config(**{**TOWER, "patch_size": 4}), CLIPConfig()):
        config.save_pretrained(tmp_path)
        with pytest.raises(RecipeError, match="is not a SigLIP .its model type is"):
            SigLIP(source=str(tmp_path), random=True)


def test_a_network_without_a_pooling_head(tmp_path):
    save_siglip(tmp_path, head=False)
    with pytest.raises(RecipeError, match="has no pooling head"):
        SigLIP(source=str(tmp_path))


def test_weights_that_do_not_fit(folder, tmp_path):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    weights = load_file(copy / "model.safetensors")
    kept = {key: value for key, value in weights.items() if key != "vision_model.head.probe"}
    save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        CheckpointError, match=r"copy' do not fit its config\.json: they lack 1 tensors such as .*probe"
    ):
        SigLIP(source=str(copy))
    extra = {**weights, "vision_model.encoder.layers.3.mlp.fc1.bias": torch.zeros(24)}
    save_file(extra, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"have besides 1 tensors such as .*encoder\.layers\.3"):
        SigLIP(source=str(copy))


def test_options_of_the_registry(folder):
    options = TEACHERS.options("siglip")
    assert set(options.model_fields) == {"name", "source", "random", "random_seed", "download"}
    assert TEACHERS.build("siglip", source=str(folder)).dim == 16
