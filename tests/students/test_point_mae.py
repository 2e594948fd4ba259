from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pointlift.errors import CheckpointError
from pointlift.registry import STUDENTS
from pointlift.students.point_mae import load_point_mae
from pointlift.students.point_transformer import SIZES, PointTransformer


def point_mae(size: str = "tiny", *, finetuned: bool = False) -> dict[str, Tensor]:
    """Random tensors under the names and in the shapes of the public code."""
    depth, c, _, (a, b, w) = SIZES[size]
    shapes: dict[str, tuple[int, ...]] = {}
    for stage, (inner, middle, outer) in {"first": (3, a, b), "second": (2 * b, w, c)}.items():
        name = f"encoder.{stage}_conv"
        shapes |= {f"{name}.0.weight": (middle, inner, 1), f"{name}.0.bias": (middle,)}
        shapes |= {f"{name}.1.{key}": (middle,) for key in ("weight", "bias", "running_mean", "running_var")}
        shapes |= {f"{name}.1.num_batches_tracked": ()}
        shapes |= {f"{name}.3.weight": (outer, middle, 1), f"{name}.3.bias": (outer,)}
    shapes |= _linear("pos_embed.0", 3, a) | _linear("pos_embed.2", a, c)
    shapes |= {key: value for i in range(depth) for key, value in _block(f"blocks.blocks.{i}", c).items()}
    shapes |= {"norm.weight": (c,), "norm.bias": (c,)}
    if finetuned:
        shapes |= {"cls_token": (1, 1, c), "cls_pos": (1, 1, c)} | _linear("cls_head_finetune.0", 2 * c, 256)
    else:
        shapes = {f"MAE_encoder.{key}": value for key, value in shapes.items()}
        shapes |= {"mask_token": (1, 1, c), "increase_dim.0.weight": (96, c, 1), "increase_dim.0.bias": (96,)}
        shapes |= _linear("decoder_pos_embed.0", 3, 128) | _block("MAE_decoder.blocks.0", c)
        shapes |= {"MAE_decoder.norm.weight": (c,), "MAE_decoder.norm.bias": (c,)}
    generator = torch.Generator().manual_seed(0)
    return {
        key: torch.tensor(5) if shape == () else torch.rand(shape, generator=generator) for key, shape in shapes.items()
    }


def _linear(name: str, inner: int, outer: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outer, inner), f"{name}.bias": (outer,)}


def _block(name: str, c: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {f"{name}.attn.qkv.weight": (3 * c, c)}
    shapes |= {f"{name}.{norm}.{key}": (c,) for norm in ("norm1", "norm2") for key in ("weight", "bias")}
    return (
        shapes
        | _linear(f"{name}.attn.proj", c, c)
        | _linear(f"{name}.mlp.fc1", c, 4 * c)
        | _linear(f"{name}.mlp.fc2", 4 * c, c)
    )


def student(**options) -> PointTransformer:
    torch.manual_seed(0)
    return PointTransformer(0, 5, **{"size": "tiny", **options})


def save(content: object, folder: Path, name: str = "pretrain.pth") -> Path:
    torch.save(content, folder / name)
    return folder / name


def assert_taken(one: PointTransformer, tensors: dict[str, Tensor]) -> None:
    own = one.state_dict()
    for name in ("encoder.first_conv.0.weight", "encoder.second_conv.3.weight"):
        ours = name.replace("encoder.", "embedding.").replace("_conv", "")
        assert torch.equal(own[ours], tensors[name][:, :, 0])
    assert torch.equal(own["embedding.second.1.running_var"], tensors["encoder.second_conv.1.running_var"])
    assert own["embedding.first.1.num_batches_tracked"] == 5
    assert torch.equal(own["blocks.3.attention.qkv.weight"], tensors["blocks.blocks.3.attn.qkv.weight"])
    assert torch.equal(own["blocks.2.attention.projection.bias"], tensors["blocks.blocks.2.attn.proj.bias"])
    assert torch.equal(own["blocks.0.mlp.0.weight"], tensors["blocks.blocks.0.mlp.fc1.weight"])
    assert torch.equal(own["blocks.0.mlp.2.weight"], tensors["blocks.blocks.0.mlp.fc2.weight"])
    assert torch.equal(own["blocks.1.norm2.bias"], tensors["blocks.blocks.1.norm2.bias"])
    assert torch.equal(own["position.2.weight"], tensors["pos_embed.2.weight"])
    assert torch.equal(own["norm.weight"], tensors["norm.weight"])


@pytest.mark.parametrize("prefix", ["", "module.", "module.base_model."])
@pytest.mark.parametrize("wrapper", [None, "base_model", "model"])
def test_a_pretrained_checkpoint(prefix: str, wrapper: str | None, tmp_path: Path) -> None:
    tensors = {prefix + key: value for key, value in point_mae().items()}
    path = save(tensors if wrapper is None else {wrapper: tensors, "epoch": 300, "metrics": {"acc": 1.0}}, tmp_path)
    one = student()
    report = load_point_mae(one, path)
    start = len(prefix + "MAE_encoder.")
    assert_taken(one, {key[start:]: value for key, value in tensors.items() if "MAE_encoder" in key})
    assert set(report.taken) == {key for key in tensors if "MAE_encoder" in key}
    assert set(report.unused) == set(tensors) - set(report.taken)
    assert report.fresh == ["head.weight", "head.bias"]
    said = str(report)
    assert f"{prefix}MAE_encoder.norm.weight -> norm.weight" in said
    assert f"not taken  {prefix}mask_token" in said
    assert "random     head.bias" in said


def test_a_finetuned_checkpoint_has_a_class_token(tmp_path: Path) -> None:
    tensors = point_mae(finetuned=True)
    path = save({"base_model": tensors}, tmp_path)
    one, plain = student(class_token=True), student()
    report = load_point_mae(one, path)
    assert_taken(one, tensors)
    assert torch.equal(one.class_token, tensors["cls_token"])
    assert torch.equal(one.class_position, tensors["cls_pos"])
    assert report.unused == ["cls_head_finetune.0.weight", "cls_head_finetune.0.bias"]
    assert set(load_point_mae(plain, path).unused) == {*report.unused, "cls_token", "cls_pos"}


def test_a_class_token_that_the_checkpoint_lacks_stays_random(tmp_path: Path) -> None:
    report = load_point_mae(student(class_token=True), save(point_mae(), tmp_path))
    assert set(report.fresh) == {"class_token", "class_position", "head.weight", "head.bias"}


def test_safetensors_by_the_option(tmp_path: Path) -> None:
    tensors = point_mae(finetuned=True)
    save_file(tensors, tmp_path / "weights.safetensors")
    one = STUDENTS.build("point_transformer", 0, 5, size="tiny", weights=str(tmp_path / "weights.safetensors"))
    assert_taken(one, tensors)
    assert f": {len(tensors) - 4} keys taken, 4 not;" in one.loaded
    assert student().loaded is None


def test_the_published_size(tmp_path: Path) -> None:
    report = load_point_mae(student(size="base"), save({"base_model": point_mae("base")}, tmp_path))
    assert report.fresh == ["head.weight", "head.bias"]


def test_another_width(tmp_path: Path) -> None:
    path, one = save(point_mae("small"), tmp_path), student()
    before = {key: value.clone() for key, value in one.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"another width: MAE_encoder\.encoder\.first_conv\.0\.weight .*64.*32"):
        load_point_mae(one, path)
    assert all(torch.equal(value, before[key]) for key, value in one.state_dict().items())


def test_a_shallower_checkpoint(tmp_path: Path) -> None:
    tensors = {key: value for key, value in point_mae().items() if "MAE_encoder.blocks.blocks.3" not in key}
    with pytest.raises(CheckpointError, match=r"lacks 11 tensors of .* the first of them blocks\.3\.norm1\.weight"):
        load_point_mae(student(), save(tensors, tmp_path))


class Thing:
    pass


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"conv.weight": torch.zeros(3)}, r"no encoder in the layout of Point-MAE .* it has conv\.weight"),
        ({}, "no encoder in the layout of Point-MAE .* it has nothing"),
        (torch.zeros(3), "holds a Tensor, not the named tensors"),
        (
            {"base_model": {}, "best_metrics": Thing()},
            "holds more than tensors .*, which is not loaded because it could",
        ),
    ],
)
def test_no_such_checkpoint(content: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_point_mae(student(), save(content, tmp_path))


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_missing_and_damaged_files(name: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no checkpoint .*a"):
        load_point_mae(student(), tmp_path / name)
    for content in (b"not a checkpoint at all", b"abc", b""):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=r"a\.\w+ is (damaged|empty)"):
            load_point_mae(student(), tmp_path / name)
