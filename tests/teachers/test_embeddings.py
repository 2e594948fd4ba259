from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pointlift.data.scene import View
from pointlift.errors import DataError, PointliftError, RecipeError
from pointlift.registry import TEACHERS
from pointlift.teachers.pixels import PixelFeatures
from pointlift.teachers.tokens import TokenSets
from tests.teachers.helpers import make_view, random_image
from tests.teachers.test_tokens import scenes


def views(folder: Path, count: int = 3) -> list[View]:
    for index in range(count):
        Image.fromarray(random_image(index)).save(folder / f"frame-{index}.png")
    return [make_view(folder / f"frame-{index}.png") for index in range(count)]


def test_one_file_for_all_images(tmp_path: Path) -> None:
    tensors = {f"frame-{index}": torch.randn(4, 6).half() for index in range(3)}
    save_file(tensors, tmp_path / "all.safetensors")
    teacher = TEACHERS.build("embeddings", path=str(tmp_path / "all.safetensors"))
    assert teacher.token_shape == (4, 6)
    assert (teacher.dim, teacher.stride) == (6, 1)
    tokens = TokenSets(PixelFeatures(teacher))
    for index, view in enumerate(views(tmp_path)):
        assert torch.equal(tokens(view), tensors[f"frame-{index}"].float())
    mean, _ = tokens.statistics(scenes(views(tmp_path)))
    torch.testing.assert_close(mean, torch.stack([t.float() for t in tensors.values()]).mean(0))


def test_one_file_for_each_image_and_single_tokens(tmp_path: Path) -> None:
    for index in range(3):
        save_file({"tokens": torch.full((6,), float(index))}, tmp_path / f"frame-{index}.safetensors")
    teacher = TEACHERS.build("embeddings", path="{folder}/{stem}.safetensors", shape=(1, 6))
    tokens = TokenSets(PixelFeatures(teacher))
    tokens.precompute(scenes(views(tmp_path)))
    assert tokens(views(tmp_path)[2]).tolist() == [[2.0] * 6]


def test_the_fingerprint_knows_values_and_runs_of_before_go_on(tmp_path: Path) -> None:
    path = tmp_path / "captions.safetensors"
    sets = {name: torch.full((2, 4), float(number)) for number, name in enumerate(("b", "a", "c"))}
    save_file(sets, path)
    first = TEACHERS.build("embeddings", path=str(path))
    save_file({name: sets[name] for name in sorted(sets)}, path, metadata={"by": "another program"})
    assert TEACHERS.build("embeddings", path=str(path)).fingerprint == first.fingerprint
    for changed in ({"a": sets["a"] + 1e-3}, {"a": sets["a"].half()}, {"d": sets["a"].clone()}):
        save_file({**sets, **changed}, path)
        other = TEACHERS.build("embeddings", path=str(path))
        assert other.fingerprint != first.fingerprint
        same_names = "d" not in changed
        assert (other.former_fingerprints == first.former_fingerprints) == same_names
    (former,) = first.former_fingerprints
    assert first.known_as(former) == former
    assert first.known_as(None) == first.known_as("another") == first.fingerprint


def test_the_fingerprint_is_the_same_wherever_the_file_lies(tmp_path: Path) -> None:
    found = []
    for place, names in (("a", "xy"), ("b", "yx"), ("c", "xz")):
        (tmp_path / place).mkdir()
        save_file({name: torch.zeros(4, 6) for name in names}, tmp_path / place / f"{place}.safetensors")
        found.append(TEACHERS.build("embeddings", path=f"{tmp_path}/{place}/{place}.safetensors").fingerprint)
    assert found[0] == found[1] != found[2]
    build = TEACHERS.get("embeddings")
    folders = ("/one/captions", "/two/captions", "/one/others")
    found = [build(path=f"{folder}/{{stem}}.safetensors", shape=(1, 6)).fingerprint for folder in folders]
    assert found[0] == found[1] != found[2]


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "all.safetensors"
    save_file({"frame-0": torch.zeros(4, 6), "frame-1": torch.zeros(3, 6)}, path)
    build = TEACHERS.get("embeddings")
    with pytest.raises(DataError, match=r"'frame-1' is \(3, 6\); all token sets must be of one shape"):
        build(path=str(path))
    with pytest.raises(DataError, match="nothing.safetensors: the file of token sets is missing"):
        build(path=str(tmp_path / "nothing.safetensors"))
    with pytest.raises(RecipeError, match="needs 'shape'"):
        build(path="{stem}.safetensors")
    with pytest.raises(RecipeError, match="has the field 'name'; known are: folder, stem, view"):
        build(path="{name}.safetensors")
    with pytest.raises(RecipeError, match="is not a pattern"):
        build(path="{stem")
    save_file({"frame-0": torch.zeros(4, 6)}, path)
    teacher = build(path=str(path))
    tokens = TokenSets(PixelFeatures(teacher))
    with pytest.raises(DataError, match=r"'frame-1': the token set is missing \(2 of 3 images lack theirs\)"):
        tokens.precompute(scenes(views(tmp_path)))
    with pytest.raises(DataError, match="there is no tensor 'frame-1'"):
        tokens(views(tmp_path)[1])
    with pytest.raises(DataError, match="its image is not a file"):
        tokens(make_view(random_image(0)))
    with pytest.raises(PointliftError, match="has no dense features"):
        teacher.features(torch.zeros(1, 3, 4, 4))
    path.write_bytes(b"nonsense")
    with pytest.raises(DataError, match="cannot be read"):
        build(path=str(path))
