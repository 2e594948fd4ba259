import io
from pathlib import Path

import numpy as np
import pytest

from pointlift.data.formats.npy import parse_npy
from pointlift.errors import DataError


def saved(values: np.ndarray, pickled: bool = False) -> bytes:
    content = io.BytesIO()
    np.save(content, values, allow_pickle=pickled)
    return content.getvalue()


def test_columns_have_the_names_that_are_asked_for_and_the_files_type() -> None:
    table = np.arange(10, dtype=np.uint8).reshape(2, 5)
    columns = parse_npy(saved(table), Path("a.npy"), ("intensity", "ring"))
    assert list(columns) == ["x", "y", "z", "intensity", "ring"]
    assert columns["ring"].tolist() == [4, 9]
    assert columns["ring"].dtype == np.uint8


def test_a_pickle_is_never_loaded() -> None:
    with pytest.raises(DataError, match="is a pickle, which is never loaded"):
        parse_npy(saved(np.array([print, None], object), pickled=True), Path("a.npy"), ())


def test_an_array_of_another_width() -> None:
    with pytest.raises(DataError, match=r"needs an array \(N, 4\) of x, y, z, intensity, but the file has \(2, 3\)"):
        parse_npy(saved(np.zeros((2, 3))), Path("a.npy"), ("intensity",))
