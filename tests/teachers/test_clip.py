from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pointlift.errors import CheckpointError, RecipeError
from pointlift.registry import TEACHERS
from pointlift.teachers.clip import CLIP

from .towers import TOWER, Weights, bicubic, pooled, quick_gelu, save_clip

MEAN = np.array([0.48145466, 0.4578275, 0.40821073])[:, None, None]
STD = np.array([0.26862954, 0.26130258, 0.27577711])[:, None, None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip")
    save_clip(path)
    return path


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def literal(teacher: CLIP, image: np.ndarray, *, side: int, layers: int, heads: int, residual: bool) -> np.ndarray:
    """Dense features (D, h, w) of one image (3, H, W), from the state dict alone."""
    weights = Weights(teacher.state_dict())
    height, width = image.shape[1] // side, image.shape[2] // side
    x = weights.patches((image - MEAN) / STD, side)
    table = weights("position_embedding.weight")
    grid = round((len(table) - 1) ** 0.5)
    places = bicubic(table[1:].reshape(grid, grid, -1), height, width).reshape(height * width, -1)
    x = np.concatenate([(weights("class_embedding") + table[0])[None], x + places])
    x = weights.norm(x, "pre_layrnorm", 1e-5)
    for layer in range(layers - 1):
        x = weights.block(x, f"encoder.layers.{layer}", heads, 1e-5, quick_gelu)
    last = f"encoder.layers.{layers - 1}"
    value = weights.linear(weights.norm(x, f"{last}.layer_norm1", 1e-5), f"{last}.self_attn.v_proj")
    z = weights.linear(value, f"{last}.self_attn.out_proj")
    if residual:
        z = x + z
        z = z + weights.mlp(weights.norm(z, f"{last}.layer_norm2", 1e-5), f"{last}.mlp", quick_gelu)
    z = weights.norm(z, "post_layernorm", 1e-5) @ weights("projection.weight").T
    return z[1:].T.reshape(-1, height, width)


def test_the_true_shape_against_a_literal_recomputation():
    teacher = CLIP(random=True, random_seed=2)
    assert (teacher.dim, teacher.stride) == (512, 16)
    generator = torch.Generator().manual_seed(3)
    for parameter in teacher.parameters():
        if parameter.ndim == 1:  # biases and norms start at zero and one; here they do not stay there
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    image = torch.rand(1, 3, 48, 80, generator=generator)
    expected = literal(teacher, image[0].double().numpy(), side=16, layers=12, heads=12, residual=True)
    found = teacher.features(image)
    assert found.shape == (1, 512, 3, 5)
    assert expected.std() > 0.1
    assert np.abs(found[0].numpy() - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("residual", [True, False])
def test_weights_of_a_folder_against_a_literal_recomputation(folder, residual):
    teacher = CLIP(source=str(folder), residual=residual)
    images = torch.rand(2, 3, 16, 40)
    found = teacher.features(images)
    assert (teacher.dim, teacher.stride) == (12, 8)
    for image, row in zip(images, found, strict=True):
        expected = literal(teacher, image.double().numpy(), side=8, layers=3, heads=2, residual=residual)
        assert np.allclose(row, expected, atol=1e-5)
    saved = load_file(folder / "model.safetensors")
    assert torch.equal(saved["visual_projection.weight"], teacher.projection.weight)
    assert torch.equal(
        saved["vision_model.encoder.layers.2.mlp.fc1.bias"], teacher.vision.encoder.layers[2].mlp.fc1.bias
    )


def test_whole_images_equal_transformers(tmp_path):
    """With full attention, what we do to an image and to its tokens is what transformers does."""
    model = save_clip(tmp_path, patch_size=32, image_size=224)
    teacher = CLIP(source=str(tmp_path))
    images = torch.randint(0, 256, (2, 3, 224, 224)) / 255.0
    normalised = (images - torch.from_numpy(MEAN).float()) / torch.from_numpy(STD).float()
    with torch.no_grad():
        expected = pooled(model.get_image_features(pixel_values=normalised))
    assert expected.std() > 0.1
    torch.testing.assert_close(teacher.tokens(images), expected[:, None], atol=1e-5, rtol=1e-5)
    wide = torch.rand(1, 3, 64, 160)
    normalised = (wide - torch.from_numpy(MEAN).float()) / torch.from_numpy(STD).float()
    with torch.no_grad():
        expected = pooled(model.get_image_features(pixel_values=normalised, interpolate_pos_encoding=True))
    torch.testing.assert_close(teacher.tokens(wide), expected[:, None], atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="nearest right size is 64x160"):
        teacher.tokens(torch.rand(1, 3, 64, 161))


def test_text_lies_in_the_space_of_the_images(folder):
    model, teacher = save_clip(folder.parent / "same"), CLIP(source=str(folder))
    from transformers import CLIPTokenizer

    inputs = CLIPTokenizer.from_pretrained(folder)(["a photo of a car", "road"], padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = pooled(model.get_text_features(**inputs))
    before = teacher.fingerprint
    found = teacher.embed_text(["a photo of a car", "road"])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert found.shape[1] == teacher.dim
    assert teacher.fingerprint == before
    assert not any("text" in name for name in teacher.state_dict())


def test_a_batch_equals_its_images_one_by_one(folder):
    teacher = CLIP(source=str(folder))
    images = torch.rand(3, 3, 24, 16)
    single = torch.cat([teacher.features(image[None]) for image in images])
    torch.testing.assert_close(teacher.features(images), single, atol=1e-5, rtol=1e-5)


def test_an_image_tower_alone(folder, tmp_path):
    from transformers import CLIPConfig, CLIPVisionModelWithProjection

    config = CLIPConfig.from_pretrained(folder).vision_config
    config.projection_dim = 12
    CLIPVisionModelWithProjection.from_pretrained(folder, config=config).save_pretrained(tmp_path)
    images = torch.rand(1, 3, 16, 24)
    expected = CLIP(source=str(folder)).features(images)
    teacher = CLIP(source=str(tmp_path))
    torch.testing.assert_close(teacher.features(images), expected)
    with pytest.raises(RecipeError, match="has no text side"):
        teacher.embed_text(["car"])


def test_frozen(folder):
    teacher = CLIP(source=str(folder))
    teacher.embed_text(["car"])
    torch.nn.ModuleList([teacher]).train()
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in (*teacher.parameters(), *teacher.text.parameters()))


def test_fingerprints_follow_all_that_determines_the_features(folder, copy):
    fingerprints = [
        CLIP(source=str(folder)).fingerprint,
        CLIP(source=str(folder), residual=False).fingerprint,
        CLIP(source=str(folder), random=True).fingerprint,
        CLIP(source=str(folder), random=True, random_seed=1).fingerprint,
    ]
    assert CLIP(source=str(copy)).fingerprint == fingerprints[0]
    (copy / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}')
    fingerprints.append(CLIP(source=str(copy)).fingerprint)
    assert len(set(fingerprints)) == 5


def test_random_weights_leave_the_caller_s_random_numbers_alone(folder):
    state = torch.get_rng_state()
    first, second = (CLIP(source=str(folder), random=True) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    images = torch.rand(1, 3, 16, 16)
    assert torch.equal(first.features(images), second.features(images))
    assert not torch.allclose(first.features(images), CLIP(source=str(folder)).features(images), atol=0.1)


# ---- mistakes


def test_folders_that_are_no_clip(tmp_path):
    from transformers import CLIPTextConfig, Dinov2Config, SiglipConfig

    for config in (Dinov2Config(**{**TOWER, "patch_size": 4}), SiglipConfig(), CLIPTextConfig(**TOWER)):
        config.save_pretrained(tmp_path)
        with pytest.raises(RecipeError, match=r"is not a CLIP vision transformer .*CLIP's ResNets have no form there"):
            CLIP(source=str(tmp_path), random=True)


def test_weights_that_do_not_fit(copy):
    weights = load_file(copy / "model.safetensors")
    kept = {key: value for key, value in weights.items() if key != "visual_projection.weight"}
    save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        CheckpointError, match=r"copy' do not fit its config\.json: they lack 1 tensors such as visual_"
    ):
        CLIP(source=str(copy))
    extra = {**weights, "vision_model.encoder.layers.3.mlp.fc1.bias": torch.zeros(24)}
    save_file(extra, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"they have besides 1 tensors such as vision_model\.encoder\.layers\.3"):
        CLIP(source=str(copy))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "projection_dim": 20}))
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="copy'"):
        CLIP(source=str(copy))


def test_pickles_are_not_loaded(copy):
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"only pytorch_model\.bin, a pickle"):
        CLIP(source=str(copy))


def test_a_position_buffer_of_older_checkpoints(copy, folder):
    weights = load_file(copy / "model.safetensors")
    weights["vision_model.embeddings.position_ids"] = torch.arange(10)[None]
    weights["text_model.embeddings.position_ids"] = torch.arange(10)[None]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    assert CLIP(source=str(copy)).fingerprint == CLIP(source=str(folder)).fingerprint
    assert CLIP(source=str(copy)).embed_text(["car"]).shape == (1, 12)


def test_options_of_the_registry(folder):
    options = TEACHERS.options("clip")
    assert set(options.model_fields) == {"name", "source", "residual", "random", "random_seed", "download"}
    assert TEACHERS.build("clip", source=str(folder), residual=False).residual is False
    with pytest.raises(RecipeError, match="did you mean 'residual'"):
        TEACHERS.build("clip", residul=True)
