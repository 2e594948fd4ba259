from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pointlift.errors import CheckpointError
from pointlift.registry import TEACHERS
from pointlift.teachers.hub import find, is_here
from pointlift.teachers.shapes import SHAPES


@pytest.fixture
def _nothing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def absent(*_, local_files_only: bool, **__):
        assert local_files_only, "something would have been downloaded"
        raise huggingface_hub.errors.LocalEntryNotFoundError("not there")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", absent)


@pytest.mark.parametrize(
    ("source", "kind", "width", "layers", "heads", "patch"),
    [
        ("openai/clip-vit-base-patch32", "clip", 768, 12, 12, 32),
        ("openai/clip-vit-base-patch16", "clip", 768, 12, 12, 16),
        ("openai/clip-vit-large-patch14", "clip", 1024, 24, 16, 14),
        ("google/siglip-base-patch16-224", "siglip", 768, 12, 12, 16),
        ("google/siglip2-base-patch16-224", "siglip", 768, 12, 12, 16),
        ("facebook/dinov2-small", "dinov2", 384, 12, 6, 14),
        ("facebook/dinov2-base", "dinov2", 768, 12, 12, 14),
        ("facebook/dinov2-large", "dinov2", 1024, 24, 16, 14),
        ("facebook/dinov2-giant", "dinov2", 1536, 40, 24, 14),
    ],
)
@pytest.mark.usefixtures("_nothing_here")
def test_known_shapes(source, kind, width, layers, heads, patch):
    folder, config = find(source, random=True, download=True)
    assert folder is None
    assert config.model_type == kind
    vision = getattr(config, "vision_config", config)
    found = (vision.hidden_size, vision.num_hidden_layers, vision.num_attention_heads, vision.patch_size)
    assert found == (width, layers, heads, patch)
    with pytest.raises(CheckpointError, match="neither a folder nor among the models"):
        find(source, random=False, download=False)


@pytest.mark.usefixtures("_nothing_here")
def test_common_spaces_and_vocabularies():
    for source, dim in (("openai/clip-vit-base-patch16", 512), ("openai/clip-vit-large-patch14", 768)):
        _, config = find(source, random=True, download=False)
        assert config.projection_dim == config.text_config.projection_dim == config.vision_config.projection_dim == dim
        assert (config.text_config.vocab_size, config.text_config.max_position_embeddings) == (49408, 77)
        assert config.vision_config.hidden_act == "quick_gelu"
    _, config = find("google/siglip2-base-patch16-224", random=True, download=False)
    assert (config.text_config.vocab_size, config.text_config.max_position_embeddings) == (256_000, 64)
    _, config = find("facebook/dinov2-giant", random=True, download=False)
    assert config.use_swiglu_ffn


@pytest.mark.usefixtures("_nothing_here")
def test_a_random_twin_needs_no_file():
    teacher = TEACHERS.build("dinov2", source="facebook/dinov2-small", random=True, layer=1)
    assert (teacher.dim, teacher.stride) == (384, 14)
    assert TEACHERS.build("resnet50", random=True).dim == 2048
    with pytest.raises(CheckpointError, match=r"'someone/else' is neither .* set teacher\.download=true"):
        TEACHERS.build("dinov2", source="someone/else", random=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clip", "siglip"])
@pytest.mark.usefixtures("_nothing_here")
def test_a_random_twin_of_a_text_aligned_teacher_needs_no_file(name):
    for source in (source for source in SHAPES if f"/{name}" in source):
        teacher = TEACHERS.build(name, source=source, random=True)
        assert teacher.dim == (512 if "clip-vit-base" in source else 768)


@pytest.mark.usefixtures("_nothing_here")
def test_what_is_here(tiny_dinov2: Path, tmp_path: Path):
    assert is_here(str(tiny_dinov2))
    assert not is_here("facebook/dinov2-small")
    assert not is_here(str(tmp_path / "absent"))
    assert not is_here(str(tmp_path))
    shutil.copy(tiny_dinov2 / "config.json", tmp_path)
    assert not is_here(str(tmp_path))
    (tmp_path / "moco.pth").write_bytes(b"weights")
    assert is_here(str(tmp_path / "moco.pth"))


def test_an_id_in_the_cache_is_here(monkeypatch, tiny_dinov2):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(tiny_dinov2))
    assert is_here("someone/model")


@pytest.mark.usefixtures("_nothing_here")
@pytest.mark.parametrize("name", ["clip", "clipcap", "dinov2", "resnet50", "siglip"])
def test_a_random_network_stands_in_for_an_absent_one(name: str):
    kind, known = TEACHERS.get(name).factory, TEACHERS.checked(name, {})
    assert kind.stand_in(**known) == {"random": True}
    assert kind.stand_in(**known | {"download": True}) is None  # it will be here
    assert kind.stand_in(**known | {"random": True}) is None  # it needs nothing
    assert kind.stand_in(**known | {"source": "./no-such-folder"}) is None  # the mistake is to be seen


def test_nothing_stands_in_for_one_that_is_here(tiny_dinov2: Path, monkeypatch: pytest.MonkeyPatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(tiny_dinov2))
    kind = TEACHERS.get("dinov2").factory
    assert kind.stand_in(**TEACHERS.checked("dinov2", {})) is None


@pytest.mark.parametrize("name", ["labelmaps", "embeddings", "street"])
def test_nothing_stands_in_for_one_without_a_source(name: str):
    assert TEACHERS.get(name).factory.stand_in() is None
