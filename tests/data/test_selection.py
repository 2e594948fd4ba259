"""Held-out scans: one rule for recipe, resume and evaluation, whatever the data set is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pointlift import recipe
from pointlift.data.dataset import Dataset, Scenes
from pointlift.data.opening import open_by_name, open_dataset, open_split
from pointlift.data.scene import Scene
from pointlift.data.selection import selected
from pointlift.errors import DataError, PluginError, RecipeError
from pointlift.options import signature_options
from pointlift.recipe import differences
from pointlift.registry import DATASETS, Part

IDS = [f"{run}/{number:03d}" for run in ("08", "2024-05-01", "2024-05-02", "yard/a", "yard/b") for number in range(4)]


class Drives(Scenes):
    """A log without splits."""

    name = "drives"
    subset_options = ("step",)

    def __init__(self, *, step: int = 1) -> None:
        point = np.zeros((1, 3), np.float32)
        super().__init__([Scene(point, point[:, :0], id=one) for one in IDS[::step]])


@pytest.fixture(autouse=True)
def drives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS._parts, "drives", Part("drives", Drives, "A log."))
    monkeypatch.setattr(DATASETS, "_options", dict(DATASETS._options))


def sequences(scenes: Dataset) -> list[str]:
    return list(dict.fromkeys(one.rpartition("/")[0] for one in scenes.ids))


@pytest.mark.parametrize(
    ("hold_out", "held"),
    [
        (0.2, ["yard/b"]),
        (0.3, ["yard/a", "yard/b"]),
        ("2024-*", ["2024-05-01", "2024-05-02"]),
        (["yard"], ["yard/a", "yard/b"]),
        ([8, "yard/b"], ["08", "yard/b"]),
        (["*/b"], ["yard/b"]),
    ],
)
def test_what_is_held_out_and_what_is_kept(hold_out: object, held: list[str]) -> None:
    options = DATASETS.options("drives")(hold_out=hold_out)
    kept, out = open_dataset(options), open_dataset(options, split="val")
    assert sequences(out) == held
    assert sorted([*kept.ids, *out.ids]) == sorted(IDS)
    assert open_dataset(options, split="train").ids == kept.ids
    assert open_by_name("drives", **out.settings).ids == out.ids
    assert open_split("drives", "val", hold_out=hold_out).ids == out.ids
    assert out.views(0) == []
    assert out[0].id == out.ids[0]


def test_thinning_holds_for_both_sides_and_single_scans_have_names() -> None:
    options = DATASETS.options("drives")(step=2, hold_out=["08/002"])
    assert open_dataset(options, split="val").ids == ["08/002"]
    assert len(open_dataset(options)) == 9


def test_data_sets_with_splits_hold_out_too(tmp_path: Path) -> None:
    options = DATASETS.options("street")(root=tmp_path, sequences=4, frames=2, hold_out=0.25)
    kept, out, real = (open_dataset(options, split=split) for split in ("train", "val", "test"))
    assert [len(kept), len(out), len(real)] == [6, 2, 24]
    assert out.settings["split"] == "train"
    assert open_dataset(options, split="val", hold_out=None).settings["split"] == "val"


@pytest.mark.parametrize(
    ("hold_out", "said"),
    [
        (["2025-*"], "hold_out names '2025-.', but no scan or sequence is that; there are: 08, 2024-05-01"),
        (["*"], "leaves none of the 20 scans"),
    ],
)
def test_names_that_hold_out_nothing_or_all(hold_out: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        open_by_name("drives", hold_out=hold_out)


@pytest.mark.parametrize("hold_out", [0, 1.0, -0.1, True, [], [0.5], {"a": 1}])
def test_what_is_neither_share_nor_names(hold_out: object) -> None:
    with pytest.raises(RecipeError, match="it should be a share such as 0.2, or names of sequences or scans"):
        open_by_name("drives", hold_out=hold_out)


def test_splits_that_are_not_there() -> None:
    with pytest.raises(DataError, match=r"has no split 'val', as it has none at all: hold out .* data.hold_out=0.2"):
        open_split("drives", "val")
    assert len(open_split("drives", "train")) == 20
    with pytest.raises(DataError, match="only_held_out asks for scans that are held out, but hold_out says none"):
        open_by_name("drives", only_held_out=True)

    def taken(*, hold_out: int = 1) -> None: ...

    with pytest.raises(PluginError, match="must not have the option 'hold_out'"):
        signature_options("x", "data set", taken, shared=DATASETS.shared)


def test_parts_of_a_mixture_hold_out_for_themselves(tmp_path: Path) -> None:
    street = {"name": "street", "root": tmp_path, "sequences": 4, "frames": 1}
    mixed = DATASETS.options("mixture")(parts=[{**street, "hold_out": 0.5}, {**street, "hold_out": 0.25}])
    assert [len(open_dataset(mixed)), len(open_dataset(mixed, split="val"))] == [5, 3]
    with pytest.raises(DataError, match=r"hold_out belongs to each of its parts, such as data.parts.0.hold_out=0.5"):
        open_by_name("mixture", parts=[street], hold_out=0.5)
    assert selected(Drives(), None, False).ids == IDS


def test_recipes_from_before_go_on_and_another_choice_is_another_recipe() -> None:
    old = recipe.load("street-relational").to_dict()
    for key in DATASETS.shared:
        del old["data"][key]
    new = recipe.load("street-relational")
    assert not differences(recipe.from_values(old), new)
    assert list(differences(new, recipe.load("street-relational", {"data.hold_out": 0.2}))) == ["data.hold_out"]
