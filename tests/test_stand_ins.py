"""Files in whose place something else lies: the cause and the remedy in one sentence, whoever reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pointlift.data.formats.images import image_size
from pointlift.data.formats.sens import SensFile
from pointlift.data.objects import open_hdf5
from pointlift.data.view import View
from pointlift.errors import PointliftError
from pointlift.files import read_bytes
from pointlift.registry import TEACHERS
from pointlift.students.point_mae import load_point_mae
from pointlift.students.point_transformer import PointTransformer
from pointlift.teachers.labelmaps import read_label_map
from pointlift.tensor_files import read_tensors, why_unreadable

STAND_INS = {
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 88216496\n", "git lfs pull"),
    "git-annex": (b"/annex/objects/SHA256E-s30--ab.bin\n", "git annex get"),
    "page": (b"\n<!DOCTYPE html>\n<html><body>Log in</body></html>", "is a web page .* download it again"),
    "page of old": (b"<HTML><HEAD><TITLE>403 Forbidden</TITLE></HEAD></HTML>", "is a web page"),
    "bucket": (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>',
        "message of an error",
    ),
}


def view(path: Path) -> View:
    return View("camera", np.eye(3), np.eye(4), path)


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "weights": (".safetensors", read_tensors),
    "pickled weights": (".pt", read_tensors),
    "student's weights": (".pth", lambda path: load_point_mae(PointTransformer(0, 0, size="tiny"), path)),
    "ResNet": (".pth.tar", lambda path: TEACHERS.build("resnet50", source=str(path))),
    "token sets": (".safetensors", lambda path: TEACHERS.build("embeddings", path=str(path))),
    "image": (".jpg", lambda path: view(path).image),
    "size of an image": (".png", lambda path: view(path).size),
    "depth image": (".png", image_size),
    "label map": (".png", read_label_map),
    "data": (".bin", read_bytes),
    "array": (".npy", read_bytes),
    "HDF5": (".h5", open_hdf5),
    "ScanNet's stream": (".sens", lambda path: SensFile(path).header),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", STAND_INS)
def test_every_reader_says_what_lies_there(kind: str, reader: str, tmp_path: Path) -> None:
    content, said = STAND_INS[kind]
    suffix, read = READERS[reader]
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content)
    with pytest.raises(PointliftError, match=said) as caught:
        read(path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "preprocessor_config.json"])
@pytest.mark.parametrize("kind", STAND_INS)
def test_a_folder_of_a_teacher(kind: str, name: str, tiny_dinov2: Path, tmp_path: Path) -> None:
    content, said = STAND_INS[kind]
    for file in tiny_dinov2.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PointliftError, match=rf"{name}'? .*{said}"):
        TEACHERS.build("dinov2", source=str(tmp_path))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.99])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_download_that_stopped(suffix: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    tensors = {f"layer.{number}.weight": torch.randn(30, 40) for number in range(5)}
    (save_file if suffix == ".safetensors" else torch.save)(tensors, path)  # type: ignore[operator]
    assert why_unreadable(path) is None
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(PointliftError, match="is (cut short|empty).* download it again"):
        read_tensors(path)


def test_an_image_that_is_empty_or_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(path)
    whole = path.read_bytes()
    path.write_bytes(b"")
    with pytest.raises(PointliftError, match=r"image\.png is empty; copy or download it again"):
        _ = view(path).image
    path.write_bytes(whole[:300])
    with pytest.raises(PointliftError, match=r"image\.png: the image cannot be decoded"):
        _ = view(path).image


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tf_model.h5", "TensorFlow's weights"),
        ("flax_model.msgpack", "Flax's weights"),
        ("open_clip_pytorch_model.bin", "OpenCLIP's own format, and a pickle"),
        ("model.onnx", "a network of ONNX"),
        ("adapter_model.safetensors", "an adapter to another network's weights"),
        ("pytorch_model.bin", "a pickle, which is never loaded"),
    ],
)
def test_a_folder_of_another_framework(name: str, said: str, tiny_dinov2: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((tiny_dinov2 / "config.json").read_bytes())
    (tmp_path / name).write_bytes(b"weights")
    with pytest.raises(PointliftError, match=rf"holds only {name}, {said}; model\.safetensors is needed"):
        TEACHERS.build("dinov2", source=str(tmp_path))


def test_a_part_of_the_weights_is_not_there(tiny_dinov2: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((tiny_dinov2 / "config.json").read_bytes())
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    save_file({"a": torch.zeros(2)}, tmp_path / "model-00001-of-00002.safetensors")
    with pytest.raises(PointliftError, match=r"lacks model-00002-of-00002\.safetensors, one of the 2 files"):
        TEACHERS.build("dinov2", source=str(tmp_path))


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "dinov2_vits14_pretrain.pth"
    torch.save({"cls_token": torch.zeros(1)}, path)
    with pytest.raises(PointliftError, match="is a file, and this teacher reads a folder with config.json"):
        TEACHERS.build("dinov2", source=str(path))
