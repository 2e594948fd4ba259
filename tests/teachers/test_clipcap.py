"""ClipCap's mappers in their true shapes against literal recomputation; no published weights are needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pointlift.data.scene import View
from pointlift.errors import CheckpointError, PointliftError, RecipeError
from pointlift.registry import TEACHERS
from pointlift.teachers.cache import FeatureCache
from pointlift.teachers.captions import CaptionWriter
from pointlift.teachers.clipcap import ClipCap, middle_square
from pointlift.teachers.mappers import MLPMapper, TransformerMapper, mapper_of
from pointlift.teachers.pixels import PixelFeatures
from pointlift.teachers.tokens import TokenSets
from pointlift.tensor_files import read_tensors

from .towers import save_clip, scramble, write_clip_tokenizer


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip")
    save_clip(path)  # its image embeddings have 12 values
    return path


def literal_transformer(mapper: TransformerMapper, embedding: np.ndarray) -> np.ndarray:
    """The prefix (P, W) of one image embedding (D,), one head at a time."""
    w = {key: value.double().numpy() for key, value in mapper.state_dict().items()}

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0.0)

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * w[f"{name}.weight"] + w[f"{name}.bias"]

    width = w["prefix_const"].shape[1]
    x = np.concatenate([linear(embedding, "linear").reshape(-1, width), w["prefix_const"]])
    count = 1 + max(int(key.split(".")[2]) for key in w if key.startswith("transformer.layers"))
    for layer in range(count):
        at = f"transformer.layers.{layer}"
        y = norm(x, f"{at}.norm1")
        query, both = linear(y, f"{at}.attn.to_queries"), linear(y, f"{at}.attn.to_keys_values")
        heads = []
        for head in range(8):
            part = slice(head * width // 8, (head + 1) * width // 8)
            scores = np.exp(query[:, part] @ both[:, :width][:, part].T * (width // 8) ** -0.5)
            heads.append(scores / scores.sum(1, keepdims=True) @ both[:, width:][:, part])
        x = x + linear(np.concatenate(heads, axis=1), f"{at}.attn.project")
        x = x + linear(np.maximum(linear(norm(x, f"{at}.norm2"), f"{at}.mlp.fc1"), 0), f"{at}.mlp.fc2")
    return x[-len(w["prefix_const"]) :]


def test_the_mlp_mapper_of_the_true_shape_is_its_formula() -> None:
    torch.manual_seed(0)
    mapper = MLPMapper(512, 10)
    w = mapper.state_dict()
    assert {key: tuple(value.shape) for key, value in w.items()} == {
        "model.0.weight": (3840, 512),
        "model.0.bias": (3840,),
        "model.2.weight": (7680, 3840),
        "model.2.bias": (7680,),
    }
    embedding = torch.randn(2, 512)
    w = {key: value.double().numpy() for key, value in w.items()}
    hidden = np.tanh(embedding.double().numpy() @ w["model.0.weight"].T + w["model.0.bias"])
    expected = (hidden @ w["model.2.weight"].T + w["model.2.bias"]).reshape(2, 10, 768)
    with torch.no_grad():
        np.testing.assert_allclose(mapper(embedding), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_the_transformer_mapper_of_the_true_shape_is_its_formula() -> None:
    torch.manual_seed(0)
    mapper = TransformerMapper(512, 40, 40)
    assert len(mapper.transformer["layers"]) == 8
    assert tuple(mapper.state_dict()["transformer.layers.7.mlp.fc1.weight"].shape) == (1536, 768)
    embedding = torch.randn(1, 512)
    expected = literal_transformer(mapper, embedding[0].double().numpy())
    with torch.no_grad():
        found = mapper(embedding)
    assert found.shape == (1, 40, 768)
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def published(folder: Path, mapper: torch.nn.Module, name: str = "clipcap.pt", language: bool = True) -> Path:
    """A checkpoint in the published layout, with a small GPT-2 beside the mapper."""
    from transformers import GPT2Config, GPT2LMHeadModel

    tensors = {f"clip_project.{key}": value for key, value in mapper.state_dict().items()}
    if language:
        size = write_clip_tokenizer(folder / "words")
        (folder / "words" / "config.json").write_text('{"model_type": "gpt2"}')
        torch.manual_seed(3)
        width = mapper.shape[1]  # type: ignore[index]
        model = GPT2LMHeadModel(GPT2Config(vocab_size=size, n_embd=width, n_positions=40, n_layer=2, n_head=2))
        scramble(model)
        tensors |= {f"gpt.{key}": value.clone() for key, value in model.state_dict().items()}
        tensors["gpt.transformer.h.0.attn.bias"] = torch.ones(1, 1, 40, 40)  # a mask that old versions saved
    torch.save(tensors, folder / name)
    return folder / name


@pytest.mark.parametrize("kind", ["mlp", "transformer"])
def test_a_published_checkpoint_loads_by_its_tensors(tmp_path: Path, clip_folder: Path, kind: str) -> None:
    torch.manual_seed(1)
    mapper = MLPMapper(12, 3, 16) if kind == "mlp" else TransformerMapper(12, 3, 4, layers=2, width=16)
    path = published(tmp_path, mapper)
    teacher = TEACHERS.build("clipcap", source=str(clip_folder), mapper=path)
    assert (teacher.token_shape, teacher.dim) == ((3, 16), 16)
    images = torch.rand(2, 3, 232, 304)
    square = middle_square(images, 224)
    with torch.no_grad():
        expected = mapper(teacher.clip.tokens(square)[:, 0])
    torch.testing.assert_close(teacher.tokens(images), expected)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    with pytest.raises(PointliftError, match="the teacher ClipCap has no dense features"):
        teacher.features(images)


def test_without_a_mapper_the_token_is_the_image_embedding(clip_folder: Path) -> None:
    teacher = ClipCap(source=str(clip_folder), prefix=False)
    images = torch.rand(1, 3, 224, 224)
    assert teacher.token_shape == (1, 12)
    torch.testing.assert_close(teacher.tokens(images), teacher.clip.tokens(images))
    with pytest.raises(RecipeError, match="captions need the published checkpoint"):
        teacher.captions(images)


def test_random_has_the_true_shapes() -> None:
    teacher = ClipCap(random=True, random_seed=4)
    tokens = teacher.tokens(torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0)))
    assert tokens.shape == (1, 10, 768)
    assert teacher.token_shape == (10, 768)
    assert tuple(teacher.mapper.model[0].weight.shape) == (3840, 512)


@pytest.mark.parametrize("size", [(376, 1241), (481, 317), (224, 300)])
def test_the_middle_square_is_clip_s(size: tuple[int, int]) -> None:
    """Torchvision's Resize (a long side is cut off to a whole number) and CenterCrop (halves go to even), by PIL."""
    small = np.random.default_rng(0).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize(size[::-1], Image.Resampling.BICUBIC)
    height, width = (int(224 * length / min(size)) for length in size)
    top, left = (round((length - 224) / 2.0) for length in (height, width))
    expected = image.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + 224, top + 224))
    found = middle_square(torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255, 224)
    np.testing.assert_allclose(255 * found[0].permute(1, 2, 0), np.asarray(expected), atol=1.5)  # PIL rounds twice


def test_an_image_reaches_clip_with_one_resize(tmp_path: Path, clip_folder: Path) -> None:
    teacher = ClipCap(source=str(clip_folder), prefix=False)
    image = np.random.default_rng(0).integers(0, 255, (243, 331, 3), dtype=np.uint8)
    sets = TokenSets(PixelFeatures(teacher, cache=FeatureCache(tmp_path, teacher)))
    square = middle_square(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255, 224)
    torch.testing.assert_close(sets(View("color", np.eye(3), np.eye(4), image)), teacher.clip.tokens(square)[0])


def test_captions_are_the_most_probable_words(tmp_path: Path, clip_folder: Path) -> None:
    torch.manual_seed(1)
    path = published(tmp_path, MLPMapper(12, 3, 16))
    writer = CaptionWriter(path, str(tmp_path / "words"), heads=2)
    prefix = torch.randn(2, 3, 16)
    found = writer.write(prefix, most=5)
    for caption, one in zip(found, prefix, strict=True):
        embeddings, words = one[None], []
        for _ in range(5):
            with torch.no_grad():
                word = int(writer.model(inputs_embeds=embeddings).logits[0, -1].argmax())
            if word == writer.tokenizer.eos_token_id:
                break
            words.append(word)
            embeddings = torch.cat([embeddings, writer.model.transformer.wte.weight[word].view(1, 1, -1)], dim=1)
        assert caption == writer.tokenizer.decode(words).strip()


def test_mistakes_are_one_sentence(tmp_path: Path, clip_folder: Path) -> None:
    torch.manual_seed(1)
    source = str(clip_folder)
    other = published(tmp_path, MLPMapper(640, 2, 16), "other.pt", language=True)
    with pytest.raises(CheckpointError, match="maps image embeddings of 640 values, but this CLIP gives 12"):
        ClipCap(source=source, mapper=other)
    with pytest.raises(RecipeError, match="needs 'mapper'"):
        ClipCap(source=source)
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        ClipCap(source=source, mapper=tmp_path / "nothing.pt")
    torch.save({"something": torch.zeros(2)}, tmp_path / "strange.pt")
    with pytest.raises(CheckpointError, match=r"holds no mapper of ClipCap: it lacks clip_project\.model\.0\.weight"):
        ClipCap(source=source, mapper=tmp_path / "strange.pt")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "object.pt")
    with pytest.raises(CheckpointError, match="could run code"):
        ClipCap(source=source, mapper=tmp_path / "object.pt")
    tensors = read_tensors(other)
    del tensors["clip_project.model.2.bias"]
    with pytest.raises(CheckpointError, match="incomplete or of odd shapes"):
        mapper_of(tensors, other)
    tensors["clip_project.model.2.weight"] = torch.zeros(33, 16)
    with pytest.raises(CheckpointError, match="33 values, which are no tokens of 16"):
        mapper_of(tensors, other)
    with pytest.raises(CheckpointError, match="holds no language model"):
        CaptionWriter(published(tmp_path, MLPMapper(12, 2, 16), "mute.pt", language=False), source)
    with pytest.raises(CheckpointError, match="the tokenizer of 'nowhere'"):
        CaptionWriter(other, "nowhere", heads=2)
