"""What the data sets that pointlift makes itself have in common: a cache, filled when it is read or all at once."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointlift.errors import DataError
from pointlift.registry import DATASETS

CAMERAS = {"cameras": ["front"], "image_size": [32, 64]}
SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    "street": ("streets", {"sequences": 1, "frames": 2, **CAMERAS}),
    "rooms": ("rooms", {"room": "bathroom", "rooms": 1, "frames": 2, "image_size": [48, 64]}),
    "shapes": ("objects", {"categories": ["mug", "stool"], "objects": 1, "views": 1, "image_size": [24, 24]}),
}
"""Of each data set, what it says that it makes, and options for two of these."""


@pytest.fixture(params=SMALL)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def opened(name: str, root: Path, **options: Any) -> Any:
    return DATASETS.build(name, root=root, **{**SMALL[name][1], "workers": 0, **options})


def test_opening_makes_nothing(name, tmp_path):
    data = DATASETS.build(name, root=tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert len(pickle.dumps(data)) < 1_000_000


def test_a_root_that_is_a_file_is_said_when_opening(name, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=f"file: this is a file; root is the folder in which '{name}' keeps"):
        opened(name, tmp_path / "file")


@pytest.mark.parametrize("other", ["IMG_0001.jpg", "sequences/00", "v1.0-trainval/scene.json"])
def test_a_root_that_holds_other_things_is_left_alone(name, tmp_path, other):
    (tmp_path / other).parent.mkdir(exist_ok=True)
    (tmp_path / other).write_text("")
    with pytest.raises(DataError, match=rf"the folder holds other things, such as '.*'; '{name}' generates its data"):
        opened(name, tmp_path)


def test_a_root_that_is_empty_or_of_generated_data_is_used_again(name, tmp_path):
    (tmp_path / ".DS_Store").write_text("")
    for _ in range(2):
        opened(name, tmp_path)[0]
    (tmp_path / "README.txt").write_text("the owner's own note beside it")
    assert len(opened(name, tmp_path)[0]) > 0


def test_prepare_makes_what_is_missing_and_counts(name, tmp_path):
    data = opened(name, tmp_path)
    data[0]
    calls: list[tuple[str, int, int]] = []
    result = data.prepare(lambda *call: calls.append(call))
    assert result["made"] == 1
    assert result["frames_per_second"] == pytest.approx(1 / result["seconds"])
    assert calls == [(SMALL[name][0], 1, 1)]
    again = data.prepare()
    assert (again["made"], again["frames_per_second"]) == (0, 0.0)


def test_what_is_damaged_is_made_again_by_reading_and_by_prepare(name, tmp_path, caplog):
    data = opened(name, tmp_path)
    scene = data[0]
    path = scene.files["points"]
    path.write_bytes(path.read_bytes()[:50])
    with caplog.at_level(logging.WARNING):
        again = data[0]
    assert str(path) in caplog.text
    np.testing.assert_array_equal(scene.points, again.points)
    data[1]
    path.unlink()
    assert data.prepare()["made"] == 1
