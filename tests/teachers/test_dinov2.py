from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from pointlift.errors import CheckpointError, RecipeError
from pointlift.registry import TEACHERS
from pointlift.teachers.dinov2 import DINOv2
from pointlift.teachers.hub import resolve_source
from tests.teachers.helpers import make_view

SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 24, "patch_size": 4}


def save_model(folder: Path, kind: str) -> Path:
    """A tiny randomly initialised network of a kind as transformers saves it."""
    import transformers

    torch.manual_seed(1)
    config_class, model_class, options = {
        "dinov2": ("Dinov2Config", "Dinov2Model", {}),
        "dinov2_with_registers": ("Dinov2WithRegistersConfig", "Dinov2WithRegistersModel", {"num_register_tokens": 4}),
        "vit": ("ViTConfig", "ViTModel", {"intermediate_size": 32}),
        "dinov3_vit": ("DINOv3ViTConfig", "DINOv3ViTModel", {"intermediate_size": 32, "num_register_tokens": 2}),
    }[kind]
    if not hasattr(transformers, config_class):
        pytest.skip(f"this version of transformers has no {config_class}")
    model = getattr(transformers, model_class)(getattr(transformers, config_class)(**SIZES, **options))
    for parameter in model.parameters():  # position embeddings and biases start at zero in some kinds
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("dinov2"), "dinov2")


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def hidden_state(folder: Path, images: torch.Tensor, layer: int, prefix: int) -> torch.Tensor:
    """What transformers itself says: the full network, all hidden states, reshaped to a map."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder).float().eval()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    options = {"interpolate_pos_encoding": True} if model.config.model_type == "vit" else {}
    with torch.no_grad():
        output = model(
            (images - mean[:, None, None]) / std[:, None, None], output_hidden_states=True, **options
        ).hidden_states[layer]
    patch = model.config.patch_size
    h, w = images.shape[2] // patch, images.shape[3] // patch
    return output[:, prefix:].reshape(len(images), h, w, -1).permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("kind", "prefix"), [("dinov2", 1), ("dinov2_with_registers", 5), ("vit", 1), ("dinov3_vit", 3)]
)
def test_equals_the_hidden_states_of_transformers(tmp_path, kind, prefix):
    folder = save_model(tmp_path, kind)
    images = torch.rand(2, 3, 16, 28)  # neither the size nor the shape of pretraining
    for layer in (0, 1, 3, None):
        teacher = DINOv2(source=str(folder), layer=layer)
        assert (teacher.dim, teacher.stride, teacher.prefix_tokens) == (16, 4, prefix)
        expected = hidden_state(folder, images, 3 if layer is None else layer, prefix)
        assert expected.std() > 0.1
        torch.testing.assert_close(teacher.features(images), expected, atol=1e-5, rtol=1e-5)


def test_computes_only_the_blocks_that_it_needs(folder):
    assert len(DINOv2(source=str(folder), layer=2).model.encoder.layer) == 2


def test_a_batch_equals_its_images_one_by_one(folder):
    teacher = DINOv2(source=str(folder))
    images = torch.rand(3, 3, 12, 20)
    single = torch.cat([teacher.features(image[None]) for image in images])
    torch.testing.assert_close(teacher.features(images), single, atol=1e-5, rtol=1e-5)


def test_frozen(folder):
    teacher = DINOv2(source=str(folder))
    torch.nn.ModuleList([teacher]).train()
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert all(parameter.dtype == torch.float32 for parameter in teacher.parameters())


def test_random_twin(folder, tmp_path):
    images = torch.rand(1, 3, 8, 8)
    state = torch.get_rng_state()
    pretrained, twin = DINOv2(source=str(folder)), DINOv2(source=str(folder), random=True)
    assert torch.equal(torch.get_rng_state(), state)  # the caller's random numbers are not touched
    assert twin.dim == pretrained.dim
    assert not torch.allclose(twin.features(images), pretrained.features(images), atol=0.1)
    again, other = DINOv2(source=str(folder), random=True), DINOv2(source=str(folder), random=True, random_seed=1)
    assert torch.equal(again.features(images), twin.features(images))
    assert again.fingerprint == twin.fingerprint
    assert other.fingerprint != twin.fingerprint != pretrained.fingerprint
    assert not torch.allclose(other.features(images), twin.features(images), atol=0.1)
    shutil.copy(folder / "config.json", tmp_path)
    assert DINOv2(source=str(tmp_path), random=True).fingerprint == twin.fingerprint


def test_fingerprint_follows_all_that_determines_the_output(folder, copy):
    fingerprint = DINOv2(source=str(folder), layer=2).fingerprint
    assert DINOv2(source=str(copy), layer=2).fingerprint == fingerprint  # where the files lie does not matter
    assert DINOv2(source=str(folder), layer=1).fingerprint != fingerprint
    (copy / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}')
    assert DINOv2(source=str(copy), layer=2).fingerprint != fingerprint
    (copy / "preprocessor_config.json").unlink()
    weights = load_file(copy / "model.safetensors")
    weights["embeddings.cls_token"] += 1e-3
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    assert DINOv2(source=str(copy), layer=2).fingerprint != fingerprint


def test_normalisation_of_the_folder(folder, copy):
    images = torch.rand(1, 3, 8, 8)
    settings = copy / "preprocessor_config.json"
    settings.write_text('{"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.25, 0.5]}')
    teacher, plain = DINOv2(source=str(copy)), DINOv2(source=str(folder))
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.25, 0.5])
    same_input = (images - mean.view(3, 1, 1)) / std.view(3, 1, 1) * plain.std + plain.mean
    torch.testing.assert_close(teacher.features(images), plain.features(same_input), atol=1e-5, rtol=1e-4)
    settings.write_text('{"do_normalize": false}')
    same_input = images * plain.std + plain.mean
    torch.testing.assert_close(
        DINOv2(source=str(copy)).features(images), plain.features(same_input), atol=1e-5, rtol=1e-4
    )
    for damaged in ("{", "[]", '{"image_std": [0, 1, 1]}', '{"image_mean": [1, 2]}'):
        settings.write_text(damaged)
        with pytest.raises(CheckpointError, match=r"preprocessor_config\.json"):
            DINOv2(source=str(copy))


def test_half_precision_files_compute_in_float32(folder, tmp_path):
    from transformers import AutoModel

    AutoModel.from_pretrained(folder).half().save_pretrained(tmp_path)
    teacher = DINOv2(source=str(tmp_path))
    images = torch.rand(1, 3, 8, 8)
    assert teacher.features(images).dtype == torch.float32
    torch.testing.assert_close(
        teacher.features(images), DINOv2(source=str(folder)).features(images), atol=0.05, rtol=0.05
    )


def test_several_weight_files(folder, tmp_path):
    from transformers import AutoModel

    AutoModel.from_pretrained(folder).save_pretrained(tmp_path, max_shard_size="10KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    assert DINOv2(source=str(tmp_path)).fingerprint == DINOv2(source=str(folder)).fingerprint


def test_loading_is_silent(folder, capfd):
    DINOv2(source=str(folder))
    assert capfd.readouterr() == ("", "")


# --- mistakes, each answered with one sentence ---


@pytest.mark.parametrize("option", ["layer", "random_seed"])
def test_numbers_out_of_bounds_are_named(folder, option):
    with pytest.raises(RecipeError, match=f"'{option}' is -1"):
        TEACHERS.build("dinov2", source=str(folder), **{option: -1})


def test_the_home_folder_is_expanded(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert resolve_source(f"~/{folder.name}") == folder


def test_a_layer_that_is_not_there(folder):
    for layer in (4, -1):
        with pytest.raises(RecipeError, match=r"teacher\.layer is -?\d.*3 blocks; choose 0 to 3"):
            DINOv2(source=str(folder), layer=layer)


def test_a_folder_that_is_not_there(tmp_path):
    for source in (str(tmp_path / "absent"), "./absent", "a/b/c", "~/no such folder"):
        with pytest.raises(CheckpointError, match=r"is not a folder; give a folder with config\.json"):
            DINOv2(source=source)


def test_a_hub_id_is_not_downloaded_unless_asked(monkeypatch):
    import huggingface_hub

    asked = []

    def snapshot_download(source, *, local_files_only, allow_patterns):
        asked.append(local_files_only)
        assert not any(pattern.endswith(("bin", "pt", "*")) for pattern in allow_patterns)
        raise huggingface_hub.errors.LocalEntryNotFoundError("not there")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(CheckpointError, match=r"'someone/model'.*give a local folder or set teacher\.download=true"):
        DINOv2(source="someone/model")
    with pytest.raises(CheckpointError, match=r"'someone/model' could not be downloaded from the hub: not there"):
        DINOv2(source="someone/model", download=True)
    assert asked == [True, False]


def test_a_hub_id_that_is_on_this_machine(monkeypatch, folder, tmp_path):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(folder))
    assert resolve_source("someone/model") == folder
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(tmp_path))
    with pytest.raises(CheckpointError, match=r"teacher\.download=true"):  # only a part of its files is here
        resolve_source("someone/model")
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        resolve_source("someone/model", download=True)


def test_a_folder_without_configuration(copy):
    (copy / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"copy' has no config\.json"):
        DINOv2(source=str(copy))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged: it holds a list"),
        ("{}", "has no model_type"),
        ('{"architecture": "vit_small_patch14_dinov2"}', "is a configuration of timm"),
        ('{"model_type": "no_such_network"}', "is not a configuration that .* does not know"),
        ('{"model_type": 3}', "has no model_type"),
    ],
)
def test_a_damaged_configuration(copy, config, said):
    (copy / "config.json").write_text(config)
    with pytest.raises(CheckpointError, match=rf"config\.json {said}") as caught:
        DINOv2(source=str(copy))
    assert "\n" not in str(caught.value)


def test_a_folder_without_weights_or_with_a_pickle(copy):
    (copy / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"copy' holds no weights; model\.safetensors is needed"):
        DINOv2(source=str(copy))
    (copy / "pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(CheckpointError, match=r"only pytorch_model\.bin, a pickle"):
        DINOv2(source=str(copy))


def test_damaged_weights(copy):
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(
        CheckpointError, match=r"model\.safetensors' is cut short: it has [\d,]+ of [\d,]+ bytes"
    ) as caught:
        DINOv2(source=str(copy))
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_finite(copy):
    weights = load_file(copy / "model.safetensors")
    weights["embeddings.cls_token"][0, 0, 3] = float("nan")
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"embeddings\.cls_token holds values that are not finite"):
        DINOv2(source=str(copy))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("num_hidden_layers", 4, "lack"),
        ("num_hidden_layers", 2, "have besides"),
        ("hidden_size", 32, "does not load|shape"),
    ],
)
def test_weights_of_another_network(copy, key, value, message):
    config = json.loads((copy / "config.json").read_text())
    config = {name: config[name] for name in config if name not in ("stage_names", "out_features", "out_indices")}
    config[key] = value
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=message) as caught:
        DINOv2(source=str(copy))
    assert "copy'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_heads_and_unused_tensors_do_not_matter(folder, tmp_path):
    """A classifier's checkpoint has its own prefix and a head; a mask token is only for pretraining."""
    from transformers import AutoModel, Dinov2ForImageClassification

    backbone = AutoModel.from_pretrained(folder)
    classifier = Dinov2ForImageClassification(backbone.config)
    classifier.dinov2.load_state_dict(backbone.state_dict())
    classifier.save_pretrained(tmp_path)
    images = torch.rand(1, 3, 8, 8)
    assert torch.equal(DINOv2(source=str(tmp_path)).features(images), DINOv2(source=str(folder)).features(images))
    weights = load_file(tmp_path / "model.safetensors")
    del weights["dinov2.embeddings.mask_token"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert torch.equal(DINOv2(source=str(tmp_path)).features(images), DINOv2(source=str(folder)).features(images))


def test_a_network_that_is_no_plain_vision_transformer(tmp_path):
    from transformers import BertConfig, SwinConfig, ViTMAEConfig

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    configs = [
        BertConfig(**sizes, vocab_size=50),
        SwinConfig(embed_dim=8, depths=[1, 1], num_heads=[1, 1], image_size=32),
        ViTMAEConfig(**sizes, image_size=32, patch_size=4),
    ]
    for config in configs:
        config.save_pretrained(tmp_path)
        with pytest.raises(RecipeError, match="is not a plain vision transformer") as caught:
            DINOv2(source=str(tmp_path), random=True)
        assert "\n" not in str(caught.value)


def test_options_of_the_registry(folder):
    options = TEACHERS.options("dinov2")
    assert set(options.model_fields) == {"name", "source", "layer", "random", "random_seed", "download", "token_grid"}
    assert TEACHERS.build("dinov2", source=str(folder), layer=1).layer == 1


# --- real weights and images ---


def street(root: Path, sequence: str, frame: int) -> tuple[torch.Tensor, np.ndarray]:
    from pointlift.teachers.images import view_to_tensor

    folder = root / "sequences" / sequence
    image = folder / "image_2" / f"{frame:06d}.png"
    labels = np.asarray(Image.open(folder / "image_2_cityscapes19" / f"{frame:06d}.png"))
    return view_to_tensor(make_view(image), (188 // 14 * 14, 616)), labels


def test_real_weights_equal_transformers(dinov2_small, semantickitti_mini):
    image, _ = street(semantickitti_mini, "00", 0)
    teacher = DINOv2(source=str(dinov2_small), layer=9)
    assert (teacher.dim, teacher.stride, teacher.prefix_tokens) == (384, 14, 1)
    features = teacher.features(image[None])
    torch.testing.assert_close(features, hidden_state(dinov2_small, image[None], 9, 1), atol=1e-4, rtol=1e-4)


def test_labels_transfer_between_streets(dinov2_small, semantickitti_mini):
    """The nearest patch of another street has the same class far more often than with random weights.

    Over patches of one class, of those that the label maps have right: road, building, vegetation, sky, car.
    """
    streets = [street(semantickitti_mini, sequence, 0) for sequence in ("00", "06")]

    def accuracy(teacher: DINOv2) -> float:
        rows, classes = [], []
        for image, labels in streets:
            features = teacher.features(image[None])[0]
            h, w = features.shape[1:]
            resized = np.asarray(Image.fromarray(labels).resize((w * 14, h * 14), Image.Resampling.NEAREST))
            patches = resized.reshape(h, 14, w, 14).transpose(0, 2, 1, 3).reshape(h * w, 196)
            kept = (patches == patches[:, :1]).all(1) & np.isin(patches[:, 0], (0, 2, 8, 10, 13))
            rows.append(F.normalize(features.flatten(1).T, dim=1)[torch.from_numpy(kept)])
            classes.append(patches[kept, 0])
        similarity = rows[0] @ rows[1].T
        first, second = similarity.argmax(1).numpy(), similarity.argmax(0).numpy()
        return float(((classes[1][first] == classes[0]).mean() + (classes[0][second] == classes[1]).mean()) / 2)

    pretrained = accuracy(DINOv2(source=str(dinov2_small), layer=9))
    assert pretrained > 0.75
    assert pretrained > accuracy(DINOv2(source=str(dinov2_small), layer=9, random=True)) + 0.15
