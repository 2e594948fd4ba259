from __future__ import annotations

from pathlib import Path

import pytest

from pointlift.teachers.file_patterns import file_of, without_place


@pytest.mark.parametrize(
    ("pattern", "kept"),
    [
        ("{folder}/../labels/{stem}.png", "{folder}/../labels/{stem}.png"),
        ("{view}-{stem}.png", "{view}-{stem}.png"),
        ("labels/{stem}.png", "labels/{stem}.png"),
        ("/data/one/labels/{stem}.png", "labels/{stem}.png"),
        ("~/labels/run_{stem}.png", "labels/run_{stem}.png"),
        ("../other/labels/{view}/{stem}.png", "labels/{view}/{stem}.png"),
        ("~/{stem}.png", "{stem}.png"),
        ("/{stem}.png", "{stem}.png"),
    ],
)
def test_of_a_fixed_folder_only_the_name_is_kept(pattern: str, kept: str) -> None:
    assert without_place(pattern) == kept


def test_the_file_of_an_image_is_beside_the_link_that_its_folder_is() -> None:
    found = file_of("{folder}/../labels/{view}/{stem}.png", Path("/data/link"), "000001", "left")
    assert found == Path("/data/labels/left/000001.png")
