from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pointlift.errors import CheckpointError, RecipeError
from pointlift.registry import TEACHERS
from pointlift.teachers.resnet50 import Bottleneck, DilatedResNet50, ResNet50

MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


def unsettle(network: torch.nn.Module) -> None:
    """Norms start at zero and one; here no two of them are alike, and features stay of order one."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                    tensor.copy_(0.3 + 0.5 * torch.rand(tensor.shape, generator=generator))


@pytest.fixture(scope="module")
def network() -> DilatedResNet50:
    torch.manual_seed(0)
    network = DilatedResNet50()
    unsettle(network)
    return network


@pytest.fixture(scope="module")
def weights(network: DilatedResNet50) -> dict[str, torch.Tensor]:
    return network.state_dict()


@pytest.fixture(scope="module")
def moco(weights: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Saved as MoCo does: the query encoder among other things, with a head of two layers."""
    state = {f"module.encoder_q.{key}": value for key, value in weights.items()}
    state |= {f"module.encoder_k.{key}": value * 0 for key, value in weights.items() if value.ndim < 4}
    state |= {f"module.encoder_k.{key}": value for key, value in weights.items() if value.ndim == 4}
    state |= {f"module.encoder_{which}.fc.{layer}.weight": torch.zeros(2, 2) for which in "qk" for layer in (0, 2)}
    path = tmp_path_factory.mktemp("moco") / "moco_v2.pth.tar"
    content = {"epoch": 800, "arch": "resnet50", "state_dict": {**state, "module.queue": torch.zeros(3)}}
    torch.save({**content, "optimizer": {"param_groups": [{"lr": 0.03}]}}, path)
    return path


def test_equals_transformers(tmp_path):
    from transformers import ResNetConfig, ResNetForImageClassification

    torch.manual_seed(1)
    model = ResNetForImageClassification(ResNetConfig()).eval()
    unsettle(model)
    model.save_pretrained(tmp_path)
    teacher = ResNet50(source=str(tmp_path), output_stride=32)
    assert (teacher.dim, teacher.stride) == (2048, 32)
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        expected = model.resnet((images - MEAN) / STD).last_hidden_state
    assert expected.std() > 0.01
    torch.testing.assert_close(teacher.features(images), expected, atol=1e-4, rtol=1e-4)
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0, 0, 0], "image_std": [1, 1, 1]}')
    with torch.no_grad():
        expected = model.resnet(images).last_hidden_state
    torch.testing.assert_close(ResNet50(source=str(tmp_path), output_stride=32).features(images), expected)
    kept = load_file(tmp_path / "model.safetensors")
    del kept["resnet.encoder.stages.2.layers.3.layer.1.convolution.weight"]
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"they lack 1 tensors such as layer3\.3\.conv2\.weight"):
        ResNet50(source=str(tmp_path))


@pytest.mark.parametrize("output_stride", [4, 8, 16])
def test_dilation_gives_what_strides_give_and_more_between(moco, network, output_stride):
    """At every place where the strided network has a feature, the dilated one has the same, at the borders too."""
    teacher = ResNet50(source=str(moco), output_stride=output_stride)
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        expected = network.eval()((images - MEAN) / STD)
    found = teacher.features(images)
    assert found.shape == (1, 2048, 64 // output_stride, 96 // output_stride)
    step = 32 // output_stride
    torch.testing.assert_close(found[:, :, ::step, ::step], expected, atol=1e-4, rtol=1e-4)


def literal_convolution(x: np.ndarray, kernel: np.ndarray, stride: int, dilation: int) -> np.ndarray:
    reach = kernel.shape[2] // 2
    height, width = -(-x.shape[1] // stride), -(-x.shape[2] // stride)
    found = np.zeros((len(kernel), height, width))
    for row in range(height):
        for column in range(width):
            for i in range(kernel.shape[2]):
                for j in range(kernel.shape[3]):
                    v = row * stride + (i - reach) * dilation
                    u = column * stride + (j - reach) * dilation
                    if 0 <= v < x.shape[1] and 0 <= u < x.shape[2]:
                        found[:, row, column] += kernel[:, :, i, j] @ x[:, v, u]
    return found


@pytest.mark.parametrize(("channels", "stride", "dilation"), [(6, 1, 1), (6, 2, 1), (8, 1, 2), (6, 1, 4), (6, 2, 2)])
def test_a_block_against_a_literal_loop(channels, stride, dilation):
    torch.manual_seed(0)
    block = Bottleneck(channels, 2, stride, dilation).eval()
    unsettle(block)
    x = torch.randn(1, channels, 7, 9)
    state = {key: value.double().numpy() for key, value in block.state_dict().items()}

    def norm(y: np.ndarray, name: str) -> np.ndarray:
        scale = state[f"{name}.weight"] / np.sqrt(state[f"{name}.running_var"] + 1e-5)
        return (y - state[f"{name}.running_mean"][:, None, None]) * scale[:, None, None] + state[f"{name}.bias"][
            :, None, None
        ]

    y = image = x[0].double().numpy()
    y = np.maximum(norm(literal_convolution(y, state["conv1.weight"], 1, 1), "bn1"), 0)
    y = np.maximum(norm(literal_convolution(y, state["conv2.weight"], stride, dilation), "bn2"), 0)
    y = norm(literal_convolution(y, state["conv3.weight"], 1, 1), "bn3")
    if channels != 8:
        image = norm(literal_convolution(image, state["downsample.0.weight"], stride, 1), "downsample.1")
    with torch.no_grad():
        assert np.allclose(block(x)[0], np.maximum(y + image, 0), atol=1e-5)


def test_checkpoints_with_other_prefixes(moco, weights, tmp_path):
    images = torch.rand(1, 3, 32, 32)
    expected = ResNet50(source=str(moco), output_stride=32).features(images)
    path = tmp_path / "supervised.pth"
    torch.save({**weights, "fc.weight": torch.zeros(10, 2048), "fc.bias": torch.zeros(10)}, path)
    assert torch.equal(ResNet50(source=str(path), output_stride=32).features(images), expected)
    path = tmp_path / "encoder.safetensors"
    save_file({f"module.encoder.{key}": value for key, value in weights.items()}, path)
    assert torch.equal(ResNet50(source=str(path), output_stride=32).features(images), expected)


def test_random_twin_and_fingerprints(moco):
    state = torch.get_rng_state()
    twin = ResNet50(random=True)
    assert torch.equal(torch.get_rng_state(), state)
    assert twin.stride == 4
    features = twin.features(torch.rand(1, 3, 32, 32))
    assert features.half().isfinite().all()
    fingerprints = {
        twin.fingerprint,
        ResNet50(random=True, random_seed=1).fingerprint,
        ResNet50(random=True, output_stride=8).fingerprint,
        ResNet50(source=str(moco)).fingerprint,
    }
    assert len(fingerprints) == 4
    assert ResNet50(random=True, source="elsewhere").fingerprint == twin.fingerprint


# ---- mistakes


class Odd:
    pass


def test_files_that_are_no_checkpoint_of_a_resnet50(weights, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError, match=r"weights\.pth is damaged or .* tensors") as caught:
        ResNet50(source=str(path))
    assert "\n" not in str(caught.value)
    torch.save({"state_dict": Odd()}, path)
    with pytest.raises(CheckpointError, match=r"weights\.pth is damaged or holds more than tensors"):
        ResNet50(source=str(path))
    torch.save({"epoch": 3}, path)
    with pytest.raises(CheckpointError, match=r"weights\.pth' holds no tensors"):
        ResNet50(source=str(path))
    torch.save({"blocks.0.weight": torch.zeros(2), "head.weight": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match=r"does not hold a ResNet .* but blocks\.0\.weight and 1 others"):
        ResNet50(source=str(path))
    light = {key: value for key, value in weights.items() if value.ndim == 1}
    light |= {key: value[:1, :1] for key, value in weights.items() if value.ndim == 4}
    torch.save(light, path)
    with pytest.raises(CheckpointError, match=r"they have in another shape \d+ tensors such as conv1\.weight"):
        ResNet50(source=str(path))
    torch.save({key: value for key, value in light.items() if "conv3" not in key}, path)
    with pytest.raises(CheckpointError, match=r"they lack 16 tensors such as layer1\.0\.conv3\.weight"):
        ResNet50(source=str(path))
    torch.save({**light, "layer5.0.conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match=r"they have besides 1 tensors such as layer5\.0\.conv1\.weight"):
        ResNet50(source=str(path))
    torch.save({**weights, "bn1.bias": torch.full((64,), torch.nan)}, path)
    with pytest.raises(CheckpointError, match=r"are damaged: bn1\.bias holds values that are not finite"):
        ResNet50(source=str(path))


def test_folders_of_other_networks(tmp_path):
    from transformers import Dinov2Config, ResNetConfig

    (tmp_path / "model.safetensors").write_bytes(b"no weights at all")
    ResNetConfig(depths=[2, 2, 2, 2], layer_type="basic").save_pretrained(tmp_path)
    with pytest.raises(RecipeError, match=r"is not a ResNet-50 .its depths is \[2, 2, 2, 2\]"):
        ResNet50(source=str(tmp_path))
    ResNetConfig(downsample_in_first_stage=True).save_pretrained(tmp_path)
    with pytest.raises(RecipeError, match="is not a ResNet-50 .its strides are in other places"):
        ResNet50(source=str(tmp_path))
    Dinov2Config().save_pretrained(tmp_path)
    with pytest.raises(RecipeError, match="is not a ResNet-50 .its model type is 'dinov2'"):
        ResNet50(source=str(tmp_path))
    ResNetConfig().save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="does not load"):
        ResNet50(source=str(tmp_path))
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "absent.safetensors"}}))
    with pytest.raises(CheckpointError, match="does not load"):
        ResNet50(source=str(tmp_path))


def test_options_of_the_registry():
    options = TEACHERS.options("resnet50")
    assert set(options.model_fields) == {"name", "source", "output_stride", "random", "random_seed", "download"}
    with pytest.raises(RecipeError, match="output_stride"):
        TEACHERS.build("resnet50", output_stride=5)
