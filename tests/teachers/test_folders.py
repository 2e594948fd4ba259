"""Configurations of a teacher's folder: of a wrong type, of other kinds, or such as would run code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pointlift.errors import PointliftError
from pointlift.registry import TEACHERS
from pointlift.teachers.folders import read_config

WRONG: list[Any] = ["abc", -1, 0, 10**12, 1.5, None, [], {}, [1, "a"], True, "someone/kernels"]
TOWER = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
SEEING = {**TOWER, "patch_size": 8, "image_size": 16}


def _networks() -> dict[str, Callable[[], Any]]:
    import transformers as t

    words = {**TOWER, "vocab_size": 30}
    segformer = {"hidden_sizes": [8] * 4, "depths": [1] * 4, "num_attention_heads": [1, 1, 2, 2]}
    return {
        "dinov2": lambda: t.Dinov2Model(t.Dinov2Config(**SEEING)),
        "clip": lambda: t.CLIPModel(t.CLIPConfig(text_config=words, vision_config=SEEING, projection_dim=6)),
        "siglip": lambda: t.SiglipModel(t.SiglipConfig(text_config=words, vision_config=SEEING)),
        "segmenter": lambda: t.SegformerForSemanticSegmentation(
            t.SegformerConfig(num_labels=3, decoder_hidden_size=8, **segformer)
        ),
    }


KINDS = ["dinov2", "clip", "siglip", "segmenter"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for name, build in _networks().items():
        made[name] = tmp_path_factory.mktemp(name)
        torch.manual_seed(0)
        build().save_pretrained(made[name])
    return made


def _settings(values: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in values.items():
        found.append((*path, key))
        found += _settings(value, (*path, key)) if isinstance(value, dict) else []
    return found


def _with(values: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    first, *rest = path
    return {**values, first: _with(values[first], tuple(rest), value) if rest else value}


@pytest.mark.parametrize("kind", KINDS)
def test_a_setting_of_a_wrong_type_is_one_sentence(kind: str, folders: dict[str, Path], tmp_path: Path) -> None:
    """Every setting, each with a few of the wrong values: the teacher is built all the same, or says what is wrong."""
    folder = tmp_path / kind
    shutil.copytree(folders[kind], folder)
    values = json.loads((folder / "config.json").read_text())
    refused = []
    for number, path in enumerate(_settings(values)):
        for wrong in (WRONG[number % len(WRONG)], WRONG[(5 * number + 3) % len(WRONG)]):
            (folder / "config.json").write_text(json.dumps(_with(values, path, wrong)))
            try:
                TEACHERS.build(kind, source=str(folder))
            except PointliftError as error:
                refused.append(str(error))
    assert len(refused) > 5
    assert not [said for said in refused if "\n" in said or str(folder) not in said]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("hidden_size", "384", r"'hidden_size' is '384', and should be a whole number from 1 to"),
        ("num_hidden_layers", 10**9, r"'num_hidden_layers' is '1000000000', and should be"),
        ("patch_size", 14.5, r"'patch_size' is '14\.5', and should be"),
        ("num_attention_heads", True, r"'num_attention_heads' is 'True', and should be"),
        ("num_channels", 4, r"'num_channels' is 4, and teachers look at images of 3 colours"),
    ],
)
def test_what_is_said(key: str, value: Any, said: str, folders: dict[str, Path], tmp_path: Path) -> None:
    for kind, within in (("dinov2", ()), ("clip", ("vision_config",))):
        folder = tmp_path / kind
        shutil.copytree(folders[kind], folder)
        values = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(_with(values, (*within, key), value)))
        with pytest.raises(PointliftError, match=said.replace("'", f"'{'.'.join([*within, ''])}", 1)):
            TEACHERS.build(kind, source=str(folder))


@pytest.mark.parametrize("key", ["_attn_implementation", "attn_implementation", "_experts_implementation"])
@pytest.mark.parametrize("kind", KINDS)
def test_code_of_the_hub_is_not_asked_for(
    kind: str, key: str, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / kind
    shutil.copytree(folders[kind], folder)
    values = json.loads((folder / "config.json").read_text())
    values |= {key: "someone/kernels", "auto_map": {"AutoModel": "someone/code--model.Network"}}
    for part in ("vision_config", "text_config"):
        values |= {part: {**values[part], key: "someone/kernels"}} if part in values else {}
    (folder / "config.json").write_text(json.dumps(values))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    built = TEACHERS.build(kind, source=str(folder))
    assert built.fingerprint == TEACHERS.build(kind, source=str(folders[kind])).fingerprint
    config = read_config(folder)
    assert "someone" not in json.dumps(config.to_dict(), default=str)
    assert "someone" not in str(config._attn_implementation)
