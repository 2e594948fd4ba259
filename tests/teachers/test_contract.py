"""What every registered teacher keeps, whatever else it is; a new one needs an entry in `smallest` and nothing here."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pointlift.data.scene import View
from pointlift.errors import PointliftError
from pointlift.options import NAMED_PLACE, TEACHER_SOURCE, Local, Place, marks
from pointlift.registry import TEACHERS
from pointlift.teachers import base
from pointlift.teachers.base import Teacher
from pointlift.teachers.images import teacher_size, view_to_tensor
from tests.teachers.helpers import make_view, random_image
from tests.teachers.smallest import OTHER, SMALLEST, STEMS, elsewhere, said

OWN = [name for name in TEACHERS.names() if TEACHERS.get(name).factory.__module__.startswith("pointlift.")]
KINDS = {
    "clip": "CLIP",
    "clipcap": "ClipCap",
    "dinov2": "DINOv2",
    "embeddings": "Embeddings",
    "labelmaps": "LabelMaps",
    "resnet50": "ResNet50",
    "segmenter": "Segmenter",
    "siglip": "SigLIP",
    "street": "StreetTeacher",
}
"""What fingerprints of caches and checkpoints on users' disks were made with: names of classes at the time."""

Made = tuple[Path, dict[str, Any], Teacher, Tensor, list[View]]


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """By name: folder, options, teacher, two images as it takes them, and the views they come from."""

    @cache
    def make(name: str) -> Made:
        folder = tmp_path_factory.mktemp(name)
        options = SMALLEST[name](folder)
        teacher = TEACHERS.build(name, **options)
        images = tmp_path_factory.mktemp("images")
        for number, stem in enumerate(STEMS):
            Image.fromarray(random_image(number, 12, 20)).save(images / f"{stem}.png")
        views = [make_view(images / f"{stem}.png") for stem in STEMS]
        size = (12, 20) if teacher.reads_files else teacher_size((12, 20), teacher.stride, scale=3)
        return folder, options, teacher, torch.stack([view_to_tensor(view, size) for view in views]), views

    return make


@pytest.fixture(params=sorted(SMALLEST))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def made(name: str, every: Any) -> Made:
    return every(name)


def test_every_registered_teacher_is_tested() -> None:
    assert set(SMALLEST) == set(OTHER) == set(OWN)


def test_it_is_frozen(made: Made) -> None:
    teacher = made[2]
    nn.ModuleDict({"teacher": teacher}).train()
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert not said(teacher, made[3].clone().requires_grad_(), made[4]).requires_grad


def test_dense_features_are_as_declared(made: Made) -> None:
    *_, teacher, images, views = made
    if not teacher.has_features:
        with pytest.raises(PointliftError, match="has no dense features; choose one that has"):
            teacher.features(images, views)
        return
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = teacher.features(images, views)
    size = (images.shape[2] // teacher.stride, images.shape[3] // teacher.stride)
    assert features.shape == (2, teacher.map_channels, *size)
    assert features.dtype == torch.float32
    assert features.isfinite().all()
    assert features.any()
    assert teacher.lift(features.movedim(1, -1).flatten(0, 2)).shape == (2 * size[0] * size[1], teacher.dim)
    torch.testing.assert_close(teacher(images, views), features)


def test_token_sets_are_as_declared(made: Made) -> None:
    *_, teacher, images, views = made
    if teacher.token_shape is None:
        with pytest.raises(PointliftError, match="has no token sets; choose one that has"):
            teacher.tokens(images, views)
        return
    with torch.autocast("cpu", dtype=torch.bfloat16):
        tokens = teacher.tokens(images, views)
    assert tokens.shape == (2, *teacher.token_shape)
    assert tokens.dtype == torch.float32
    assert not tokens.requires_grad
    assert not torch.equal(tokens[0], tokens[1])


def test_the_text_side_is_as_declared(made: Made) -> None:
    teacher = made[2]
    if not teacher.has_text:
        with pytest.raises(PointliftError, match="has no text encoder; choose one that has"):
            teacher.embed_text(["car"])
        return
    texts = teacher.embed_text(["car", "road"])
    assert texts.shape == (2, teacher.dim)
    assert texts.dtype == torch.float32
    assert not torch.equal(texts[0], texts[1])
    assert all("{}" in sentence for sentence in teacher.templates)


def test_a_batch_is_one_by_one(made: Made) -> None:
    *_, teacher, images, views = made
    together = said(teacher, images, views)
    alone = [said(teacher, images[index : index + 1], views[index : index + 1]) for index in range(2)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-4 * float(together.abs().max()), rtol=0)
    assert not torch.equal(together[0], together[1])


def test_what_is_no_image_is_one_sentence(made: Made) -> None:
    *_, teacher, images, views = made
    with pytest.raises(ValueError, match="a teacher takes float images"):
        teacher.features(images.to(torch.uint8), views)
    if teacher.stride > 1:
        height, width = images.shape[2:]
        for ask in (teacher.features, *((teacher.tokens,) if teacher.token_shape else ())):
            with pytest.raises(ValueError, match=f"the nearest right size is {height}x{width}"):
                ask(images[:, :, 1:], views)


@pytest.mark.parametrize("place", ["copy", "relative", "symlink"])
def test_the_fingerprint_does_not_know_where_the_files_are(
    name: str, made: Made, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, options, teacher = made[:3]
    other = tmp_path / "elsewhere"
    if place == "copy":
        shutil.copytree(folder, other, copy_function=os.link)
    elif place == "symlink":
        other.symlink_to(folder)
    else:
        monkeypatch.chdir(folder.parent)
        other = Path(folder.name)
    moved = _moved(options, folder, other)
    assert moved != options or not list(folder.iterdir())
    assert TEACHERS.build(name, **moved).fingerprint == teacher.fingerprint


def test_the_fingerprint_knows_the_weights(name: str, made: Made, tmp_path: Path) -> None:
    folder, options, teacher = made[:3]
    if "source" not in options:
        pytest.skip("it has no weights, or none of its own files")
    shutil.copytree(folder, tmp_path / "other")
    for file in sorted((tmp_path / "other").rglob("*")):
        if file.suffix == ".safetensors":
            save_file(_changed(load_file(file)), file, {"format": "pt"})
        elif file.suffix in (".pt", ".pth"):
            torch.save(_changed(torch.load(file, weights_only=True)), file)
    assert TEACHERS.build(name, **_moved(options, folder, tmp_path / "other")).fingerprint != teacher.fingerprint


def _moved(options: dict[str, Any], folder: Path, other: Path) -> dict[str, Any]:
    """Options with all that lies in a folder in another one."""
    return {
        key: type(value)(str(value).replace(str(folder), str(other))) if str(folder) in str(value) else value
        for key, value in options.items()
    }


def _changed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value * 1.001 if value.is_floating_point() else value for key, value in tensors.items()}


def test_the_fingerprint_knows_the_options(name: str, made: Made) -> None:
    _, options, teacher, *_ = made
    fingerprints = [teacher.fingerprint, TEACHERS.build(name, **options | OTHER[name]).fingerprint]
    if "random" in TEACHERS.options(name).model_fields and name != "clipcap":  # whose random twin is of the true size
        seeds = ({"random": True, "random_seed": seed} for seed in (5, 6))
        fingerprints += [TEACHERS.build(name, **options | seed).fingerprint for seed in seeds]
    assert len(set(fingerprints)) == len(fingerprints)


def test_the_fingerprint_does_not_know_the_name_of_the_class(name: str, made: Made) -> None:
    part = TEACHERS.get(name)
    other = type("Renamed", (part.factory,), {})  # type: ignore[arg-type]
    assert other(**TEACHERS.checked(name, made[1])).fingerprint == made[2].fingerprint


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_the_fingerprint_is_that_of_the_first_edition(
    every: Any, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = []
    dumps = json.dumps
    monkeypatch.setattr(base.json, "dumps", lambda what, **options: hashed.append(what) or dumps(what, **options))
    TEACHERS.build(name, **every(name)[1])
    assert hashed[-1]["class"] == kind
    assert hashed[-1]["preprocessing"] == 1


def test_in_another_process_it_is_and_says_the_same(every: Any) -> None:
    given = {name: every(name) for name in SMALLEST}
    pickled = pickle.dumps({name: one[1:] for name, one in given.items()})
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(elsewhere, (pickled,))
    for name, (_, _, teacher, images, views) in given.items():
        fingerprint, features = found[name]
        assert fingerprint == teacher.fingerprint, name
        torch.testing.assert_close(features, said(teacher, images, views), msg=name)


def test_places_are_marked(name: str, made: Made) -> None:
    folder, options, *_ = made
    model = TEACHERS.options(name)
    for key in model.model_fields:
        found = marks(model, key)
        if key == "source":
            assert found == (TEACHER_SOURCE,)
        elif key in ("text_source", "language") or str(folder) in str(options.get(key)):
            assert any(isinstance(mark, Place) for mark in found), key
        elif key in ("map", "classes"):
            assert found == (NAMED_PLACE,)
        elif key == "download":
            assert [type(mark) for mark in found] == [Local]
        else:
            assert not found, key
