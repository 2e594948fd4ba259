from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from pointlift.errors import CheckpointError, RecipeError
from pointlift.teachers.text import TextEncoder

from .towers import TOWER, pooled, save_clip, save_siglip, write_clip_tokenizer

PROMPTS = ["a photo of a car", "road", "the tree", "of", "a b c d"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip")
    save_clip(path)
    return path


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("siglip")
    save_siglip(path)
    return path


@pytest.mark.parametrize("old_end", [False, True])
def test_clip_equals_transformers(tmp_path, old_end):
    from transformers import CLIPTokenizer

    model = save_clip(tmp_path, old_end=old_end)
    encoder = TextEncoder(str(tmp_path))
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path)
    assert tokenizer("photo")["input_ids"] != tokenizer("p h o t o")["input_ids"]  # the merges act
    with torch.no_grad():
        expected = pooled(model.get_text_features(**tokenizer(PROMPTS, padding=True, return_tensors="pt")))
    found = encoder.embed(PROMPTS)
    assert encoder.dim == found.shape[1] == 12
    assert found.dtype == torch.float32
    assert float(torch.pdist(found).min()) > 0.01
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("naflex", [False, True])
def test_siglip_equals_transformers(tmp_path, naflex):
    """Tokens by hand: the words (or letters) in lower case, the end token 1, padding 0 up to the full length."""
    model = save_siglip(tmp_path, naflex)
    encoder = TextEncoder(str(tmp_path))
    pieces = [*"the▁tree"] if naflex else ["the", "tree"]
    numbers = json.loads((tmp_path / "tokenizer.json").read_text())["model"]["vocab"]
    tokens = [numbers[piece] for piece in pieces] + [1]
    tokens += [0] * ((18 if naflex else 6) - len(tokens))
    with torch.no_grad():
        expected = pooled(model.get_text_features(input_ids=torch.tensor([tokens])))
    found = encoder.embed(["the tree", "road", "The TREE"])
    assert encoder.dim == found.shape[1] == 16
    assert float((found[0] - found[1]).norm()) > 0.01
    torch.testing.assert_close(found[:1], expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[2], found[0])


def test_many_prompts_equal_one_by_one(clip):
    encoder = TextEncoder(str(clip))
    prompts = [
        f"{word} {letter}" for word in ("car", "a photo of the road", "tree") for letter in "abcdefghijklmnopqrstuvwxyz"
    ]
    single = torch.cat([encoder.embed([prompt]) for prompt in prompts])
    torch.testing.assert_close(encoder.embed(prompts), single, atol=1e-5, rtol=1e-5)
    assert encoder.embed([]).shape == (0, 12)


def test_frozen_and_without_gradient(clip):
    encoder = TextEncoder(str(clip))
    torch.nn.ModuleList([encoder]).train()
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert encoder.embed(["car"]).dtype == torch.float32


def test_fingerprint(clip, tmp_path):
    copy = Path(shutil.copytree(clip, tmp_path / "copy"))
    fingerprints = {
        TextEncoder(str(clip)).fingerprint,
        TextEncoder(str(clip), random=True).fingerprint,
        TextEncoder(str(clip), random=True, random_seed=1).fingerprint,
    }
    assert len(fingerprints) == 3
    assert TextEncoder(str(copy)).fingerprint in fingerprints
    vocabulary = (copy / "vocab.json").read_text()
    (copy / "vocab.json").write_text(vocabulary.replace('"a": 0, "b": 1', '"b": 0, "a": 1'))
    assert TextEncoder(str(copy)).fingerprint not in fingerprints


def test_loading_and_embedding_are_silent(clip, siglip, capfd):
    for folder in (clip, siglip):
        TextEncoder(str(folder)).embed(["a photo of a car"])
    assert capfd.readouterr() == ("", "")


# ---- mistakes


def test_a_prompt_that_is_too_long_is_named(clip, siglip):
    long = "a photo of the road of the car of the tree"
    with pytest.raises(RecipeError, match=f"the prompt '{long}' has 13 tokens.*at most 10; shorten it"):
        TextEncoder(str(clip)).embed(["car", long])
    with pytest.raises(RecipeError, match=f"the prompt '{long}' has 12 tokens.*at most 6; shorten it"):
        TextEncoder(str(siglip)).embed(["car", long])
    assert TextEncoder(str(clip)).embed(["a photo of the road of the car"]).shape == (1, 12)  # 10 tokens with both ends


def test_no_tokenizer(clip, tmp_path):
    for name in ("config.json", "model.safetensors"):
        shutil.copy(clip / name, tmp_path)
    for random in (False, True):
        with pytest.raises(CheckpointError, match="has no tokenizer, which prompts need; add tokenizer.json"):
            TextEncoder(str(tmp_path), random=random)


def test_random_weights_of_a_known_shape_still_need_a_tokenizer(monkeypatch):
    import huggingface_hub

    def absent(*_, **__):
        raise huggingface_hub.errors.LocalEntryNotFoundError("not there")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", absent)
    with pytest.raises(
        CheckpointError, match="there is no tokenizer of 'openai/clip-vit-base-patch16'.*weights are random"
    ):
        TextEncoder("openai/clip-vit-base-patch16", random=True)
    with pytest.raises(CheckpointError, match="labels.text: 'openai/clip-vit-base-patch16' is neither a folder nor"):
        TextEncoder("openai/clip-vit-base-patch16", key="labels.text")


def test_a_tokenizer_of_another_network(clip, tmp_path):
    save_clip(tmp_path)
    for name in ("vocab.json", "tokenizer.json"):
        (tmp_path / name).unlink(missing_ok=True)
    write_clip_tokenizer(tmp_path)
    vocabulary = (tmp_path / "vocab.json").read_text()
    (tmp_path / "vocab.json").write_text(vocabulary.replace("{", '{"zebra</w>": 999, ', 1))
    with pytest.raises(CheckpointError, match=r"has tokens up to number 999, but the network knows \d+"):
        TextEncoder(str(tmp_path))
    (tmp_path / "vocab.json").write_text("{")
    with pytest.raises(CheckpointError, match="the tokenizer in .* does not load") as caught:
        TextEncoder(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_network_without_a_text_side(tmp_path):
    from transformers import Dinov2Config

    Dinov2Config(**TOWER).save_pretrained(tmp_path)
    with pytest.raises(RecipeError, match="has no text side that is known here .its model type is 'dinov2'"):
        TextEncoder(str(tmp_path), random=True)
