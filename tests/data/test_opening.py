from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest

from pointlift.data.dataset import Dataset, Scenes
from pointlift.data.opening import open_by_name, open_dataset
from pointlift.data.scene import Scene
from pointlift.errors import RecipeError
from pointlift.options import DATA_ROOT, LOCAL, PLACE, Place, marked, settings, signature_options
from pointlift.registry import DATASETS, Part


class Log(Scenes):
    """A data set from outside, with options of every kind."""

    name = "log"
    subset_options = ("step",)

    def __init__(
        self,
        *,
        root: Annotated[Path, DATA_ROOT],
        split: Literal["train", "val"] = "train",
        step: int = 1,
        workers: Annotated[int | None, LOCAL] = None,
        camera: Annotated[Path, PLACE] | list[float] | None = None,
        forgotten: Path | None = None,
        names: tuple[str, ...] = (),
    ) -> None:
        point = Scene(np.zeros((1, 3), np.float32), np.zeros((1, 0), np.float32), id=split)
        super().__init__([point] * (4 // step), dropped_frames={"no pose": 2})


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS._parts, "log", Part("log", Log, "A log."))
    monkeypatch.setattr(DATASETS, "_options", dict(DATASETS._options))


def test_settings_are_the_options_but_for_places_and_what_is_local() -> None:
    home = Path("/home/me")
    data = open_by_name("log", root=home, step=2, workers=3, camera=home / "K.txt", forgotten=home, names=["a"])
    assert data.settings == {"split": "train", "step": 2, "names": ["a"]}
    assert json.dumps(data.settings)
    assert open_by_name("log", root=home, camera=[1.0, 2.0]).settings["camera"] == [1.0, 2.0]


def test_a_mark_of_one_kind_of_value_holds_for_that_kind_only() -> None:
    model = signature_options("log", "data set", Log)
    places = {key for key, _ in marked(model(root=Path("x"), camera=Path("K.txt")), Place)}
    assert places == {"root", "camera"}
    numbers = model(root=Path("x"), camera=[1.0])
    assert {key for key, _ in marked(numbers, Place)} == {"root"}
    assert {key for key, _ in marked(numbers)} == {"root", "workers"}
    assert settings(numbers)["camera"] == [1.0]


def test_options_that_thin_out_hold_for_their_split_and_frames_left_out_are_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    options = DATASETS.options("log")(root=Path("x"), step=2)
    with caplog.at_level("INFO"):
        assert [len(open_dataset(options, **changes)) for changes in ({}, {"split": "val"}, {"split": "train"})] == [
            2,
            4,
            2,
        ]
    assert "log: frames are left out, 2 with no pose" in caplog.text
    assert open_dataset(options, split="val").settings["step"] == 1


def test_a_wrong_name_or_option_is_one_sentence() -> None:
    with pytest.raises(RecipeError, match="there is no data set called 'logs'; did you mean 'log'"):
        open_by_name("logs")
    with pytest.raises(RecipeError, match="data set 'log': the key 'root' is missing; give --data-root FOLDER"):
        open_by_name("log")
    assert issubclass(Log, Dataset)
